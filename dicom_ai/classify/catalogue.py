"""Which models are installed: the demonstration models of the package and the folders under <data>/models.

What this is not: a check of weights; `dicom_ai.classify.runtime` refuses a model whose files are not the card's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

import models.card
from dicom_ai.errors import CardMismatch, ModelError
from dicom_ai.finding import Rules
from models.card import ModelCard

DEMO = Path(models.card.__file__).parent / "demo"
_GRADES = ("demonstration", "research", "clinical")


@dataclass(frozen=True)
class Installed:
    """A model folder and its card.

    Attributes:
        is_signed: whether a trusted signature over the folder was verified. Nothing verifies one yet, so every model
            that is found is unsigned.
    """

    folder: Path
    card: ModelCard
    is_signed: bool = False

    @property
    def grade(self) -> str:
        """What its results may be used for: what the card claims if that is signed, else a demonstration."""
        return self.card.grade if self.is_signed else _GRADES[0]

    @property
    def rules(self) -> Rules:
        """The part of the card that decides."""
        return rules_of(self.card)


def rules_of(card: ModelCard) -> Rules:
    """The part of a card that decides."""
    return Rules(
        class_ids=card.class_ids,
        thresholds=tuple(c.threshold for c in card.classes),
        head=card.head,
        frame_to_clip=card.pooling.frame_to_clip,
        clip_to_study=card.pooling.clip_to_study,
        assessable_from=card.abstain.threshold if card.abstain.kind == "assessability_output" else 0.0,
    )


def installed(data: Path | None = None) -> tuple[Installed, ...]:
    """Every model there is, by task, then name and version.

    Args:
        data: the data folder; its `models/*` are listed beside the package's demonstration models.

    Raises:
        CardMismatch: a folder holds a `card.json` that is not a model card; the folder is named.
    """
    roots = [DEMO] if data is None else [DEMO, data / "models"]
    found = [read_installed(path.parent) for root in roots for path in sorted(root.glob("*/card.json"))]
    return tuple(sorted(found, key=lambda one: (one.card.task, one.card.name, _version(one.card))))


def read_installed(folder: Path) -> Installed:
    """The model in one folder.

    Raises:
        CardMismatch: no readable `card.json`.
    """
    try:
        return Installed(folder, models.card.read_card(folder))
    except OSError as exc:
        raise CardMismatch(f"{folder} has no readable card.json") from exc
    except ValidationError as exc:
        raise CardMismatch(f"{folder / 'card.json'} has {exc.error_count()} wrong fields, e.g. {_first(exc)}") from exc


def active(task: str, models_there: Sequence[Installed], digest: str | None = None) -> Installed:
    """The model that answers for a task.

    Args:
        task: "lung-signs" or "uterine-lesions".
        models_there: from `installed`.
        digest: card digest (or its beginning, at least 8 digits) that someone chose; None takes the highest
            grade, of equals the highest grade claimed, and then the last by name and version.

    Raises:
        ModelError: no model for this task, or none or more than one with this digest.
    """
    fitting = [one for one in models_there if one.card.task == task]
    if digest is not None:
        fitting = [one for one in fitting if len(digest) >= 8 and one.card.digest.startswith(digest)]
        if len({one.card.digest for one in fitting}) > 1:
            raise ModelError(f"more than one model for {task} has a digest that begins with {digest}")
    if not fitting:
        wanted = f" with digest {digest}" if digest else ""
        raise ModelError(f"no model is installed for {task}{wanted}")
    return max(fitting, key=_rank)


def _rank(one: Installed) -> tuple[int, int, str, tuple[int, ...]]:
    return _GRADES.index(one.grade), _GRADES.index(one.card.grade), one.card.name, _version(one.card)


def _version(card: ModelCard) -> tuple[int, ...]:
    # 0.10.0 comes after 0.9.0, which text order would turn round
    return tuple(int(part) if part.isdigit() else 0 for part in card.version.split("."))


def _first(exc: ValidationError) -> str:
    error = exc.errors()[0]
    return f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
