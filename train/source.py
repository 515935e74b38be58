"""What a run learns from: a collected data set with its division, or the recipe's phantoms; and a file to start from.

What this is not: the frames themselves (`train.lessons`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.recipe import Recipe
from train.split import Split, read_split
from train.tables import DataSet, read_data_set

SPLIT = "split.json"


@dataclass(frozen=True)
class Source:
    """What a run learns from.

    Attributes:
        made, split: a collected data set and its division; without them the recipe's phantoms.
        fold: of the split, None for all of them.
        most: training frames at most, None for all; of phantoms the recipe says it.
        start: file of ImageNet weights.
    """

    made: DataSet | None = None
    split: Split | None = None
    fold: int | None = None
    most: int | None = None
    start: Path | None = None

    @property
    def folds(self) -> tuple[int, ...]:
        """Numbers of the folds to run."""
        if self.split is None:
            return (0,)
        return tuple(range(len(self.split.folds))) if self.fold is None else (self.fold,)

    def require_fits(self, recipe: Recipe) -> None:
        """Refuse what cannot teach a recipe.

        Raises:
            ValueError: one of data set and split is missing, or they, or their task and classes, do not fit.
        """
        made, split = self.made, self.split
        if (made is None) != (split is None):
            raise ValueError("a data set needs its split, and a split its data set")
        if made is None or split is None:
            return
        if (made.task, made.class_ids) != (recipe.task, recipe.class_ids):
            raise ValueError(f"{recipe.name} is of {recipe.task}, the data set of {made.task}, or their classes differ")
        if made.digest != split.data:
            raise ValueError("this split was made of another data set; divide this one")
        if self.fold is not None and not 0 <= self.fold < len(split.folds):
            raise ValueError(f"there is no fold {self.fold}; the split has {len(split.folds)}, from 0")


def source_of(
    data: Path | None,
    split: Path | None,
    *,
    fold: int | None = None,
    most: int | None = None,
    start: Path | None = None,
) -> Source:
    """Read a data set and its split; phantoms without a data set.

    Raises:
        OSError, ValueError: a file is missing or says something else; a split or a fold without a data set.
    """
    if data is None:
        if split is not None or fold is not None:
            raise ValueError("--split and --fold divide a data set: name it with --data")
        return Source(start=start)
    return Source(read_data_set(data), read_split(split or data / SPLIT), fold, most, start)


def stated_of(made: DataSet, split: Split, name: str) -> dict[str, Any]:
    """What a run's `run.json` says of its data; `name` is the run's when it is divided by patient."""
    return {
        "name": name + (" by image" if split.by == "image" else ""),
        "data": {"digest": made.digest, "kind": "collected"},
        "split": {"digest": split.digest, "by": split.by, "scheme": split.scheme, "beside": split.beside,
                  "allowed": dict(split.allowed)},
    }  # fmt: skip
