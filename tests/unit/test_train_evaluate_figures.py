"""The papers' figures: against tables counted by hand, what the papers print, and scikit-learn on random data."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from train.evaluate import figures, published

LUNG = np.array([[8, 1, 1, 0], [2, 6, 0, 2], [0, 0, 5, 0], [1, 0, 0, 4]], float)
"""Rows truth, columns prediction; 30 images, 23 of them right."""

UTERUS = np.array([[50, 0, 9], [1, 18, 4], [9, 0, 34]], float)
"""59 polyps, 23 fibroids, 43 normal: the one table found on these numbers that gives the three printed figures."""

ONE = (figures.precision, figures.specificity, figures.f1, figures.recall, figures.accuracy)


def of_class(matrix, k):
    t = figures.tally_of(matrix, k)
    return [float(of(t)) for of in ONE]


def test_a_table_counted_by_hand():
    # A-lines: 8 found, 3 wrongly called, 2 missed, 17 rightly not called
    assert of_class(LUNG, 0) == pytest.approx([8 / 11, 17 / 20, 16 / 21, 8 / 10, 25 / 30])
    # effusion: 5 found, 1 wrongly called, 0 missed, 24 rightly not called
    assert of_class(LUNG, 2) == pytest.approx([5 / 6, 24 / 25, 10 / 11, 1.0, 29 / 30])
    assert float(figures.share_right(LUNG)) == pytest.approx(23 / 30)
    # by chance: rows 10, 10, 5, 5 with columns 11, 7, 6, 6 give 110 + 70 + 30 + 30 of 900
    assert float(figures.kappa(LUNG)) == pytest.approx((23 / 30 - 240 / 900) / (1 - 240 / 900))


def test_the_uterus_papers_figures_come_from_one_table_and_its_confusions_do_not():
    means = [100 * np.mean([of_class(UTERUS, k)[at] for k in range(3)]) for at in (0, 3, 2)]
    assert [f"{mean:.2f}" for mean in means] == list(published.UTERUS["Inception-v3"])
    assert of_class(UTERUS, 1)[0] == 1  # "fibroid precision 100 %"
    assert UTERUS[0, 2] + UTERUS[2, 0] == 18  # the text says 5 confusions of polyp and normal
    assert UTERUS[0, 1] + UTERUS[1, 0] == 1  # and 4 of fibroid and polyp


def test_what_the_lung_paper_prints_and_what_does_not_reconcile():
    rows = published.LUNG.values()
    mean = {name: np.mean([getattr(row, name) for row in rows]) for name in published.Lung._fields}
    assert mean["precision"] == pytest.approx(published.LUNG_ALL.precision, abs=0.006)
    assert mean["specificity"] == pytest.approx(published.LUNG_ALL.specificity, abs=0.006)
    assert mean["recall"] == pytest.approx(published.LUNG_ALL.recall, abs=0.006)
    # the printed F1 is neither the mean of the printed F1, nor of what precision and recall give
    harmonic = [2 * row.precision * row.recall / (row.precision + row.recall) for row in rows]
    assert [round(mean["f1"], 2), round(np.mean(harmonic), 2)] == [90.58, 90.75]
    assert published.LUNG_ALL.f1 == 90.50
    # the first row of the matrix, 264 A-lines, is of another run than the recall of the table
    first = np.array(published.LUNG_FIRST_ROW, float)
    t = figures.tally_of(np.vstack([np.r_[first, 0], np.zeros((3, 4))]), 0)
    assert round(100 * float(figures.recall(t)), 2) == 89.77 != published.LUNG["a_lines"].recall
    # of K classes the mean accuracy one-vs-rest is 1 - 2 (1 - accuracy) / K, in any one table
    assert np.mean([of_class(LUNG, k)[4] for k in range(4)]) == pytest.approx(1 - 2 * (1 - 23 / 30) / 4)
    assert round(100 - 2 * (100 - published.LUNG_ALL.accuracy) / 4, 2) == 95.35 != round(mean["accuracy"], 2)


def test_areas_counted_by_hand():
    score, truth = np.array([0.9, 0.8, 0.8, 0.3, 0.1]), np.array([1, 1, 0, 0, np.nan])
    found = figures.steps(score, truth, np.ones((1, 5)))
    assert figures.auc(found) == pytest.approx([(2 + 1.5) / 4])  # the tie counts half
    assert figures.average_precision(found) == pytest.approx([0.5 * 1 + 0.5 * 2 / 3])
    across, up = figures.roc(found)
    # the last score belongs to nobody who was asked: a step that adds nothing
    assert (across[0].tolist(), up[0].tolist()) == ([0, 0, 0.5, 1, 1], [0, 0.5, 1, 1, 1])


def test_calibration_counted_by_hand():
    said = np.array([0.05, 0.05, 0.95, 0.95, 0.65, 1.0])
    truth = np.array([0, 1, 1, 1, np.nan, 1])
    found = figures.reliability(said, truth, np.ones((1, 6)))
    assert found.weight[0].tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0, 3]  # 1.0 belongs to the last bin
    error = (2 * abs(0.05 - 0.5) + 3 * abs((0.95 + 0.95 + 1.0) / 3 - 1)) / 5
    assert figures.calibration_error(found) == pytest.approx([error])
    assert figures.brier(said, truth, np.ones(6)) == pytest.approx((0.05**2 + 0.95**2 + 2 * 0.05**2) / 5)


def test_what_has_no_denominator():
    nothing = figures.tally(np.zeros(3, bool), np.array([1.0, 0, 0]), np.ones(3))
    assert float(figures.precision(nothing)) == 0  # nothing was called
    absent = figures.tally(np.zeros(3, bool), np.zeros(3), np.ones(3))
    assert np.isnan([figures.recall(absent), figures.f1(absent)]).all()
    certain = figures.confusion(np.zeros(4, int), np.zeros(4, int), np.ones(4), 2)
    assert np.isnan(figures.kappa(certain))
    assert np.isnan(figures.auc(figures.steps(np.ones(3), np.ones(3), np.ones((1, 3)))))


@given(st.integers(0, 10_000), st.integers(5, 60), st.integers(2, 5))
def test_scikit_learn_says_the_same(seed, n, k):
    rng = np.random.default_rng(seed)
    truth, called = rng.integers(0, k, n), rng.integers(0, k, n)
    weights = rng.integers(0, 4, n).astype(float)
    truth[:k], weights[:k] = np.arange(k), 1  # every class is there
    labels = list(range(k))
    mine = figures.confusion(truth, called, weights, k)[:, :k]
    assert mine == pytest.approx(metrics.confusion_matrix(truth, called, labels=labels, sample_weight=weights))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kappa = metrics.cohen_kappa_score(truth, called, labels=labels, sample_weight=weights)
    assert float(figures.kappa(mine)) == pytest.approx(kappa, nan_ok=True)
    right = metrics.accuracy_score(truth, called, sample_weight=weights)
    assert float(figures.share_right(mine)) == pytest.approx(right)


@given(st.integers(0, 10_000), st.integers(8, 60))
def test_scikit_learn_says_the_same_of_one_class_with_labels_nobody_asked_about(seed, n):
    rng = np.random.default_rng(seed)
    truth, score = rng.integers(0, 2, n).astype(float), np.round(rng.random(n), 1)  # rounded, so that there are ties
    truth[:2], weights = (0, 1), rng.integers(1, 4, n).astype(float)
    truth[rng.random(n) < 0.2] = np.nan
    truth[:2] = (0, 1)
    asked = ~np.isnan(truth)
    y, s, w = truth[asked], score[asked], weights[asked]
    t = figures.tally(score >= 0.5, truth, weights)
    keywords = {"sample_weight": w, "zero_division": 0}
    assert float(figures.precision(t)) == pytest.approx(metrics.precision_score(y, s >= 0.5, **keywords))
    assert float(figures.recall(t)) == pytest.approx(metrics.recall_score(y, s >= 0.5, **keywords))
    assert float(figures.f1(t)) == pytest.approx(metrics.f1_score(y, s >= 0.5, **keywords))
    assert float(figures.specificity(t)) == pytest.approx(metrics.recall_score(1 - y, s < 0.5, **keywords))
    assert float(figures.accuracy(t)) == pytest.approx(metrics.accuracy_score(y, s >= 0.5, sample_weight=w))
    found = figures.steps(score, truth, np.stack([weights, weights[::-1]]))
    assert figures.auc(found)[0] == pytest.approx(metrics.roc_auc_score(y, s, sample_weight=w))
    expected = metrics.average_precision_score(y, s, sample_weight=w)
    assert figures.average_precision(found)[0] == pytest.approx(expected)
    assert figures.brier(score, truth, weights) == pytest.approx(metrics.brier_score_loss(y, s, sample_weight=w))


def test_macro_means_are_those_of_scikit_learn():
    rng = np.random.default_rng(7)
    truth, called = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    matrix = figures.confusion(truth, called, np.ones(200), 3)
    mine = np.mean([of_class(matrix, k) for k in range(3)], axis=0)
    for at, of in ((0, metrics.precision_score), (2, metrics.f1_score), (3, metrics.recall_score)):
        assert mine[at] == pytest.approx(of(truth, called, average="macro"))


def test_a_called_none_is_a_miss_and_no_false_alarm():
    matrix = figures.confusion(np.array([0, 0, 1, -1]), np.array([0, -1, 1, 0]), np.ones(4), 2)
    assert matrix.tolist() == [[1, 0, 1], [0, 1, 0]]
    assert of_class(matrix, 0) == pytest.approx([1, 1, 2 / 3, 1 / 2, 2 / 3])
    assert float(figures.share_right(matrix)) == pytest.approx(2 / 3)
