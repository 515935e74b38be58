"""The figures of both papers, each defined once. Pure: arrays in, numbers out.

Every function takes `weights` (..., N), how often each unit counts, and answers with an array (...): ones give the
plain figure, the multiplicities of a bootstrap give one figure per resample. A truth of NaN means that nobody asked:
such a unit is left out, whatever its weight. A figure without a denominator is NaN, but for a precision where nothing
was called: that is 0, as in scikit-learn.

What this is not: intervals (`resample`), or the decision what may be stated at all (`judge`).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
BINS = 10
"""Equal parts of 0..1 behind the calibration error and the reliability plot."""


class Tally(NamedTuple):
    """One class against the rest: weights of true and false positives, false and true negatives, each (...)."""

    tp: Floats
    fp: Floats
    fn: Floats
    tn: Floats


def ratio(above: Floats, below: Floats, empty: float = np.nan) -> Floats:
    """`above / below`, and `empty` where `below` is 0."""
    above, below = np.asarray(above, float), np.asarray(below, float)
    return np.where(below == 0, empty, above / np.where(below == 0, 1.0, below))


def tally(called: Bools, truth: Floats, weights: Floats) -> Tally:
    """Count one class.

    Args:
        called: bool (N,), the class was called present.
        truth: (N,) 1, 0 or NaN.
        weights: (..., N).
    """
    present, absent = truth == 1, truth == 0
    cells = (called & present, called & absent, ~called & present, ~called & absent)
    return Tally(*(np.asarray(weights @ cell.astype(float)) for cell in cells))


def precision(t: Tally) -> Floats:
    """TP / (TP + FP), positive predictive value; 0 where nothing was called."""
    return ratio(t.tp, t.tp + t.fp, empty=0.0)


def recall(t: Tally) -> Floats:
    """TP / (TP + FN), sensitivity."""
    return ratio(t.tp, t.tp + t.fn)


def specificity(t: Tally) -> Floats:
    """TN / (TN + FP)."""
    return ratio(t.tn, t.tn + t.fp)


def f1(t: Tally) -> Floats:
    """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall."""
    return ratio(2 * t.tp, 2 * t.tp + t.fp + t.fn)


def accuracy(t: Tally) -> Floats:
    """(TP + TN) / all, of one class against the rest."""
    return ratio(t.tp + t.tn, t.tp + t.fp + t.fn + t.tn)


def confusion(truth: npt.NDArray[np.int64], called: npt.NDArray[np.int64], weights: Floats, n_classes: int) -> Floats:
    """Confusion matrix (..., K, K + 1): rows truth, columns prediction, the last column "none called".

    Args:
        truth: (N,) class 0..K-1; -1 where there is not exactly one: left out.
        called: (N,) class 0..K-1; -1 where none was called.
        weights: (..., N).
        n_classes: K.
    """
    column = np.where(called < 0, n_classes, called)
    cells = np.zeros((len(truth), n_classes * (n_classes + 1)))
    rows = np.flatnonzero(truth >= 0)
    cells[rows, truth[rows] * (n_classes + 1) + column[rows]] = 1.0
    return np.asarray(weights @ cells).reshape(*weights.shape[:-1], n_classes, n_classes + 1)


def tally_of(matrix: Floats, k: int) -> Tally:
    """Class k of a confusion matrix (..., K, K or K + 1) against the rest."""
    tp = matrix[..., k, k]
    fn, fp = matrix[..., k, :].sum(axis=-1) - tp, matrix[..., :, k].sum(axis=-1) - tp
    return Tally(tp, fp, fn, matrix.sum(axis=(-2, -1)) - tp - fn - fp)


def share_right(matrix: Floats) -> Floats:
    """Diagonal over all of a confusion matrix (..., K, K or K + 1): the accuracy of the whole."""
    return ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum(axis=(-2, -1)))


def kappa(matrix: Floats) -> Floats:
    """Cohen's kappa of a confusion matrix (..., K, K or K + 1); NaN where chance alone would always be right.

    (p_o - p_e) / (1 - p_e), Cohen, Educ Psychol Meas 1960;20(1):37-46.
    """
    n_classes = matrix.shape[-2]
    total = matrix.sum(axis=(-2, -1))
    rows, columns = matrix.sum(axis=-1), matrix.sum(axis=-2)[..., :n_classes]
    chance = ratio((rows * columns).sum(axis=-1), total**2)
    is_certain = np.isclose(chance, 1.0)
    return np.where(is_certain, np.nan, (share_right(matrix) - chance) / np.where(is_certain, 1.0, 1.0 - chance))


class Steps(NamedTuple):
    """Weights of positives and negatives (..., U) at each distinct score, highest score first."""

    positive: Floats
    negative: Floats


def steps(scores: Floats, truth: Floats, weights: Floats) -> Steps:
    """What a falling threshold gathers; units of one score come together."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    shown = weights[..., order]
    parts = ((truth[order] == value).astype(float) for value in (1, 0))
    return Steps(*(np.add.reduceat(shown * part, starts, axis=-1) for part in parts))


