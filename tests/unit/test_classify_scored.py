"""Heat never reaches a pixel that was not kept, whatever the outline."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_ai.classify.scored import Scored, heat_shape
from dicom_ai.crop.emit import kept
from dicom_ai.crop.polygon import box_of
from dicom_ai.finding import FrameScore
from dicom_ai.kept import CropOutcome, Kept, mask_of
from models.preprocess import Letterbox

ROWS, COLUMNS = 60, 80
POINT = st.tuples(st.floats(0, COLUMNS, width=32), st.floats(0, ROWS, width=32))
BLANKED = st.tuples(st.integers(0, 70), st.integers(0, 50)).map(lambda at: (at[0], at[1], at[0] + 9, at[1] + 9))


def crop(polygons: list[list[tuple[float, float]]], blanked: list[tuple[int, int, int, int]]) -> Kept | None:
    keep = tuple(tuple(polygon) for polygon in polygons)
    box = box_of(mask_of(keep, ROWS, COLUMNS))
    if box is None:
        return None
    outcome = CropOutcome("cropped", None, ROWS, COLUMNS, 1, keep, tuple(blanked), box)
    return kept([np.full((ROWS, COLUMNS, 1), 255, np.uint8)], [1], outcome)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(POINT, min_size=3, max_size=7), min_size=1, max_size=2), st.lists(BLANKED, max_size=2))
def test_every_pixel_that_may_carry_heat_was_kept(
    polygons: list[list[tuple[float, float]]], blanked: list[tuple[int, int, int, int]]
) -> None:
    found = crop(polygons, blanked)
    if found is not None:
        assert not (heat_shape(found) & (found.frames[0, :, :, 0] == 0)).any()


def test_all_of_a_shape_but_what_was_blanked_may_carry_heat() -> None:
    found = crop([[(10.0, 10.0), (70.0, 10.0), (70.0, 50.0), (10.0, 50.0)]], [(30, 20, 40, 30)])
    assert found is not None
    assert found.frames.shape == (1, 40, 60, 1)
    shape = heat_shape(found)
    assert shape.sum() == 60 * 40 - 10 * 10
    assert not shape[10:20, 20:30].any()


def test_heat_is_cut_to_the_shape() -> None:
    shape = np.zeros((64, 64), np.bool_)
    shape[20:40, 20:40] = True
    maps = np.ones((2, 1, 8, 8), np.float32)
    scored = Scored((FrameScore(1, (1.0,), 1.0),) * 2, maps, Letterbox.fit(64, 64, 64), shape)
    assert np.array_equal(scored.heat(0) > 0, np.stack([shape, shape]))
