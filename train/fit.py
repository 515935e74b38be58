"""Fit: a recipe becomes a trained network. A LightningModule and one Trainer call; the same under torchrun.

One process: `python -m train fit --recipe smoke --out runs/smoke`. Several: `torchrun --nproc-per-node 2 -m train fit
--recipe smoke --out runs/smoke`. What this is not: the folder of a run (`train.run_folder`), the model folder
(`train.model_folder`), or an evaluation.
"""

import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from safetensors.torch import load_file

from models import registry
from models.frame_classifier import FrameClassifier
from train.grey import grey_table
from train.lessons import Lesson, drawn_lesson
from train.loop import Averaged, Curves, FrameFit, Kept, Loaders, Seeds
from train.phantoms import Pictures, pictures
from train.recipe import Recipe
from train.split import Part

CHECKPOINT, BEST, LOG = "checkpoint.ckpt", "best.safetensors", "log"


@dataclass(frozen=True)
class Run:
    """Where and how one run takes place.

    Attributes:
        seed: of the start of the network, the order and the augmentation.
        limit_epochs: fewer epochs than the recipe's, None for all.
        steps: at most so many batches, None for all.
        cache: folder of drawn pictures, None draws anew.
        workers: processes that draw.
        loaders: processes that read and augment; 0 does it in the training process.
        folder: for TensorBoard's log.
        device: "auto", "cpu" or "gpu".
        is_deterministic: refuse what has no deterministic form on the device.
    """

    seed: int = 0
    limit_epochs: int | None = None
    steps: int | None = None
    cache: Path | None = None
    workers: int = 1
    loaders: int = 0
    folder: Path = Path("runs")
    device: Literal["auto", "cpu", "gpu"] = "auto"
    is_deterministic: bool = False


@dataclass(frozen=True)
class Learned:
    """What came of it: the network on the CPU in evaluation mode, and a row of figures for each epoch."""

    network: FrameClassifier
    curves: list[dict[str, float]]


def rank() -> int:
    """Number of this process among those of torchrun; 0 without it."""
    return int(os.environ.get("RANK", "0"))


def built(recipe: Recipe, seed: int) -> FrameClassifier:
    """The recipe's network, random start from `seed`: the same in every process."""
    lightning.seed_everything(seed, verbose=False)
    arguments = dict(recipe.network)
    return registry.build(arguments.pop("name"), **arguments)


def learned(
    recipe: Recipe, parts: Mapping[Part, Lesson], run: Run, *, network: FrameClassifier | None = None,
    is_resumable: bool = False,
) -> Learned:  # fmt: skip
    """Train.

    Args:
        recipe: what to make.
        parts: "train" and "validation".
        run: where and how; TensorBoard's log lies in its folder.
        network: to go on with; None starts at random.
        is_resumable: a checkpoint after each epoch in the run's folder, and going on from one that is there.
    """
    module = FrameFit(recipe, network or built(recipe, run.seed), parts["train"], is_random=network is None)
    lightning.seed_everything(run.seed, verbose=False)
    loaders = Loaders(parts["train"], parts["validation"], recipe, seed=run.seed, workers=run.loaders)
    best = run.folder / BEST if recipe.fit.keep == "best" else None
    curves, average = Curves(best), Averaged(recipe.fit.ema) if recipe.fit.ema else None
    callbacks: list[Callback] = [RichProgressBar(leave=True), Seeds(run.seed), curves]
    callbacks += [average] if average is not None else []
    if recipe.fit.patience is not None:
        callbacks.append(EarlyStopping("validation_loss", patience=recipe.fit.patience, check_finite=True))
    checkpoint = run.folder / CHECKPOINT
    callbacks += [Kept(checkpoint)] if is_resumable else []
    trainer = _trainer(recipe, run, callbacks)
    goes_on = is_resumable and checkpoint.is_file()
    with warnings.catch_warnings():
        # drawing takes its own processes before; loading arrays from memory needs none
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")  # Lightning's own use of torch
        warnings.filterwarnings("ignore", message=".*number of training batches.*logging interval")
        module.to(memory_format=torch.channels_last).train()
        trainer.fit(module, datamodule=loaders, ckpt_path=str(checkpoint) if goes_on else None, weights_only=True)
    if average is not None:
        average.on_train_end(trainer, module)  # not called when the checkpoint was of the last epoch; twice is once
    if best is not None and best.is_file():
        module.network.load_state_dict(load_file(best))
    return Learned(module.network.cpu().eval(), curves.rows)


def fit(recipe: Recipe, run: Run) -> tuple[FrameClassifier, dict[str, Pictures]]:
    """Train on the recipe's phantoms.

    Args:
        recipe: what to make.
        run: where and how.

    Returns:
        The trained network on the CPU in evaluation mode, and the pictures of the splits train, validation, test.
    """
    splits = drawn_parts(recipe, run)
    epochs = min(recipe.fit.epochs, run.limit_epochs or recipe.fit.epochs)
    shorter = recipe.model_copy(update={"fit": recipe.fit.model_copy(update={"epochs": epochs})})
    return learned(shorter, lessons_of(recipe, splits), run).network, {str(name): one for name, one in splits.items()}


def drawn_parts(recipe: Recipe, run: Run) -> dict[Part, Pictures]:
    """The recipe's phantoms, from the cache where they lie there."""
    cache = run.cache if rank() == 0 else None  # two writers of one file would spoil it
    return {
        name: pictures(recipe, getattr(recipe.phantoms, name), cache=cache, workers=run.workers)
        for name in ("train", "validation", "test")
    }


def lessons_of(recipe: Recipe, splits: Mapping[Part, Pictures]) -> dict[Part, Lesson]:
    """Drawn parts as lessons."""
    return {name: drawn_lesson(one, getattr(recipe.phantoms, name).first_seed) for name, one in splits.items()}


def equalised(recipe: Recipe, histogram: np.ndarray[Any, np.dtype[np.int64]]) -> Recipe:
    """The recipe with the grey table of a training part's histogram in its input, as the card will state it."""
    shown = recipe.input.model_copy(update={"grey_table": grey_table(histogram)})
    return recipe.model_copy(update={"input": shown})


def _trainer(recipe: Recipe, run: Run, callbacks: list[Callback]) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # it advertises services on the network
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    world, here = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    on_gpu = run.device == "gpu" or (run.device == "auto" and torch.cuda.is_available())
    return lightning.Trainer(
        max_epochs=recipe.fit.epochs,
        max_steps=-1 if run.steps is None else run.steps,
        limit_train_batches=run.steps,  # an epoch that is not finished would not be validated
        accelerator="gpu" if on_gpu else "cpu",
        devices=here,
        num_nodes=world // here,
        strategy="ddp" if world > 1 else "auto",
        precision="bf16-mixed" if on_gpu else "32-true",
        sync_batchnorm=on_gpu and world > 1,
        deterministic=run.is_deterministic,
        callbacks=callbacks,
        logger=TensorBoardLogger(run.folder, name="", version=LOG),
        default_root_dir=run.folder,
        enable_checkpointing=any(isinstance(one, Kept) for one in callbacks),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        log_every_n_steps=1 if run.steps is not None else 10,
    )
