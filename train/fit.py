"""Fit: a recipe becomes a trained network. A LightningModule and one Trainer call.

What this is not: the model folder (`train.model_folder` writes it) or an evaluation (`train.measure`).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MeanMetric

from models import registry
from models.frame_classifier import FrameClassifier
from models.preprocess import normalised
from train.augment import Sample, Shown, augmented
from train.phantoms import Pictures, pictures
from train.recipe import Recipe

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Run:
    """Where and how one run takes place.

    Attributes:
        seed: of the start of the network, the order and the augmentation.
        limit_epochs: fewer epochs than the recipe's, None for all.
        cache: folder of drawn pictures, None draws anew.
        workers: processes that draw.
        folder: for TensorBoard's log.
    """

    seed: int = 0
    limit_epochs: int | None = None
    cache: Path | None = None
    workers: int = 1
    folder: Path = Path("runs")


class Shows(Dataset[Shown]):
    """Pictures with fresh augmentation each epoch; without it when `recipe` is None."""

    def __init__(self, drawn: Pictures, recipe: Recipe | None, seed: int = 0) -> None:
        """Show `drawn`; augment by the recipe's shares."""
        self.drawn, self.recipe, self.seed, self.epoch = drawn, recipe, seed, 0

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.drawn.shown)

    def __getitem__(self, index: int) -> Shown:
        """One picture as shown in this epoch."""
        d = self.drawn
        sample = Sample(d.shown[index], d.twin[index], d.where[index], d.labels[index], bool(d.good[index]))
        if self.recipe is None:
            return Shown(sample.shown, sample.where, sample.labels, sample.good, float(sample.good))
        normal = self.recipe.class_ids.index("normal") if "normal" in self.recipe.class_ids else None
        rng = np.random.default_rng((self.seed, self.epoch, index))
        return augmented(sample, rng, blanked=self.recipe.fit.loss.blanked, normal=normal)


class FrameFit(lightning.LightningModule):
    """Class loss on pictures that may be judged, assessability loss on all, map loss where a sign is drawn."""

    def __init__(self, recipe: Recipe, steps: int) -> None:
        """Build the recipe's network, to be trained for `steps` steps."""
        super().__init__()
        self.recipe, self.steps = recipe, steps
        arguments = dict(recipe.network)
        self.network: FrameClassifier = registry.build(arguments.pop("name"), **arguments)
        self.right = MeanMetric()

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """Loss of one batch."""
        features = self.network.features_of(batch[0])
        logits, weight = self.network.logits_of(features), self.recipe.fit.loss
        _, where, labels, judge, good = batch
        loss = class_loss(logits[:, :-1], labels, judge, self.recipe.head)
        loss = loss + weight.assessability * assessability_loss(logits[:, -1], good)
        if weight.map:
            maps = torch.einsum("ncij,kc->nkij", features, self.network.map_weights())
            loss = loss + weight.map * map_loss(maps, where, judge)
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """Share of good pictures whose every class is right."""
        frames, _, labels, judge, _ = batch
        logits = self.network(frames)[:, :-1]
        if self.recipe.head == "softmax":
            right = logits.argmax(dim=1) == labels.argmax(dim=1)
        else:
            right = ((logits > 0) == (labels > 0.5)).all(dim=1)
        if judge.any():
            self.right.update(right[judge].float())
        self.log("right", self.right, prog_bar=True, on_epoch=True)

    def configure_optimizers(self) -> Any:
        """AdamW under one cycle."""
        fit = self.recipe.fit
        optimiser = torch.optim.AdamW(self.parameters(), lr=fit.learning_rate, weight_decay=fit.weight_decay)
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=fit.learning_rate, total_steps=self.steps, pct_start=0.2
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}


class _Epochs(Callback):
    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        shows = trainer.train_dataloader.dataset  # type: ignore[union-attr]
        shows.epoch = trainer.current_epoch


def class_loss(logits: torch.Tensor, labels: torch.Tensor, judge: torch.Tensor, head: str) -> torch.Tensor:
    """Cross-entropy over the pictures that may be judged; (N, K), (N, K), bool (N,)."""
    if not judge.any():
        return logits.sum() * 0
    if head == "softmax":
        return functional.cross_entropy(logits[judge], labels[judge])
    return functional.binary_cross_entropy_with_logits(logits[judge], labels[judge])


def assessability_loss(logits: torch.Tensor, good: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy where `good` is not NaN; (N,), (N,)."""
    known = ~good.isnan()
    if not known.any():
        return logits.sum() * 0
    return functional.binary_cross_entropy_with_logits(logits[known], good[known])


def map_loss(maps: torch.Tensor, where: torch.Tensor, judge: torch.Tensor) -> torch.Tensor:
    """How far the evidence for a sign is from where the sign is drawn; 0 with its peak on it and none elsewhere.

    Two parts: -log of the share of the map's soft maximum that the sign covers, and the share of positive evidence
    more than one cell away from the sign.

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


def fit(recipe: Recipe, run: Run) -> tuple[FrameClassifier, dict[str, Pictures]]:
    """Train.

    Args:
        recipe: what to make.
        run: where and how.

    Returns:
        The trained network on the CPU in evaluation mode, and the pictures of the splits train, validation, test.
    """
    lightning.seed_everything(run.seed, verbose=False)
    splits = {
        name: pictures(recipe, getattr(recipe.phantoms, name), cache=run.cache, workers=run.workers)
        for name in ("train", "validation", "test")
    }
    loaders = [
        _loader(Shows(splits["train"], recipe, run.seed), recipe),
        _loader(Shows(splits["validation"], None), recipe),
    ]
    epochs = min(recipe.fit.epochs, run.limit_epochs or recipe.fit.epochs)
    module = FrameFit(recipe, steps=epochs * len(loaders[0])).to(memory_format=torch.channels_last)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="auto",
        devices="auto",
        callbacks=[RichProgressBar(leave=True), _Epochs()],
        default_root_dir=run.folder,
        enable_checkpointing=False,
        enable_model_summary=False,
        log_every_n_steps=min(10, len(loaders[0])),
    )
    with warnings.catch_warnings():
        # drawing takes its own processes before; loading arrays from memory needs none
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")  # Lightning's own use of torch
        trainer.fit(module, loaders[0], loaders[1])
    return module.network.cpu().eval(), splits


def _loader(shows: Shows, recipe: Recipe) -> DataLoader[Shown]:
    train = shows.recipe is not None

    def together(items: Sequence[Shown]) -> Batch:
        frames = normalised(np.stack([item.picture for item in items]), recipe.input)
        return (
            frames.contiguous(memory_format=torch.channels_last),
            torch.from_numpy(np.stack([item.where for item in items])),
            torch.from_numpy(np.stack([item.labels for item in items])),
            torch.tensor([item.judge for item in items]),
            torch.tensor([item.good for item in items]),
        )

    return DataLoader(shows, batch_size=recipe.fit.batch, shuffle=train, drop_last=train, collate_fn=together)
