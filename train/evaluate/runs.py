"""What lies in the folder of a run: predictions, and what is known of how they came about.

    RUN/predictions.npz              of the part that judges (`train.tables.Predictions`)
    RUN/validation.npz               of the validation part; a temperature is fitted on it (may be missing)
    RUN/run.json                     {"name", "recipe", "data": {"digest"}, "split": {"digest", "by", "beside"},
                                      "curves": [{"epoch": 1, "train_loss": 1.2, …}, …]}; every field may be missing
    RUN/card.json, RUN/weights.safetensors, or both under RUN/model: thresholds and pooling (may be missing)
    RUN/maps.npz                     pictures and heat for the gallery (may be missing)

What this is not: a statement that any of it is so; digests of files are taken here, those of data are the run's word.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dicom_ai.classify.catalogue import rules_of
from dicom_ai.finding import Rules
from models.card import CARD, ModelCard, read_card
from models.weights import WEIGHTS
from train.tables import Predictions, read_predictions

PREDICTIONS, VALIDATION, STATED = "predictions.npz", "validation.npz", "run.json"


@dataclass(frozen=True)
class Run:
    """One run to be judged.

    Attributes:
        name: of the run, else of its folder. folder: of it.
        told: predictions that are judged. digest: SHA-256 hex of their file.
        other: predictions of the validation part.
        card: of the model made of it. weights: SHA-256 hex of the weights' file.
        stated: `run.json`, {} without one.
    """

    name: str
    folder: Path
    told: Predictions
    digest: str
    other: Predictions | None
    card: ModelCard | None
    weights: str | None
    stated: dict[str, Any]

    @property
    def rules(self) -> Rules:
        """The card's; without one a half for each sign, the most probable for a softmax head."""
        if self.card is not None:
            return rules_of(self.card)
        return default_rules(self.told.class_ids, self.told.head)

    @property
    def temperature(self) -> float:
        """The card's; 1 without one."""
        is_set = self.card is not None and self.card.calibration.kind == "temperature"
        return self.card.calibration.temperature if self.card is not None and is_set else 1.0

    def word(self, *keys: str) -> Any:
        """A field of `run.json`; None where it is not stated."""
        found: Any = self.stated
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    @property
    def is_by_image(self) -> bool:
        """Whether neighbours of judged frames were learned from."""
        return bool(self.word("split", "by") == "image")


def default_rules(class_ids: tuple[str, ...], head: str) -> Rules:
    """How predictions without a card are called: the shipped models' pooling, a half, or the most probable."""
    if head == "softmax":
        return Rules(class_ids, (0.0,) * len(class_ids), head, "mean", "max", 0.0)
    return Rules(class_ids, (0.5,) * len(class_ids), head, "top_third_mean", "max", 0.0)


def read_run(folder: Path) -> Run:
    """Read a run.

    Raises:
        FileNotFoundError: there are no predictions.
        ValueError: they are of no form that can be judged, or of another model than the card beside them.
    """
    if not (folder / PREDICTIONS).is_file():
        raise FileNotFoundError(f"{folder} has no {PREDICTIONS}; `python -m train fit` writes it")
    stated = json.loads((folder / STATED).read_text(encoding="utf-8")) if (folder / STATED).is_file() else {}
    if not isinstance(stated, dict):
        raise ValueError(f"{folder / STATED} is not a JSON object")  # noqa: TRY004 - of a file, not of an argument
    model = next((place for place in (folder, folder / "model") if (place / CARD).is_file()), None)
    weights = next((p for p in ((model or folder) / WEIGHTS, folder / WEIGHTS) if p.is_file()), None)
    told = _shaped(read_predictions(folder / PREDICTIONS))
    other = _shaped(read_predictions(folder / VALIDATION)) if (folder / VALIDATION).is_file() else None
    run = Run(
        str(stated.get("name") or folder.resolve().name), folder, told, _sha(folder / PREDICTIONS), other,
        read_card(model) if model else None, _sha(weights) if weights else None, stated,
    )  # fmt: skip
    _require_sound(run)
    return run


def _shaped(told: Predictions) -> Predictions:
    n, k = len(told.clip), len(told.class_ids)
    rows = (told.patient, told.source, told.device, told.probe, told.frame, told.fold, told.features)
    if told.logits.shape != (n, k) or told.truth.shape != (n, k) or any(len(row) != n for row in rows) or not n:
        raise ValueError("the predictions are empty, or their columns have different lengths")
    if told.head not in {"sigmoid", "softmax"} or len(set(told.class_ids)) != k:
        raise ValueError("the predictions name no head, or a class twice")
    return told


def _require_sound(run: Run) -> None:
    """What does not belong together is not judged together."""
    said = (run.told.class_ids, run.told.head)
    if run.card is not None and (run.card.class_ids, run.card.head) != said:
        raise ValueError(f"{run.name}: the card has other classes or another head than the predictions")
    if run.other is None:
        return
    if (run.other.class_ids, run.other.head) != said:
        raise ValueError(f"{run.name}: {VALIDATION} has other classes or another head than {PREDICTIONS}")
    for fold in np.unique(run.told.fold):
        mine, its = ({*_names(told, fold, run.is_by_image)} for told in (run.told, run.other))
        if mine & its:
            raise ValueError(f"{run.name}: {len(mine & its)} patients or frames of {VALIDATION} are judged as well")


def _names(told: Predictions, fold: int, is_by_image: bool) -> list[str]:
    rows = told.fold == fold
    if is_by_image:
        return [f"{clip}#{frame}" for clip, frame in zip(told.clip[rows], told.frame[rows], strict=True)]
    return [str(name) for name in told.patient[rows]]


def _sha(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
