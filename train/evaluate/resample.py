"""Intervals: patients are drawn with replacement, with all that belongs to them, and every figure is taken again.

Frames of one clip and clips of one patient are alike; drawing them singly would promise a certainty that is not there.
Two judgements of the same patients draw the same patients, so that their differences can be paired.

What this is not: what is drawn again (`figures`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from train.evaluate.figures import Floats

Statistic = Callable[[Floats], Mapping[str, Floats]]
"""Weights (b, N) -> name -> figure (b,)."""
AT_ONCE = 4_000_000
"""Weights held at a time."""


@dataclass(frozen=True)
class Chance:
    """How often patients are drawn, and from which seed; `level` is the share of draws inside an interval."""

    resamples: int = 1000
    seed: int = 0
    level: float = 0.95


def draws(n_patients: int, chance: Chance) -> npt.NDArray[np.int64]:
    """How often each patient was drawn: int (resamples, patients), rows add up to the number of patients."""
    rng = np.random.default_rng(chance.seed)
    return rng.multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=chance.resamples)


def resampled(statistic: Statistic, patient: npt.NDArray[np.str_], chance: Chance) -> dict[str, Floats]:
    """The statistic of every resample.

    Args:
        statistic: of units in the order of `patient`.
        patient: (N,) to whom each unit belongs.
        chance: how often.

    Returns:
        name -> (resamples,).
    """
    names, member = np.unique(patient, return_inverse=True)
    counts = draws(len(names), chance)
    each = max(1, AT_ONCE // len(patient))
    parts = [statistic(counts[at : at + each][:, member].astype(float)) for at in range(0, len(counts), each)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def interval(values: Floats, level: float) -> tuple[float, float] | None:
    """Percentile interval of the resamples in which the figure exists; None where it exists in fewer than half.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    there = values[np.isfinite(values)]
    if 2 * len(there) < len(values) or not len(there):
        return None
    low, high = np.quantile(there, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
