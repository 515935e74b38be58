"""Whether a probability means what it says, before and after one temperature, fitted on other data than judged.

What this is not: the card's calibration, which `fit` writes; here it is judged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from dicom_ai.finding import Rules
from train.evaluate import figures
from train.evaluate.figures import Floats
from train.evaluate.judge import FEWEST
from train.evaluate.resample import Chance, interval, resampled
from train.evaluate.units import Units, clips_of, frames_of, probabilities
from train.tables import Predictions

COLDEST, HOTTEST = 0.05, 20.0


@dataclass(frozen=True)
class Fitted:
    """A temperature for every row (N,), fitted on "validation", "other_folds", "other_half" or, without any, "none"."""

    temperature: Floats
    on: str


def loss(logits: npt.NDArray[np.floating], truth: npt.NDArray[np.floating], head: str) -> float:
    """Mean cross-entropy, nats: over asked labels (sigmoid), over rows with one class (softmax); NaN without any."""
    logits, truth = np.asarray(logits, float), np.asarray(truth, float)
    if head == "softmax":
        rows = (truth == 1).sum(axis=1) == 1
        losses = -log_softmax(logits, axis=1)[rows, np.nan_to_num(truth[rows]).argmax(axis=1)]
    else:
        asked = ~np.isnan(truth)
        losses = np.logaddexp(0.0, logits[asked]) - truth[asked] * logits[asked]
    return float(losses.mean()) if len(losses) else float("nan")


def temperature_of(logits: npt.NDArray[np.floating], truth: npt.NDArray[np.floating], head: str) -> float:
    """The temperature with the least cross-entropy, 0.05..20; 1 where there is nothing to fit.

    Guo et al., "On calibration of modern neural networks", ICML 2017.
    """
    if np.isnan(loss(logits, truth, head)):
        return 1.0
    bounds = (np.log(COLDEST), np.log(HOTTEST))
    found = minimize_scalar(lambda log_t: loss(logits / np.exp(log_t), truth, head), bounds=bounds, method="bounded")
    return float(np.exp(found.x))


def fitted_elsewhere(told: Predictions, other: Predictions | None, seed: int) -> Fitted:
    """A temperature for every row that no label of the row's own part has touched.

    Args:
        told: what is judged.
        other: of the validation part, fold by fold; without it the other folds, or the other half of the patients.
        seed: draws the halves.

    Raises:
        ValueError: the validation part lacks a fold.
    """
    part, on = told.fold, "other_folds"
    if other is not None:
        on = "validation"
    elif len(np.unique(told.fold)) == 1:
        names, member = np.unique(told.patient, return_inverse=True)
        if len(names) < 2:
            return Fitted(np.ones(len(told.logits)), "none")
        half = np.arange(len(names)) % 2
        part, on = np.random.default_rng(seed).permutation(half)[member], "other_half"
    found = np.ones(len(told.logits))
    for name in np.unique(part):
        if other is not None:
            rows, source = other.fold == name, other
        else:
            rows, source = part != name, told
        if not rows.any():
            raise ValueError(f"the validation part has nothing of fold {name}")
        found[part == name] = temperature_of(source.logits[rows], source.truth[rows], told.head)
    return Fitted(found, on)


def calibration(
    told: Predictions, rules: Rules, temperatures: Mapping[str, Floats | float], chance: Chance
) -> dict[str, Any]:
    """Errors of the probabilities at each of some temperatures.

    Args:
        told: what is judged.
        rules: that make clips.
        temperatures: name -> one for all, or one for each row.
        chance: of the intervals.

    Returns:
        level -> name -> {"ece", "brier"} (means over the estimable classes), {"nll"} (frames only) and per class the
        reliability {"said", "so", "weight"}.
    """
    found: dict[str, Any] = {"frame": {}, "clip": {}}
    for name, temperature in temperatures.items():
        probability = probabilities(told.logits, told.head, temperature)
        for level, make in (("frame", frames_of), ("clip", clips_of)):
            found[level][name] = _errors(make(told, probability, rules), chance)
        scaled = told.logits / np.reshape(np.asarray(temperature, float), (-1, 1))
        found["frame"][name]["nll"] = loss(scaled, told.truth, told.head)
    return found


def _errors(units: Units, chance: Chance) -> dict[str, Any]:
    enough = [
        k for k in range(len(units.class_ids))
        if min(len(set(units.patient[units.truth[:, k] == side])) for side in (0, 1)) >= FEWEST
    ]  # fmt: skip
    curves = {}
    for k in enough:
        curve = figures.reliability(units.probability[:, k], units.truth[:, k], np.ones(len(units)))
        curves[units.class_ids[k]] = {
            name: [None if np.isnan(v) else float(v) for v in values] for name, values in curve._asdict().items()
        }
    if not enough:
        return {"ece": None, "brier": None, "classes": {}}

    def statistic(weights: Floats) -> dict[str, Floats]:
        columns = [(units.probability[:, k], units.truth[:, k], weights) for k in enough]
        ece = [figures.calibration_error(figures.reliability(*column)) for column in columns]
        return {"ece": np.mean(ece, axis=0), "brier": np.mean([figures.brier(*column) for column in columns], axis=0)}

    samples = resampled(statistic, units.patient, chance)
    stated: dict[str, Any] = {}
    for name, value in statistic(np.ones((1, len(units)))).items():
        low, high = interval(samples[name], chance.level) or (None, None)
        stated[name] = {"value": float(value[0]), "low": low, "high": high}
    return stated | {"classes": curves}
