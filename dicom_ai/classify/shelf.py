"""The models that may be used, and which of them answers for each task: the registry decides, this carries it out.

* A task the registry names a champion for: that model answers, or nothing does. Another one is never taken in its
  place.
* A task the registry has rows for but no champion: nothing answers until someone activates a model.
* A task nobody ever chose a model for: the package's demonstration model answers, as a demonstration.

A former champion may still finish what it began; a retired model may not. What this is not: the rows
(`store.model_rows`), or the proof of weights and device (`runtime`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dicom_ai.classify.catalogue import Installed, active, card_in, folders, read_installed
from dicom_ai.classify.trust import Keys, trusted
from dicom_ai.errors import DicomAIError, ModelError

CHAMPION, FORMER, RETIRED = "champion", "former", "retired"


class Named(NamedTuple):
    """A row of the registry: card digest, task, role champion | former | retired."""

    digest: str
    task: str
    role: str


@dataclass(frozen=True)
class Shelf:
    """What may be used.

    Attributes:
        models: card digest -> model that may be loaded.
        answering: task -> digest of the model that answers for it.
        refused: task -> why no model answers for it, where one should.
        broken: what is wrong with a model of the package, if anything is.
    """

    models: Mapping[str, Installed]
    answering: Mapping[str, str]
    refused: Mapping[str, DicomAIError]
    broken: ModelError | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """Every task that a model answers or should answer for, sorted."""
        return tuple(sorted(self.answering.keys() | self.refused.keys()))

    def answers(self, task: str) -> Installed:
        """The model that answers for a task; ModelError says why none does."""
        if task in self.refused:
            raise self.refused[task]
        if task not in self.answering:
            raise self.broken or ModelError(f"no model is installed for {task}")
        return self.models[self.answering[task]]

    def model(self, digest: str) -> Installed:
        """The model of a card digest; ModelError when it may not be used any more."""
        if digest not in self.models:
            raise ModelError("a model that was chosen is not installed any more")
        return self.models[digest]


def shelf_of(given: Sequence[Installed]) -> Shelf:
    """A shelf without a registry: these models, of each task the one of the highest grade and version."""
    tasks: list[str] = sorted({one.card.task for one in given})
    answering = {task: active(task, given).card.digest for task in tasks}
    return Shelf({one.card.digest: one for one in given}, answering, {})


def shelf(rows: Sequence[Named], data: Path) -> Shelf:
    """The shelf of a data folder as the registry has it.

    Args:
        rows: of the registry.
        data: the data folder: its models and its trusted keys.
    """
    keys = trusted(data)
    models, broken = _bundled(keys)
    chosen = {row.task for row in rows}
    answering = dict(shelf_of([one for one in models.values() if one.card.task not in chosen]).answering)
    refused: dict[str, DicomAIError] = {}
    where = _folders_by_digest(data)
    for row in rows:
        if row.role == RETIRED:
            continue
        try:
            models[row.digest] = _named(row, where, keys)
            if row.role == CHAMPION:
                answering[row.task] = row.digest
        except ModelError as exc:
            if row.role == CHAMPION:
                refused[row.task] = exc
    for task in sorted(chosen - answering.keys() - refused.keys()):
        refused[task] = ModelError(f"the registry names none for {task}; run `dicom-ai models activate DIGEST`")
    return Shelf(models, answering, refused, broken)


def _bundled(keys: Keys) -> tuple[dict[str, Installed], ModelError | None]:
    """The package's own models by digest, and what is wrong with one of them."""
    models, broken = {}, None
    for folder in folders():
        try:
            one = read_installed(folder, keys).require_trust()
            models[one.card.digest] = one
        except ModelError as exc:
            broken = exc
    return models, broken


def _folders_by_digest(data: Path) -> dict[str, list[Path]]:
    """Card digest -> folders; one whose card cannot be read has none and is nobody's."""
    found: dict[str, list[Path]] = {}
    for folder in folders(data):
        try:
            found.setdefault(card_in(folder).digest, []).append(folder)
        except ModelError:
            continue
    return found


def _named(row: Named, where: Mapping[str, Sequence[Path]], keys: Keys) -> Installed:
    if not where.get(row.digest):
        raise ModelError(
            f"the registry names card {row.digest[:12]} for {row.task}, and no folder in the data folder's models "
            "holds it unchanged; install that folder again, or activate another model"
        )
    one = _first_sound(where[row.digest], keys)
    if one.card.task != row.task:
        raise ModelError(f"card {row.digest[:12]} is for {one.card.task}, the registry names it for {row.task}")
    return one.require_trust()


def _first_sound(copies: Sequence[Path], keys: Keys) -> Installed:
    """The same card may lie in two folders; a damaged copy does not take the sound one down."""
    for folder in copies[:-1]:
        try:
            return read_installed(folder, keys)
        except ModelError:
            continue
    return read_installed(copies[-1], keys)
