"""Where the evidence for a class lies: Grad-CAM without rectification, times the number of cells.

For a linear head over pooled features it has a closed form and needs no backward pass (`models.pooling` derives it):
the features, weighted by the head's folded weights. Its meaning depends on the pooling, and the card says which:

* `class_activation`, head over averages alone: class logit k is `bias_k + mean over cells of map_k`, so the map is no
  estimate, it is the logit spread over the picture. Zhou et al., CVPR 2016.
* `grad_cam`, every other head. Over averages and maxima side by side the map weighs a channel by both of its weights,
  W for the average and V for the maximum; its mean over cells plus the bias misses the logit by the sum over channels
  of V times (maximum - average). When cells tie for a maximum, or a rounding decides which of them it is, the map does
  not change. Selvaraju et al., ICCV 2017.

A head that is not linear over pooled features (a clip's attention) has no closed form: `grad_cam` takes the gradient
from the activation on, and no parameter gets one. A test compares every network with captum's LayerGradCam.

What this is not: a segmentation. A cell sees more of the input than its own square.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from models.preprocess import Letterbox


def class_activation(features: torch.Tensor, weights: torch.Tensor) -> npt.NDArray[np.float32]:
    """Activation maps in closed form, without a backward pass.

    Args:
        features: float (T, C, m, m), the output of the card's map layer.
        weights: float (K, C), of the network's `map_weights`.

    Returns:
        float32 (T, K, m, m), in logits. Over averages alone, the mean over m x m plus the head's bias is the logit.
    """
    maps = torch.einsum("tcij,kc->tkij", features.float(), weights.float())
    return maps.detach().cpu().numpy().astype(np.float32)


def grad_cam(
    features: torch.Tensor, logits_of: Callable[[torch.Tensor], torch.Tensor], n_classes: int
) -> npt.NDArray[np.float32]:
    """Activation maps by a backward pass from the activation on; no parameter gets a gradient.

    Args:
        features: float (T, C, m, m), the output of the card's map layer.
        logits_of: features -> logits (N, >= K). N is T, or 1 for a clip: then the map says what each frame gave to it.
        n_classes: K; further logits are not looked at.

    Returns:
        float32 (T, K, m, m), in the units of `class_activation`: Grad-CAM before rectification, times m * m.
    """
    # a tensor made in inference mode cannot carry a gradient, its copy can
    with torch.inference_mode(mode=False), torch.enable_grad():
        start = features.detach().clone().requires_grad_()
        logits = logits_of(start)[:, :n_classes].sum(dim=0)
        maps = []
        for k in range(n_classes):
            (gradient,) = torch.autograd.grad(logits[k], start, retain_graph=k + 1 < n_classes)
            maps.append((gradient.sum(dim=(2, 3), keepdim=True) * start).sum(dim=1))
    return torch.stack(maps, dim=1).detach().float().cpu().numpy()


def to_heat(maps: npt.NDArray[np.float32], letterbox: Letterbox, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Maps of one class as heat on the picture: 0 no evidence for the class, 255 the strongest of the clip.

    Rule: positive evidence only; scaled by the largest value over all frames and all pixels of the picture, so
    that frames of one clip can be compared. No positive evidence anywhere gives zeros.

    Args:
        maps: float32 (T, m, m).
        letterbox: where the picture lay in the network's input.
        size: (h, w) of the picture; must be the letterbox's.

    Returns:
        uint8 (T, h, w).

    Raises:
        ValueError: `size` is not that of the letterbox.
    """
    if size != (letterbox.height, letterbox.width):
        raise ValueError(f"the picture is {size}, the letterbox was made for {letterbox.height, letterbox.width}")
    spread = np.stack([letterbox.map_to_picture(frame) for frame in maps])
    positive = np.clip(spread, 0.0, None)
    peak = float(positive.max(initial=0.0))
    if peak <= 0.0:
        return np.zeros(positive.shape, np.uint8)
    heat: npt.NDArray[np.uint8] = np.rint(positive * (255.0 / peak)).astype(np.uint8)
    return heat