def auc(found: Steps) -> Floats:
    """Area under the ROC curve: the share of (positive, negative) pairs in the right order, ties half.

    Hanley and McNeil, Radiology 1982;143:29-36.
    """
    below = found.negative.sum(axis=-1, keepdims=True) - np.cumsum(found.negative, axis=-1)
    right = (found.positive * (below + 0.5 * found.negative)).sum(axis=-1)
    return ratio(right, found.positive.sum(axis=-1) * found.negative.sum(axis=-1))


def average_precision(found: Steps) -> Floats:
    """Sum over thresholds of precision times what recall gained there; no interpolation, as in scikit-learn."""
    tp, fp = np.cumsum(found.positive, axis=-1), np.cumsum(found.negative, axis=-1)
    gained = ratio(found.positive, found.positive.sum(axis=-1, keepdims=True))
    return np.asarray((ratio(tp, tp + fp, empty=0.0) * gained).sum(axis=-1))


def roc(found: Steps) -> tuple[Floats, Floats]:
    """1 - specificity and recall (..., U + 1), from (0, 0) to (1, 1)."""
    shares = []
    for part in (found.negative, found.positive):
        share = ratio(np.cumsum(part, axis=-1), part.sum(axis=-1, keepdims=True))
        shares.append(np.concatenate([np.zeros((*share.shape[:-1], 1)), share], axis=-1))
    return shares[0], shares[1]


def precision_recall(found: Steps) -> tuple[Floats, Floats]:
    """Recall and precision (..., U) at each distinct score, highest score first."""
    tp, fp = np.cumsum(found.positive, axis=-1), np.cumsum(found.negative, axis=-1)
    return ratio(tp, tp[..., -1:]), ratio(tp, tp + fp, empty=1.0)


class Reliability(NamedTuple):
    """What was said and what was so, in BINS equal parts of 0..1: mean probability, share present, weight; (..., B)."""

    said: Floats
    so: Floats
    weight: Floats


def reliability(probability: Floats, truth: Floats, weights: Floats) -> Reliability:
    """Bin the probabilities of one class; NaN where a bin is empty."""
    asked = ~np.isnan(truth)
    which = np.minimum((probability * BINS).astype(int), BINS - 1)
    member = (which[:, None] == np.arange(BINS)) & asked[:, None]
    weight = np.asarray(weights @ member.astype(float))
    said = weights @ (member * probability[:, None])
    so = weights @ (member & (truth == 1)[:, None]).astype(float)
    return Reliability(ratio(said, weight), ratio(so, weight), weight)


def calibration_error(found: Reliability) -> Floats:
    """Expected calibration error, 0..1: mean distance of said and so, bins weighted by what they hold.

    Guo et al., "On calibration of modern neural networks", ICML 2017, of one class against the rest.
    """
    gaps = np.where(found.weight > 0, np.abs(found.said - found.so), 0.0)
    return ratio((found.weight * gaps).sum(axis=-1), found.weight.sum(axis=-1))


def brier(probability: Floats, truth: Floats, weights: Floats) -> Floats:
    """Mean squared distance of probability and truth of one class, 0..1."""
    asked = ~np.isnan(truth)
    missed = np.where(asked, (probability - np.nan_to_num(truth)) ** 2, 0.0)
    return ratio(weights @ missed, weights @ asked.astype(float))
