"""Runs to `report.json`: every figure of every run, and what the runs say together.

    {"schema_version": 1, "chance": {...}, "rule": {"fewest_patients": 5}, "runs": [RUN, …], "compared": [...],
     "gaps": [...]}

A RUN carries what `train.report_of_test` reads: model, data, split, metrics. Of a single run these stand at the top as
well, so that the report is evidence for its promotion; several runs are evidence for none.

What this is not: pictures or words (`page`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from train.evaluate.calibrate import calibration, fitted_elsewhere
from train.evaluate.compare import compared, gaps, require_beside
from train.evaluate.figures import Floats
from train.evaluate.judge import FEWEST, judged
from train.evaluate.resample import Chance
from train.evaluate.runs import Run
from train.evaluate.told import Told
from train.evaluate.units import GROUPS, Units, clips_of, frames_of, probabilities

SCHEMA_VERSION = 1
EVIDENCE = ("model", "data", "split", "metrics")


def told_of(run: Run, chance: Chance) -> Told:
    """Judge one run.

    Raises:
        ValueError: its predictions cannot be judged.
    """
    probability = probabilities(run.told.logits, run.told.head, run.temperature)
    levels = {
        "frame": frames_of(run.told, probability, run.rules),
        "clip": clips_of(run.told, probability, run.rules),
    }
    overall = {level: judged(units, chance) for level, units in levels.items()}
    fitted = fitted_elsewhere(run.told, run.other, chance.seed)
    temperatures: dict[str, Floats | float] = {"before": 1.0, "after": fitted.temperature}
    if run.card is not None:
        temperatures["card"] = run.temperature
    row = {
        "name": run.name,
        "recipe": run.word("recipe"),
        "predictions": run.digest,
        "model": {"weights": run.weights} if run.weights else None,
        "data": {"digest": run.word("data", "digest")},
        "split": {"digest": run.word("split", "digest"), "by": run.word("split", "by")},
        "metrics": promotion_metrics(overall["clip"].row),
        "decision": _decision(run),
        "levels": {
            level: {"overall": overall[level].row, "groups": _groups(units, chance), "folds": _folds(units)}
            for level, units in levels.items()
        },
        "calibration": {
            "fitted_on": fitted.on,
            "temperature": sorted(set(np.round(fitted.temperature, 4).tolist())),
            "levels": calibration(run.told, run.rules, temperatures, chance),
        },
        "curves": run.stated.get("curves"),
    }
    return Told(run, levels["frame"], levels["clip"], overall, row)


def report_of(runs: Sequence[Run], chance: Chance) -> tuple[dict[str, Any], list[Told]]:
    """Judge runs, singly and together.

    Raises:
        ValueError: two have one name, predictions cannot be judged, or a split by image would stand alone.
    """
    if len({run.name for run in runs}) != len(runs):
        raise ValueError("two runs have one name; rename a folder, or the name in its run.json")
    require_beside(runs)
    told = [told_of(run, chance) for run in runs]
    report = {
        "schema_version": SCHEMA_VERSION,
        "chance": {"resamples": chance.resamples, "seed": chance.seed, "level": chance.level, "drawn": "patients"},
        "rule": {"fewest_patients": FEWEST},
        "runs": [one.row for one in told],
        "compared": compared(told, chance),
        "gaps": gaps(told, chance),
    }
    if len(told) == 1:
        report |= {name: told[0].row[name] for name in EVIDENCE}
    return report, told


def promotion_metrics(row: Mapping[str, Any]) -> dict[str, Any]:
    """The few figures that a promotion compares, of clips: area under the ROC curve and F1, null if not estimable."""

    def plain(figures: Mapping[str, Any]) -> dict[str, float | None]:
        return {name: figures[name]["value"] if figures[name] else None for name in ("auc", "f1")}

    classes = {name: plain(one["figures"]) | {"n": one["n"]} for name, one in row["classes"].items()}
    return {"unit": "clip", "macro": plain(row["macro"]["figures"]), "per_class": classes}


def _decision(run: Run) -> dict[str, Any]:
    rules = run.rules
    return {
        "thresholds": dict(zip(rules.class_ids, rules.thresholds, strict=True)), "head": rules.head,
        "frame_to_clip": rules.frame_to_clip, "temperature": run.temperature,
        "stated_by": "of_card" if run.card is not None else "default",
    }  # fmt: skip


def _groups(units: Units, chance: Chance) -> dict[str, Any]:
    """Figures per source, device and probe; of those that divide nothing there are none."""
    found: dict[str, Any] = {}
    for group in GROUPS:
        column = getattr(units, group)
        names = np.unique(column).tolist()
        if len(names) > 1:
            found[group] = {name: judged(units.where(column == name), chance).row for name in names}
    return found


def _folds(units: Units) -> list[dict[str, Any]]:
    """Mean and spread over folds, each network on its own part; without intervals, since a part is small."""
    names = np.unique(units.fold).tolist()
    if len(names) < 2:
        return []
    found = []
    for name in names:
        part = judged(units.where(units.fold == name), Chance(resamples=1)).row
        values = {figure: _value(part["macro"]["figures"][figure]) for figure in ("auc", "f1")}
        values |= {figure: _value(part["whole"]["figures"][figure]) for figure in ("accuracy", "kappa")}
        found.append({"fold": name, "units": part["units"], "patients": part["patients"],
                      "classes": part["macro"]["classes"], "figures": values})  # fmt: skip
    return found


def _value(figure: Mapping[str, float] | None) -> float | None:
    return figure["value"] if figure else None
