"""Augmentation keeps what the labels say."""

import numpy as np
import pytest

from train.augment import Sample, augmented, blank

SIZE = 96


def sample(*, good: bool = True) -> Sample:
    """A grey square with two signs: a bright patch (class 0) and a dark one (class 1)."""
    rng = np.random.default_rng(8)
    twin = np.zeros((SIZE, SIZE), np.uint8)
    twin[20:76, 10:86] = rng.integers(90, 130, (56, 76))
    shown, where = twin.copy(), np.zeros_like(twin)
    shown[30:45, 20:40], where[30:45, 20:40] = 240, 1
    shown[50:65, 55:75], where[50:65, 55:75] = 12, 2
    return Sample(shown, twin, where, np.array([1, 1, 0], np.float32), good)


def test_the_same_random_numbers_give_the_same_picture() -> None:
    first, second = (augmented(sample(), np.random.default_rng(4), blanked=0.5, normal=None) for _ in range(2))
    assert np.array_equal(first.picture, second.picture)
    assert np.array_equal(first.labels, second.labels)


def test_the_mask_moves_with_the_picture() -> None:
    for seed in range(12):
        shown = augmented(sample(), np.random.default_rng(seed), blanked=0, normal=None)
        bright, dark = (shown.picture[shown.where == bit].mean() for bit in (1, 2))
        assert bright > 1.5 * dark, f"seed {seed}"
        assert shown.labels.tolist() == [1, 1, 0]
        assert shown.good == 1


@pytest.mark.parametrize("k", [0, 1])
def test_a_blanked_sign_is_gone_and_the_rest_stays(k: int) -> None:
    source = sample()
    styles = set()
    for seed in range(20):
        picture, style = blank(source, k, np.random.default_rng(seed))
        styles.add(style)
        mask = source.where == 1 << k
        assert np.array_equal(picture[~mask], source.shown[~mask])
        expected = {"twin": source.twin[mask], "black": 0, "mean": picture[mask][0]}[style]
        assert (picture[mask] == expected).all()
        if style == "mean":
            assert 90 <= picture[mask][0] <= 130
    assert styles == {"twin", "mean", "black"}


def test_a_blanked_sign_takes_its_label_with_it() -> None:
    for seed in range(20):
        shown = augmented(sample(), np.random.default_rng(seed), blanked=1, normal=None)
        assert shown.labels.sum() == 1, f"seed {seed}"
        assert set(np.unique(shown.where)) == {0, 1 << int(shown.labels.argmax())}
        assert shown.judge
        assert shown.good == 1 or np.isnan(shown.good)


def test_a_softmax_without_its_sign_is_normal() -> None:
    source = sample()
    lone = Sample(source.shown, source.twin, source.where & 1, np.array([1, 0, 0], np.float32), good=True)
    shown = augmented(lone, np.random.default_rng(3), blanked=1, normal=2)
    assert shown.labels.tolist() == [0, 0, 1]


def test_a_bad_picture_stays_bad() -> None:
    source = sample(good=False)
    black = Sample(source.shown * 0, source.twin * 0, source.where * 0, source.labels * 0, good=False)
    shown = augmented(black, np.random.default_rng(1), blanked=1, normal=2)
    assert (shown.judge, shown.good) == (False, 0.0)
    assert not shown.labels.any()
