"""The grey table comes from training frames alone."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.card import Input
from tests.collected import data_set, store
from train.grey import grey_table, training_histogram
from train.split import divided

COUNTS = hnp.arrays(np.int64, 256, elements=st.integers(0, 10_000)).filter(lambda counts: counts[1:].any())


@given(COUNTS, COUNTS)
def test_a_table_never_falls_and_keeps_black_and_only_black_black(source, target):
    for table in (grey_table(source), grey_table(source, target)):
        assert len(table) == 256
        assert table[0] == 0
        assert min(table[1:]) >= 1
        assert max(table) <= 255
        assert list(table) == sorted(table)
        Input(size=64, channels=1, mean=(0.0,), std=(1.0,), grey_table=table)  # a card takes it


@given(COUNTS)
def test_a_histogram_matched_with_itself_keeps_every_level_that_occurs(counts):
    table = grey_table(counts, counts)
    assert all(table[level] == level for level in range(1, 256) if counts[level])


def test_equalised_levels_are_flat():
    rng = np.random.default_rng(0)
    pixels = np.clip(rng.gamma(2.0, 15.0, 200_000), 1, 255).astype(np.uint8)
    table = np.array(grey_table(np.bincount(pixels, minlength=256)))
    shares = np.sort(table[pixels]) / 255
    assert np.abs(shares - np.linspace(0, 1, shares.size)).max() < 0.03  # the largest level holds 2.5 % of the pixels


def test_pixels_of_validation_and_test_never_enter(tmp_path):
    made = data_set(tmp_path, [f"{n:032x}" for n in range(30)])
    split = divided(made, "6:2:2", 0)
    frames = np.random.default_rng(0).integers(0, 256, (60, 16, 16)).astype(np.uint8)
    before = training_histogram(store(made, frames), split)
    assert before.sum() == len(split.rows(made, 0, "train")) * 256
    for part in ("validation", "test"):
        frames[split.rows(made, 0, part)] = 200
    assert (
        training_histogram(store(data_set(tmp_path, [c.patient for c in made.clips]), frames), split) == before
    ).all()
    frames[split.rows(made, 0, "train")[0]] = 200
    assert (
        training_histogram(store(data_set(tmp_path, [c.patient for c in made.clips]), frames), split) != before
    ).any()


def test_a_histogram_of_black_alone_is_refused():
    with pytest.raises(ValueError, match="not black"):
        grey_table(np.eye(256, dtype=np.int64)[0])


def test_a_split_of_another_data_set_gives_no_histogram():
    made, other = data_set(Path("a"), ["1"]), data_set(Path("a"), ["2"])
    with pytest.raises(ValueError, match="another data set"):
        training_histogram(made, divided(other, "9:1", 0))
