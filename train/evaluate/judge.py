"""One set of frames or clips to every figure that may be stated of it, with intervals.

The rule: of a class with fewer than FEWEST patients who show it, or fewer than FEWEST who were asked and do not, no
figure is stated; it is "not estimable" and its patients are counted. Means are over the other classes, and name them.
The rule looks at the truth alone, so that two networks judged on the same set are judged on the same classes.

What this is not: what a figure means (`figures`), or a page (`page`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from train.evaluate import figures
from train.evaluate.figures import Bools, Floats
from train.evaluate.resample import Chance, interval, resampled
from train.evaluate.units import Units

FEWEST = 5
ONE_CLASS = ("precision", "specificity", "f1", "recall", "accuracy", "auc", "average_precision")
"""Names of the figures of one class against the rest; those before the last two need a threshold."""


@dataclass(frozen=True)
class Judged:
    """What is said of a set of units.

    Attributes:
        row: for JSON; a figure is {"value", "low", "high"}, or null where it is not estimable.
        samples: name -> figure of every resample, to pair two judgements of the same units.
    """

    row: dict[str, Any]
    samples: Mapping[str, Floats]


def judged(units: Units, chance: Chance) -> Judged:
    """Every figure of some units."""
    enough = [_is_estimable(units, units.truth[:, k]) for k in range(len(units.class_ids))]
    classes = [k for k, is_there in enumerate(enough) if is_there]
    pairs = [pair for pair in combinations(range(len(enough)), 2) if _is_pair(units, *pair)]
    is_whole = _is_whole(units)

    def statistic(weights: Floats) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        for k in classes:
            found |= {f"{units.class_ids[k]}/{name}": value for name, value in _of_class(units, k, weights).items()}
        for name in ONE_CLASS if classes else ():
            parts = [found[f"{units.class_ids[k]}/{name}"] for k in classes]
            found[f"macro/{name}"] = np.mean(parts, axis=0)
        if is_whole:
            matrix = figures.confusion(units.one_sign, units.most_probable, weights, len(enough))
            found |= {"whole/accuracy": figures.share_right(matrix), "whole/kappa": figures.kappa(matrix)}
        for i, j in pairs:
            found[_pair_name(units, i, j)] = _between(units, i, j, weights)
        return found

    plain = {name: float(value[0]) for name, value in statistic(np.ones((1, len(units)))).items()}
    samples = resampled(statistic, units.patient, chance) if plain else {}
    stated = {name: _figure(value, samples[name], chance) for name, value in plain.items()}
    return Judged(_row(units, enough, stated), samples)


def _of_class(units: Units, k: int, weights: Floats) -> dict[str, Floats]:
    t = figures.tally(units.called[:, k], units.truth[:, k], weights)
    found = figures.steps(units.probability[:, k], units.truth[:, k], weights)
    values = (figures.precision(t), figures.specificity(t), figures.f1(t), figures.recall(t), figures.accuracy(t),
              figures.auc(found), figures.average_precision(found))  # fmt: skip
    return dict(zip(ONE_CLASS, values, strict=True))


def only(units: Units, i: int, j: int) -> Floats:
    """(N,) 1 where class j is there and i is not, 0 the other way round, NaN elsewhere and where a third is there."""
    others = np.delete(units.truth, (i, j), axis=1)
    first, second = units.truth[:, i], units.truth[:, j]
    is_told = (first + second == 1) & ~(others == 1).any(axis=1)
    return np.where(is_told, second, np.nan)


def _between(units: Units, i: int, j: int, weights: Floats) -> Floats:
    leaning = units.probability[:, j] - units.probability[:, i]
    return figures.auc(figures.steps(leaning, only(units, i, j), weights))


def _is_pair(units: Units, i: int, j: int) -> bool:
    return _is_estimable(units, only(units, i, j))


def _pair_name(units: Units, i: int, j: int) -> str:
    return f"pair/{units.class_ids[i]}/{units.class_ids[j]}"


def _is_whole(units: Units) -> bool:
    has_one = units.one_sign >= 0
    return len(set(units.patient[has_one])) >= FEWEST and len(set(units.one_sign[has_one])) >= 2


def _patients(units: Units, mask: Bools) -> int:
    return len(set(units.patient[mask]))


def _is_estimable(units: Units, truth: Floats) -> bool:
    return min(_patients(units, truth == 1), _patients(units, truth == 0)) >= FEWEST


def _figure(value: float, samples: Floats, chance: Chance) -> dict[str, float | None] | None:
    if not np.isfinite(value):
        return None
    low, high = interval(samples, chance.level) or (None, None)
    return {"value": value, "low": low, "high": high}


def _row(units: Units, enough: list[bool], stated: Mapping[str, Any]) -> dict[str, Any]:
    plain = np.ones(len(units))
    matrix = figures.confusion(units.one_sign, units.most_probable, plain, len(enough))
    return {
        "units": len(units),
        "patients": len(set(units.patient)),
        "classes": {name: _class_row(units, k, stated) for k, name in enumerate(units.class_ids)},
        "macro": {
            "classes": [name for name, is_there in zip(units.class_ids, enough, strict=True) if is_there],
            "figures": {name: stated.get(f"macro/{name}") for name in ONE_CLASS},
        },
        "whole": {
            "units": int(matrix.sum()),
            "patients": _patients(units, units.one_sign >= 0),
            "matrix": matrix.astype(int).tolist(),
            "figures": {name: stated.get(f"whole/{name}") for name in ("accuracy", "kappa")},
        },
        "pairs": [_pair_row(units, i, j, stated) for i, j in combinations(range(len(enough)), 2)],
    }


def _class_row(units: Units, k: int, stated: Mapping[str, Any]) -> dict[str, Any]:
    name, truth = units.class_ids[k], units.truth[:, k]
    counts = figures.tally(units.called[:, k], truth, np.ones(len(units)))
    return {
        "n": int((~np.isnan(truth)).sum()),
        "positive": int((truth == 1).sum()),
        "patients": {
            "asked": _patients(units, ~np.isnan(truth)),
            "positive": _patients(units, truth == 1),
            "negative": _patients(units, truth == 0),
        },
        "is_estimable": _is_estimable(units, truth),
        "counts": {cell: int(value) for cell, value in counts._asdict().items()},
        "figures": {figure: stated.get(f"{name}/{figure}") for figure in ONE_CLASS},
    }


def _pair_row(units: Units, i: int, j: int, stated: Mapping[str, Any]) -> dict[str, Any]:
    truth = only(units, i, j)
    return {
        "classes": [units.class_ids[i], units.class_ids[j]],
        "n": [int((truth == side).sum()) for side in (0, 1)],
        "patients": [_patients(units, truth == side) for side in (0, 1)],
        "auc": stated.get(_pair_name(units, i, j)),
    }
