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
    """Whether two runs were judged on the same units with the same truth: only then patients can be paired."""
    if one.class_ids != other.class_ids or len(one) != len(other):
        return False
    mine, its = (units.where(np.argsort(units.key)) for units in (one, other))  # type: ignore[arg-type]
    is_same = np.array_equal(mine.key, its.key) and np.array_equal(mine.patient, its.patient)
    return is_same and np.array_equal(mine.truth, its.truth, equal_nan=True)


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


def gaps(told: Sequence[Told], chance: Chance) -> list[dict[str, Any]]:
    """By image and by patient beside each other, frame by frame as the papers counted.

    Returns:
        [{"by_image", "by_patient": names of runs, "rows": [{"figure", "by_image", "by_patient", "gap"}]}]; what is not
        estimable on either side is null. The gap is by image less by patient, with an interval where both judged the
        same frames, as those of two cross-validations.
    """
    return [
        {"by_image": one.run.name, "by_patient": other.run.name, "rows": _gap_rows(one, other, chance)}
        for one in told
        for other in told
        if one.run.is_by_image and _are_beside(one.run, other.run)
    ]


def _gap_rows(by_image: Told, by_patient: Told, chance: Chance) -> list[dict[str, Any]]:
    sides = [one.overall["frame"] for one in (by_image, by_patient)]
    is_same = _same_units(by_image.frames, by_patient.frames)
    names = ["whole/accuracy", "whole/kappa", "macro/f1", "macro/auc"]
    names += [f"{class_id}/{figure}" for class_id in sides[0].row["classes"] for figure in ("f1", "auc")]
    rows = []
    for name in names:
        values = [_figure_of(side, name) for side in sides]
        gap = None
        if all(values):
            low, high = None, None
            if is_same:
                low, high = interval(sides[0].samples[name] - sides[1].samples[name], chance.level) or (None, None)
            gap = {"value": values[0]["value"] - values[1]["value"], "low": low, "high": high}
        rows.append({"figure": name, "by_image": values[0], "by_patient": values[1], "gap": gap})
    return rows


def _figure_of(side: Judged, name: str) -> Any:
    part, figure = name.split("/")
    if part in ("whole", "macro"):
        return side.row[part]["figures"][figure]
    return side.row["classes"].get(part, {"figures": {figure: None}})["figures"][figure]
