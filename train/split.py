"""Which clip belongs to which part: training, validation, test. `split.json` says it, and a digest seals it.

Two ways, two promises. Shares (`6:2:2`, `9:1`): a patient's part follows from the patient's key and the seed alone, so
it never changes when others are added; the shares hold on average, and a small set may miss them. `kfold:5`: parts are
balanced by classes and source, so every patient may move when the data grow. The papers' split of single images stands
only beside a split by patient. What this is not: the check that nothing leaks (that is `guard`).
"""

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from train.tables import Clip, DataSet

SCHEMA_VERSION = 1

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
By = Literal["patient", "image"]
Fold = Mapping[Part, tuple[str, ...]]
"""Part -> members: clip ids, or `id#n` for the n-th frame (one-based) of a clip where single images are divided."""


@dataclass(frozen=True)
class Split:
    """A divided data set.

    Attributes:
        data: digest of the data set.
        by: "patient": clips of one patient stay together. "image": nothing does.
        scheme: "6:2:2", "9:1", "kfold:5" and the like.
        seed: of it.
        folds: one for shares; k for k-fold, where fold i is tested on part i and validated on the next.
        allowed: what the guard was told to let pass, and how often it did.
        beside: digest of the split by patient beside which a split by image stands, else "".
    """

    data: str
    by: By
    scheme: str
    seed: int
    folds: tuple[Fold, ...]
    allowed: Mapping[str, int] = field(default_factory=dict)
    beside: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 hex over everything above."""
        return hashlib.sha256(json.dumps(self._row(), sort_keys=True).encode()).hexdigest()

    def rows(self, made: DataSet, fold: int, part: Part) -> npt.NDArray[np.int64]:
        """Rows of the frames' array that belong to a part, ascending.

        Raises:
            ValueError: the split is of another data set.
        """
        if made.digest != self.data:
            raise ValueError("this split was made of another data set; divide this one")
        clips = {clip.id: clip for clip in made.clips}
        found: list[int] = []
        for member in self.folds[fold][part]:
            name, _, number = member.partition("#")
            clip = clips[name]
            found += [clip.first + int(number) - 1] if number else range(clip.first, clip.first + clip.frames)
        return np.array(sorted(found), np.int64)

    def write(self, file: Path) -> None:
        """As JSON, aside and renamed."""
        aside = file.with_suffix(".part")
        aside.write_text(json.dumps(self._row() | {"digest": self.digest}, indent=1) + "\n", encoding="utf-8")
        aside.rename(file)

    def _row(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION, "data": self.data, "by": self.by, "scheme": self.scheme,
            "seed": self.seed, "allowed": dict(self.allowed), "beside": self.beside,
            "folds": [{part: list(fold[part]) for part in PARTS} for fold in self.folds],
        }  # fmt: skip


def read_split(file: Path) -> Split:
    """Read what `Split.write` wrote.

    Raises:
        FileNotFoundError: there is none; make one with `python -m train split`.
        ValueError: of another schema version, or changed by hand: its digest does not fit.
    """
    told = json.loads(file.read_text(encoding="utf-8"))
    if told.pop("schema_version", None) != SCHEMA_VERSION:
        raise ValueError(f"{file} has another schema_version than {SCHEMA_VERSION}")
    digest = told.pop("digest", None)
    folds = tuple({part: tuple(fold[part]) for part in PARTS} for fold in told.pop("folds"))
    made = Split(**told, folds=folds)
    if made.digest != digest:
        raise ValueError(f"{file} was changed after it was made: its digest does not fit")
    return made


def divided(made: DataSet, scheme: str, seed: int, by: By = "patient") -> Split:
    """Divide a data set.

    Args:
        made: the data set.
        scheme: two or three shares (`9:1` is training and validation; `6:2:2` adds a test part), or `kfold:K`, K >= 3.
        seed: another one divides otherwise.
        by: "patient" or "image".

    Raises:
        ValueError: no such scheme, or fewer patients than folds.
    """
    units = _patients(made) if by == "patient" else _images(made)
    if scheme.startswith("kfold:"):
        parts = _k_parts(units, _whole(scheme.removeprefix("kfold:"), least=3), seed)
        folds = tuple(_fold(parts, number) for number in range(len(parts)))
    else:
        folds = (_by_shares(units, shares_of(scheme), seed),)
    return Split(made.digest, by, scheme, seed, folds)


def beside(by_image: Split, by_patient: Split) -> Split:
    """The split by image, bound to the one by patient beside which alone it may be shown."""
    return replace(by_image, beside=by_patient.digest)


def shares_of(scheme: str) -> tuple[float, ...]:
    """Shares that add up to one.

    Raises:
        ValueError: not two or three positive whole numbers with colons between them.

    Examples:
        >>> shares_of("6:2:2")
        (0.6, 0.2, 0.2)
    """
    numbers = [_whole(part, least=1) for part in scheme.split(":")]
    if len(numbers) not in {2, 3}:
        raise ValueError(f"{scheme!r} is no scheme: 6:2:2, 9:1, kfold:5")
    return tuple(number / sum(numbers) for number in numbers)


def place(name: str, shares: Sequence[float], seed: int) -> int:
    """Which share a name falls into: a function of the name and the seed alone."""
    drawn = int.from_bytes(hashlib.sha256(f"{seed}\0{name}".encode()).digest()[:8], "big") / 2**64
    bounds = np.cumsum(shares)
    return min(int(np.searchsorted(bounds, drawn, side="right")), len(shares) - 1)


@dataclass(frozen=True)
class _Unit:
    """What is never divided: a patient with all clips, or one image."""

    name: str
    members: tuple[str, ...]
    kinds: tuple[str, ...]  # of each member: source and classes, what k-fold balances


def _whole(text: str, least: int) -> int:
    if not text.isdigit() or int(text) < least:
        raise ValueError(f"{text!r} is not a whole number of at least {least}; schemes are 6:2:2, 9:1, kfold:5")
    return int(text)


def _kind(clip: Clip) -> str:
    return f"{clip.source}|{','.join(sorted(name for name, value in clip.labels.items() if value == 1))}"


def _patients(made: DataSet) -> list[_Unit]:
    found: dict[str, list[Clip]] = {}
    for clip in made.clips:
        found.setdefault(clip.patient, []).append(clip)
    return [
        _Unit(name, tuple(clip.id for clip in clips), tuple(_kind(clip) for clip in clips))
        for name, clips in sorted(found.items())
    ]


def _images(made: DataSet) -> list[_Unit]:
    names = [(f"{clip.id}#{number}", _kind(clip)) for clip in made.clips for number in range(1, clip.frames + 1)]
    return [_Unit(name, (name,), (kind,)) for name, kind in names]


def _by_shares(units: Sequence[_Unit], shares: tuple[float, ...], seed: int) -> Fold:
    parts: dict[Part, list[str]] = {part: [] for part in PARTS}
    for unit in units:
        parts[PARTS[place(unit.name, shares, seed)]] += unit.members
    return {part: tuple(sorted(members)) for part, members in parts.items()}


def _k_parts(units: Sequence[_Unit], k: int, seed: int) -> list[tuple[str, ...]]:
    from sklearn.model_selection import StratifiedGroupKFold

    if len(units) < k:
        raise ValueError(f"{len(units)} patients or images cannot be divided into {k} parts")
    members = [member for unit in units for member in unit.members]
    kinds = [kind for unit in units for kind in unit.kinds]
    groups = [unit.name for unit in units for _ in unit.members]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that a kind has fewer clips than there are folds; the guard counts
        folds = StratifiedGroupKFold(k, shuffle=True, random_state=seed).split(members, kinds, groups)
        return [tuple(sorted(members[at] for at in test)) for _, test in folds]


def _fold(parts: Sequence[tuple[str, ...]], number: int) -> Fold:
    after = (number + 1) % len(parts)
    rest = [member for at, part in enumerate(parts) if at not in {number, after} for member in part]
    return {"train": tuple(sorted(rest)), "validation": parts[after], "test": parts[number]}
