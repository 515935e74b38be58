"""Predictions for tests of `train evaluate`, drawn from a seed: patients with clips, some classes rare or not asked."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.evaluate.runs import PREDICTIONS, STATED
from train.tables import Predictions

LUNG = ("a_lines", "b_lines", "pleural_effusion", "consolidation")
UTERUS = ("endometrial_polyp", "submucous_fibroid", "normal")


def predictions(
    seed: int = 0, *, patients: int = 30, clips: int = 3, frames: int = 4, head: str = "sigmoid", **changes: Any
) -> Predictions:
    """A network of some skill: evidence follows the truth with noise that frames of a patient share.

    `skill` (1.5), `folds` (1), `features` (8), `class_ids`, `rare` (patients who may show the third class, 3).
    """
    rng = np.random.default_rng(seed)
    ids: tuple[str, ...] = changes.get("class_ids", LUNG if head == "sigmoid" else UTERUS)
    n = patients * clips
    of = np.repeat(np.arange(patients), clips)
    if head == "sigmoid":
        truth = (rng.random((n, len(ids))) < 0.4).astype(float)
        truth[of >= changes.get("rare", 3), 2] = 0.0
        truth[of % 2 == 1, 2] = np.nan  # one source was never asked about it
    else:
        truth = np.eye(len(ids))[rng.integers(0, len(ids), n)]
    truth, of = np.repeat(truth, frames, axis=0), np.repeat(of, frames)
    shared = rng.normal(0, 0.7, (patients, len(ids)))[of]
    evidence = changes.get("skill", 1.5) * (np.nan_to_num(truth) - 0.5) + shared + rng.normal(0, 0.7, truth.shape)
    width = changes.get("features", 8)
    names = np.array([f"{number:016x}" for number in range(patients)])
    return Predictions(
        ids, head, (2 * evidence).astype(np.float32), truth.astype(np.float32),
        clip=np.array([f"{number:024x}" for number in np.repeat(np.arange(n), frames)]), patient=names[of],
        source=np.where(of % 2 == 1, "lumify", "atlas"), device=np.full(len(of), ""), probe=np.full(len(of), "convex"),
        frame=np.tile(np.arange(1, frames + 1), n), fold=of % changes.get("folds", 1),
        features=np.hstack([np.nan_to_num(truth), rng.normal(0, 0.5, (len(of), width))]).astype(np.float32)[:, :width],
    )  # fmt: skip


def run_folder(folder: Path, told: Predictions, **stated: Any) -> Path:
    """A run with these predictions and this `run.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    told.write(folder / PREDICTIONS)
    (folder / STATED).write_text(json.dumps(stated), encoding="utf-8")
    return folder


def curves(losses: Sequence[float]) -> list[dict[str, float]]:
    """Rows of `run.json`."""
    return [{"epoch": at, "train_loss": loss, "right": 1 - loss} for at, loss in enumerate(losses, 1)]
