"""Several runs beside each other: the table of networks, paired differences, and what splitting by image pretends.

What this is not: the judgement of one run (`judge`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from train.evaluate.judge import Judged
from train.evaluate.resample import Chance, interval
from train.evaluate.runs import Run
from train.evaluate.told import Told
from train.evaluate.units import Units

PAIRED = ("macro/auc", "macro/f1", "macro/precision", "macro/recall", "whole/accuracy", "whole/kappa")


def require_beside(runs: Sequence[Run]) -> None:
    """A split by image stands only beside the same recipe on the same data split by patient.

    Raises:
        ValueError: one stands alone.
    """
    for run in runs:
        if run.is_by_image and not any(_are_beside(run, other) for other in runs):
            raise ValueError(
                f"{run.name} was split by image: neighbours of what it is judged on were learned from. Its figures "
                "are shown only beside those of the same recipe split by patient; give that run as well"
            )


def _are_beside(by_image: Run, other: Run) -> bool:
    data = by_image.word("data", "digest")
    is_same = data is not None and data == other.word("data", "digest")
    if not is_same or by_image.word("recipe") != other.word("recipe") or other.word("split", "by") != "patient":
        return False
    beside = by_image.word("split", "beside")
    return not beside or bool(beside == other.word("split", "digest"))


def compared(told: Sequence[Told], chance: Chance) -> list[dict[str, Any]]:
    """Each run beside the first, on clips: its figures, and the difference where both judged the same units.

    Returns:
        [{"name", "same_units", "classes", "macro", "whole", "difference"}], a difference as {"value", "low", "high"};
        [] of one run.
    """
    if len(told) < 2:
        return []
    first = told[0]
    rows = []
    for one in told:
        row = one.overall["clip"].row
        is_same = _same_units(first.clips, one.clips)
        differences = _differences(first.overall["clip"], one.overall["clip"], chance) if is_same else {}
        rows.append({"name": one.run.name, "same_units": is_same, "classes": row["macro"]["classes"],
                     "macro": row["macro"]["figures"], "whole": row["whole"]["figures"],
                     "difference": differences if one is not first else {}})  # fmt: skip
    return rows


def _same_units(one: Units, other: Units) -> bool:
    """Whether two runs were judged on the same clips with the same truth: only then patients can be paired."""
    if one.class_ids != other.class_ids or not np.array_equal(one.key, other.key):
        return False
    return np.array_equal(one.patient, other.patient) and np.array_equal(one.truth, other.truth, equal_nan=True)


def _differences(first: Judged, other: Judged, chance: Chance) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in PAIRED:
        part, figure = name.split("/")
        mine, its = (one.row[part]["figures"][figure] for one in (other, first))
        if mine is None or its is None:
            continue
        low, high = interval(other.samples[name] - first.samples[name], chance.level) or (None, None)
        found[name] = {"value": mine["value"] - its["value"], "low": low, "high": high}
    return found


def gaps(told: Sequence[Told]) -> list[dict[str, Any]]:
    """By image and by patient beside each other, frame by frame as the papers counted.

    Returns:
        [{"by_image", "by_patient": names of runs, "rows": [{"figure", "by_image", "by_patient"}]}]; what is not
        estimable on either side is null.
    """
    return [
        {"by_image": one.run.name, "by_patient": other.run.name, "rows": _gap_rows(one, other)}
        for one in told
        for other in told
        if one.run.is_by_image and _are_beside(one.run, other.run)
    ]


def _gap_rows(by_image: Told, by_patient: Told) -> list[dict[str, Any]]:
    sides = [one.overall["frame"].row for one in (by_image, by_patient)]
    rows = [
        _gap_row(f"{part}/{figure}", [side[part]["figures"][figure] for side in sides])
        for part, figure in (("whole", "accuracy"), ("whole", "kappa"), ("macro", "f1"), ("macro", "auc"))
    ]
    for name in sides[0]["classes"]:
        for figure in ("f1", "auc"):
            values = [side["classes"].get(name, {"figures": {figure: None}})["figures"][figure] for side in sides]
            rows.append(_gap_row(f"{name}/{figure}", values))
    return rows


def _gap_row(name: str, values: list[Any]) -> dict[str, Any]:
    return {"figure": name, "by_image": values[0], "by_patient": values[1]}
