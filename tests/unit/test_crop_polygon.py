import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dicom_ai.crop.polygon import box_of, polygons_of, rectangle
from dicom_ai.kept import box_within, mask_of

ROWS, COLUMNS = 24, 31
COORDINATE = st.floats(-5, 36, allow_nan=False).map(lambda value: round(value, 2))
POLYGON = st.lists(st.tuples(COORDINATE, COORDINATE), min_size=3, max_size=7).map(tuple)


def is_inside(polygon, x, y):
    """Even-odd rule, written the slow way: count the edges crossed on the way left."""
    crossings = 0
    for (ax, ay), (bx, by) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if (ay <= y) != (by <= y):
            lower, upper = ((ax, ay), (bx, by)) if ay < by else ((bx, by), (ax, ay))
            crossings += lower[0] + (y - lower[1]) * ((upper[0] - lower[0]) / (upper[1] - lower[1])) <= x
    return crossings % 2 == 1


@given(POLYGON)
def test_pixel_belongs_exactly_when_its_centre_lies_inside(polygon):
    mask = mask_of([polygon], ROWS, COLUMNS)
    slow = [[is_inside(polygon, c + 0.5, r + 0.5) for c in range(COLUMNS)] for r in range(ROWS)]
    assert np.array_equal(mask, np.array(slow))


def test_rectangle_is_its_half_open_box():
    mask = mask_of([rectangle((3, 4, 10, 8))], ROWS, COLUMNS)
    assert mask.sum() == 7 * 4
    assert box_of(mask) == (3, 4, 10, 8)


def test_polygons_sharing_an_edge_share_no_pixel():
    left, right = (
        ((0.0, 0.0), (9.5, 0.0), (4.5, 20.0), (0.0, 20.0)),
        ((9.5, 0.0), (20.0, 0.0), (20.0, 20.0), (4.5, 20.0)),
    )
    a, b = mask_of([left], ROWS, COLUMNS), mask_of([right], ROWS, COLUMNS)
    assert not (a & b).any()
    assert np.array_equal(a | b, mask_of([rectangle((0, 0, 20, 20))], ROWS, COLUMNS))


@given(st.integers(0, 2**32 - 1))
def test_outline_of_a_mask_reaches_beyond_it_only_into_its_holes(seed):
    blobs = np.random.default_rng(seed).random((6, 8)) < 0.6
    mask = np.kron(blobs, np.ones((4, 4), np.bool_))
    reach = mask_of(polygons_of(mask), *mask.shape)
    outside = np.ones((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)
    outside[1:-1, 1:-1] = ~mask
    cv2.floodFill(outside, None, (0, 0), 2)  # what is joined to the frame's edge is no hole
    assert not (reach & (outside[1:-1, 1:-1] == 2)).any()


def test_outline_loses_less_than_a_pixel_on_every_side():
    mask = mask_of([rectangle((5, 6, 25, 20))], ROWS, COLUMNS)
    again = mask_of(polygons_of(mask), ROWS, COLUMNS)
    assert not (again & ~mask).any()
    assert box_of(again) == (5, 6, 24, 19)


def test_nothing_has_no_box():
    assert box_of(np.zeros((3, 3), np.bool_)) is None


@given(st.integers(0, 2**32 - 1))
def test_box_within_polygons_is_that_of_their_mask(seed):
    rng = np.random.default_rng(seed)
    corners = [np.where(rng.random((n, 2)) < 0.5, rng.integers(-10, 80, (n, 2)) / 2, rng.uniform(-10, 40, (n, 2)))
               for n in rng.integers(3, 8, rng.integers(0, 3))]  # fmt: skip
    polygons = [tuple((float(x), float(y)) for x, y in polygon) for polygon in corners]
    assert box_within(polygons, ROWS, COLUMNS) == box_of(mask_of(polygons, ROWS, COLUMNS))


def test_outlines_of_a_part_stand_where_they_stand_in_the_whole():
    mask = mask_of([((3.0, 4.0), (17.0, 6.0), (9.0, 15.0))], ROWS, COLUMNS)
    x0, y0, x1, y1 = box_of(mask)
    assert polygons_of(mask[y0:y1, x0:x1], (x0, y0)) == polygons_of(mask)
