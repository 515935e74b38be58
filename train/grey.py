"""The grey table of a model: equalisation of every picture by the histogram of the training set (reference U).

One table for all pictures, made of training frames and nothing else, stored in the card and applied by
`models.preprocess`. Black stays black: what lies outside the kept shape is no grey level of tissue. What this is not:
equalisation of each picture by its own histogram, which would turn a dark picture into noise.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from train.split import Split
from train.tables import DataSet

Counts = npt.NDArray[np.int64]


def training_histogram(made: DataSet, split: Split, fold: int = 0) -> Counts:
    """Pixels of each grey level over the training frames of a fold: int64 (256,).

    Raises:
        ValueError: the split is of another data set.
    """
    total = np.zeros(256, np.int64)
    for row in split.rows(made, fold, "train"):
        total += np.bincount(made.frames[row].ravel(), minlength=256)
    return total


def grey_table(histogram: Counts, target: Counts | None = None) -> tuple[int, ...]:
    """Grey level -> grey level, so that the histogram becomes flat, or like another one; 256 entries, never falling.

    Level 0 is not counted and stays 0; no other level becomes 0.

    Args:
        histogram: pixels of each level, int (256,), as of `training_histogram`.
        target: the histogram to match (histogram specification, Gonzalez and Woods 3.3.2); None makes it flat.

    Raises:
        ValueError: not 256 counts, or no pixel above black.
    """
    source, wished = (_shares(counts) for counts in (histogram, np.ones(256, np.int64) if target is None else target))
    # the middle of a level's share: equal histograms give every level back to itself
    middles, bounds = np.cumsum(source) - source / 2, np.cumsum(wished)
    levels = np.clip(np.searchsorted(bounds, middles, side="left"), 0, 254) + 1
    return (0, *(int(level) for level in np.maximum.accumulate(levels)))


def _shares(counts: Sequence[int] | Counts) -> npt.NDArray[np.float64]:
    """Of the levels 1 to 255."""
    values = np.asarray(counts, np.float64)
    if values.shape != (256,) or values.min() < 0 or values[1:].sum() <= 0:
        raise ValueError("a histogram has 256 counts, and some pixel that is not black")
    return np.asarray(values[1:] / values[1:].sum())
