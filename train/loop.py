"""The loop's parts: what is computed for a batch, what the optimiser does, and what is kept of every epoch.

What this is not: the Trainer that runs them (`train.fit`), or the losses (`train.loss`).
"""

import math
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, WeightAveraging
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric

from models.card import Input
from models.frame_classifier import FrameClassifier
from models.preprocess import normalised
from models.weights import save_tensors
from train.augment import Shown
from train.lessons import Batches, Lesson, Shows
from train.loss import assessability_loss, balance_of, class_loss, clip_loss, map_loss
from train.recipe import Fit, Recipe

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


class FrameFit(lightning.LightningModule):
    """Class loss on what is known, assessability where the network says it, maps where a sign is drawn, clips."""

    balance: torch.Tensor | None

    def __init__(self, recipe: Recipe, network: FrameClassifier, taught: Lesson, *, is_random: bool = True) -> None:
        """Train `network`, started at random or from weights, on `taught`."""
        super().__init__()
        self.recipe, self.network, self.is_random = recipe, network, is_random
        if recipe.fit.dropout is not None:
            network.dropout.p = recipe.fit.dropout
        balance = balance_of(torch.from_numpy(taught.of_clips), recipe.head) if recipe.fit.loss.class_balance else None
        self.register_buffer("balance", balance, persistent=False)
        self.taught, self.right, self.lost = MeanMetric(), MeanMetric(), MeanMetric()

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """Loss of one batch."""
        frames, where, labels, judge, good, clip = batch
        said, weight, head = self.network.outputs(frames), self.recipe.fit.loss, self.recipe.head
        logits, assessable = self.network.divided(said.logits.float())
        how = {"balance": self.balance, "smoothing": weight.label_smoothing}
        loss = class_loss(logits, labels, judge, head, **how)  # type: ignore[arg-type]
        if said.auxiliary is not None:
            loss = loss + weight.auxiliary * class_loss(said.auxiliary.float(), labels, judge, head, **how)  # type: ignore[arg-type]
        if assessable is not None:
            loss = loss + weight.assessability * assessability_loss(assessable, good)
            if weight.map:
                maps = torch.einsum("ncij,kc->nkij", said.features, self.network.map_weights())
                loss = loss + weight.map * map_loss(maps, where, judge)
        if weight.clip:
            loss = loss + weight.clip * clip_loss(logits, labels, clip, head, **how)  # type: ignore[arg-type]
        self.taught.update(loss.detach(), len(frames))
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """Loss, and share of frames of which every known class is right."""
        frames, _, labels, judge, _, _ = batch
        logits, _ = self.network.divided(self.network(frames).float())
        known = judge & (~labels.isnan()).any(dim=1)
        if not known.any():
            return
        logits, labels = logits[known], labels[known]
        if self.recipe.head == "softmax":
            right = logits.argmax(dim=1) == labels.argmax(dim=1)
        else:
            right = (((logits > 0) == (labels > 0.5)) | labels.isnan()).all(dim=1)
        self.right.update(right.float())
        judged = torch.ones(len(logits), dtype=torch.bool, device=logits.device)
        self.lost.update(class_loss(logits, labels, judged, self.recipe.head), len(logits))

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser under its schedule, step by step."""
        fit = self.recipe.fit
        rate = fit.random_start_rate if self.is_random and fit.random_start_rate is not None else fit.learning_rate
        some = [one for one in self.parameters() if one.requires_grad]
        optimiser: torch.optim.Optimizer
        if fit.optimiser == "sgd":
            optimiser = torch.optim.SGD(some, lr=rate, momentum=fit.momentum, weight_decay=fit.weight_decay)
        else:
            kind = torch.optim.AdamW if fit.optimiser == "adamw" else torch.optim.Adam
            optimiser = kind(some, lr=rate, weight_decay=fit.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = _schedule(fit, optimiser, steps, int(self.trainer.num_training_batches), rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Shorten the gradient where a random start would run away."""
        if self.is_random and self.recipe.fit.random_start_clip is not None:
            self.clip_gradients(optimizer, self.recipe.fit.random_start_clip, "norm")


def _schedule(fit: Fit, optimiser: torch.optim.Optimizer, steps: int, of_epoch: int, rate: float) -> Any:
    if fit.schedule == "one_cycle":
        return torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=steps, pct_start=0.2)
    return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: share_of_rate(fit, step, of_epoch, rate))


def share_of_rate(fit: Fit, step: int, of_epoch: int, rate: float) -> float:
    """Share of the highest rate at a step of a "constant" or "warm_up_cosine" schedule.

    Args:
        fit: of the recipe.
        step: from 0.
        of_epoch: steps of an epoch.
        rate: the highest.
    """
    if fit.schedule == "constant":
        return 1.0
    up, until, least = fit.warm_up * of_epoch, fit.cosine_until * of_epoch, min(1.0, fit.minimum / rate)
    if step + 1 <= up:
        return (step + 1) / up
    done = min(1.0, (step + 1 - up) / (until - up))
    return least + (1 - least) * 0.5 * (1 + math.cos(math.pi * done))


