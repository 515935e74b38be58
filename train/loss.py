"""Losses of a batch. Labels that nobody knows (NaN) teach nothing; means are over the batch of all processes.

Under several processes each term is divided by what all of them count, times their number: the mean of their
gradients, which is what they exchange, is then the gradient of one process that had the whole batch. What this is not:
weights of the terms (a recipe's `loss`).
"""

import torch
from torch import distributed
from torch.nn import functional


def averaged(losses: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean of `losses` weighted by `weights` of the same shape, over all processes; 0 where all weights are 0.

    A loss of weight 0 may be anything, even not finite.
    """
    total = weights.detach().sum()
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(total)
        total = total / distributed.get_world_size()
    # multiplied by 0 a loss that is not finite would stay so
    return torch.where(weights > 0, losses * weights, 0).sum() / total.clamp(min=1e-12)


def class_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    judge: torch.Tensor,
    head: str,
    *,
    balance: torch.Tensor | None = None,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """Cross-entropy over the pictures that may be judged.

    Args:
        logits: float (N, K).
        labels: float (N, K), 0..1 or NaN where unknown; a softmax head takes a row only when all of it is known.
        judge: bool (N,).
        head: "softmax" or "sigmoid".
        balance: (K,), how much more a class weighs (softmax), or its presence (sigmoid).
        smoothing: share of each label given to the other classes.
    """
    known = judge[:, None] & ~labels.isnan()
    target = labels.nan_to_num()
    if head == "softmax":
        target = target * (1 - smoothing) + smoothing / labels.shape[1]
        shares = target if balance is None else target * balance
        rows = known.all(dim=1)
        losses = -(shares * logits.log_softmax(dim=1)).sum(dim=1) / shares.sum(dim=1).clamp(min=1e-12)
        return averaged(losses, rows * shares.sum(dim=1))
    target = target * (1 - smoothing) + smoothing / 2
    losses = functional.binary_cross_entropy_with_logits(logits, target, pos_weight=balance, reduction="none")
    return averaged(losses, known.to(logits.dtype))


def clip_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    clip: torch.Tensor,
    head: str,
    *,
    balance: torch.Tensor | None = None,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """`class_loss` of each clip's mean logits against its frames' mean labels; clip int (N,)."""
    _, place, counts = torch.unique(clip, return_inverse=True, return_counts=True)
    shares = functional.one_hot(place, len(counts)).to(logits.dtype).T / counts[:, None]
    judge = torch.ones(len(counts), dtype=torch.bool, device=logits.device)
    return class_loss(shares @ logits, shares @ labels, judge, head, balance=balance, smoothing=smoothing)


def balance_of(labels: torch.Tensor, head: str) -> torch.Tensor:
    """How much more a class weighs: float (K,), 1 where both sides are as frequent.

    Softmax: mean count over the class's count. Sigmoid: absent over present, among those asked. Both 1/5 .. 5; a class
    that nobody has, or everybody, weighs 1.

    Args:
        labels: (n, K), 1, 0 or NaN, one row for each clip.
        head: "softmax" or "sigmoid".
    """
    present = (labels == 1).sum(dim=0).float()
    other = (labels == 0).sum(dim=0).float() if head == "sigmoid" else present.sum() / max(int((present > 0).sum()), 1)
    ratio = (other / present.clamp(min=1)).clamp(0.2, 5)
    return torch.where((present > 0) & (other > 0), ratio, 1.0)


def assessability_loss(logits: torch.Tensor, good: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy where `good` is not NaN; (N,), (N,)."""
    known = ~good.isnan()
    losses = functional.binary_cross_entropy_with_logits(logits, good.nan_to_num(), reduction="none")
    return averaged(losses, known.to(logits.dtype))


def map_loss(maps: torch.Tensor, where: torch.Tensor, judge: torch.Tensor) -> torch.Tensor:
    """How far the evidence for a sign is from where the sign is drawn; 0 with its peak on it and none elsewhere.

    Two parts: -log of the share of the map's soft maximum that the sign covers, and the share of positive evidence
    more than one cell away from the sign. Its mean is over this process alone.

    Args:
        maps: float (N, K, m, m).
        where: uint8 (N, S, S), bit k where sign k is.
        judge: bool (N,).
    """
    bits = torch.stack([(where >> k & 1).float() for k in range(maps.shape[1])], dim=1)
    cover = functional.adaptive_avg_pool2d(bits, maps.shape[-1])
    best = cover.amax(dim=(2, 3))
    drawn = (best > 0) & judge[:, None]
    if not drawn.any():
        return maps.sum() * 0
    far = functional.max_pool2d(cover, 3, stride=1, padding=1)[drawn] == 0
    maps, cover = maps[drawn], cover[drawn] / best[drawn][:, None, None]
    peak = (maps.flatten(1).softmax(dim=1) * cover.flatten(1)).sum(dim=1).clamp(min=1e-4)
    evidence = maps.clamp(min=0)
    spilt = (evidence * far).sum(dim=(1, 2)) / (evidence.sum(dim=(1, 2)) + 1.0)
    return (spilt - peak.log()).mean()
