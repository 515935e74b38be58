"""Kept pixels, the outcome of a crop as a JSON row, and the rule that picks frames of a clip."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_ai.kept import CropOutcome, sampled_frames

CROPPED = CropOutcome(
    status="cropped",
    reason=None,
    rows=873,
    columns=1164,
    frames=30,
    keep=(((2.0, 109.0), (1058.0, 109.5), (500.0, 806.0)),),
    blanked=((2, 109, 60, 140),),
    box=(2, 109, 1058, 806),
    votes={"regions": "agrees", "layout": None, "support": "agrees"},
)
ROW_KEYS = {"status", "reason", "rows", "columns", "frames", "keep", "blanked", "box", "votes"}

coordinates = st.floats(0, 4096, allow_nan=False)
pixels = st.integers(0, 4096)
polygons = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=6).map(tuple)
outcomes = st.builds(
    CropOutcome,
    status=st.just("cropped"),
    reason=st.none(),
    rows=pixels,
    columns=pixels,
    frames=st.integers(1, 1000),
    keep=st.lists(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=6).map(tuple), max_size=3).map(
        tuple
    ),
    blanked=st.lists(st.tuples(pixels, pixels, pixels, pixels), max_size=3).map(tuple),
    box=st.tuples(pixels, pixels, pixels, pixels),
    votes=st.fixed_dictionaries({"regions": st.none(), "layout": st.text(max_size=3), "support": st.none()}),
)


@given(outcomes)
def test_an_outcome_survives_json(outcome):
    assert CropOutcome.of(json.loads(json.dumps(outcome.row()))) == outcome


def test_the_row_has_the_keys_of_the_contract():
    assert set(CROPPED.row()) == ROW_KEYS
    assert CROPPED.row()["keep"] == [[[2.0, 109.0], [1058.0, 109.5], [500.0, 806.0]]]
    assert CROPPED.row()["box"] == [2, 109, 1058, 806]


def test_a_quarantined_outcome_has_no_shape():
    row = CropOutcome("quarantined", "no_regions", 480, 640, 1).row()
    assert (row["keep"], row["blanked"], row["box"]) == ([], [], None)
    assert row["votes"] == {"regions": None, "layout": None, "support": None}


def test_other_keys_of_a_row_are_ignored():
    assert CropOutcome.of({**CROPPED.row(), "file": "a.dcm", "png": None}) == CROPPED


@pytest.mark.parametrize(
    ("n_frames", "limit", "expected"),
    [(1, 1, (1,)), (1, 16, (1,)), (16, 16, tuple(range(1, 17))), (17, 16, tuple(range(1, 18, 2))), (100, 1, (1,))],
)
def test_sampled_frames(n_frames, limit, expected):
    assert sampled_frames(n_frames, limit) == expected


@given(st.integers(1, 5000), st.integers(1, 300))
def test_sampling_is_even_from_the_first_frame_and_within_the_limit(n_frames, limit):
    numbers = sampled_frames(n_frames, limit)
    assert numbers[0] == 1
    assert numbers[-1] <= n_frames
    assert 1 <= len(numbers) <= limit
    strides = {after - before for before, after in pairwise(numbers)}
    assert len(strides) <= 1
    assert n_frames - numbers[-1] < (strides.pop() if strides else n_frames)  # the end of the clip is seen too


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_short_clip_is_seen_whole(n_frames, limit):
    if n_frames <= limit:
        assert sampled_frames(n_frames, limit) == tuple(range(1, n_frames + 1))