class Loaders(lightning.LightningDataModule):
    """Batches of each epoch anew: what is shown depends on seed, epoch and place alone, also after a restart."""

    def __init__(self, taught: Lesson, judged: Lesson, recipe: Recipe, *, seed: int, workers: int = 0) -> None:
        """`workers` processes read; 0 reads in this one."""
        super().__init__()
        self.taught, self.judged, self.recipe, self.seed, self.workers = taught, judged, recipe, seed, workers

    def train_dataloader(self) -> DataLoader[Shown]:
        """The coming epoch's."""
        trainer, fit = self.trainer, self.recipe.fit
        place, epoch = ((trainer.global_rank, trainer.world_size), trainer.current_epoch) if trainer else ((0, 1), 0)
        key = (self.seed, epoch)
        shows = Shows(self.taught, self.recipe, key=key)
        batches = Batches(shows.clip, fit.batch, clip_frames=fit.clip_frames, key=key, place=place)
        return DataLoader(
            shows, batch_sampler=batches, collate_fn=partial(together, card=self.recipe.input), num_workers=self.workers
        )

    def val_dataloader(self) -> DataLoader[Shown]:
        """The judging part, whole in every process."""
        shows = Shows(self.judged, self.recipe)
        return DataLoader(shows, batch_size=self.recipe.fit.batch, collate_fn=partial(together, card=self.recipe.input))


def together(items: Sequence[Shown], card: Input) -> Batch:
    """Frames as shown -> frames, where, labels, judge, good, clip of one batch."""
    frames = normalised(np.stack([item.picture for item in items]), card)
    return (
        frames.contiguous(memory_format=torch.channels_last),
        torch.from_numpy(np.stack([item.where for item in items])),
        torch.from_numpy(np.stack([item.labels for item in items])),
        torch.tensor([item.judge for item in items]),
        torch.tensor([item.good for item in items]),
        torch.tensor([item.clip for item in items]),
    )


class Seeds(Callback):
    """Chance inside the network (dropout) follows from seed, epoch and process, also after a restart."""

    def __init__(self, seed: int) -> None:
        """Of the run."""
        self.seed = seed

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Seed the epoch."""
        torch.manual_seed((self.seed * 1_000_003 + trainer.current_epoch) * 1_009 + trainer.global_rank)


class Averaged(WeightAveraging):
    """Exponential moving average of weights, which follows closely while there are few steps behind it."""

    def __init__(self, decay: float) -> None:
        """`decay` in the long run, 0..1."""

        def follow(average: torch.Tensor, current: torch.Tensor, count: Any) -> torch.Tensor:
            n = float(count)
            return average + (current - average) * (1 - min(decay, (1 + n) / (10 + n)))

        super().__init__(avg_fn=follow)


class Curves(Callback):
    """A row of figures for every epoch, and the weights with the lowest validation loss.

    Attributes:
        rows: [{"epoch": from 1, "train_loss", "validation_loss", "validation_right", "rate"}].
        best: the lowest validation loss so far.
    """

    def __init__(self, file: Path | None) -> None:
        """`file` for the best weights, None keeps none."""
        self.file, self.rows, self.best = file, list[dict[str, float]](), math.inf

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Note the epoch. Stands before the averaging, so that the weights are those that were validated."""
        if not isinstance(pl_module, FrameFit):
            raise TypeError("curves are those of a FrameFit")
        found = {"train_loss": pl_module.taught, "validation_loss": pl_module.lost,
                 "validation_right": pl_module.right}  # fmt: skip
        row = {name: float(one.compute()) for name, one in found.items() if one.update_called}
        for one in found.values():
            one.reset()
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        self.rows.append({"epoch": trainer.current_epoch + 1, **row, "rate": rate})
        pl_module.log_dict(row, prog_bar=True)
        if row.get("validation_loss", math.inf) < self.best:
            self.best = row["validation_loss"]
            if self.file is not None and trainer.is_global_zero:
                save_tensors(pl_module.network.state_dict(), self.file)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"rows": self.rows, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.rows, self.best = list(state_dict["rows"]), float(state_dict["best"])


class Kept(Checkpoint):
    """A checkpoint after each epoch: written aside, flushed, renamed; a reader sees the old one or the new one."""

    def __init__(self, file: Path) -> None:
        """Where it lies."""
        self.file = file

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep everything that the next epoch needs."""
        part = self.file.with_name(f".{self.file.name}.part")
        trainer.save_checkpoint(part)
        if trainer.is_global_zero:
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.replace(self.file)
