"""A keep polygon that a person proposes: what is refused, and that nothing crossing itself gets through."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_ai.crop.catalogue import Layout
from dicom_ai.crop.polygon import polygons_of
from dicom_ai.crop.proposal import MOST_VERTICES, fault_of, mask_digest, polygon_of
from dicom_ai.kept import mask_of

SQUARE = ((20.0, 20.0), (80.0, 20.0), (80.0, 80.0), (20.0, 80.0))
BAND = Layout(
    "known", "M", "D", None, 100, 120, (((0.0, 30.0), (120.0, 30.0), (120.0, 100.0), (0.0, 100.0)),), "published"
)


def star(radii, centre=(60.0, 50.0)):
    """A polygon around a point, one vertex per direction: it never crosses itself."""
    n = len(radii)
    return tuple(
        (centre[0] + r * math.cos(2 * math.pi * k / n), centre[1] + r * math.sin(2 * math.pi * k / n))
        for k, r in enumerate(radii)
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "3 to"), ("1,2", "3 to"), ("1,2 3", "no polygon"), ("a,b c,d e,f", "no polygon"),
     ("nan,1 2,2 3,9", "no number"), ("inf,1 2,2 3,9", "no number"), ("1,2,3 4,5 6,7", "no polygon")],
)  # fmt: skip
def test_what_is_no_polygon_is_said(text, said):
    def fault():
        polygon = polygon_of(text)
        raise ValueError(fault_of((polygon,), 100, 120, None))

    with pytest.raises(ValueError, match=said):
        fault()


@given(st.lists(st.tuples(st.integers(-900, 900), st.integers(-900, 900)), min_size=1, max_size=9))
def test_what_is_written_is_read(points):
    assert polygon_of(" ".join(f"{x / 2},{y / 2}" for x, y in points)) == tuple((x / 2, y / 2) for x, y in points)


@given(st.lists(st.floats(12, 45), min_size=3, max_size=40))
def test_a_polygon_around_a_point_may_be_kept(radii):
    assert fault_of((star(radii),), 100, 120, None) in (None, "a polygon touches or crosses itself") or len(radii) == 3
    if len(radii) > 4:
        assert fault_of((star(radii),), 100, 120, None) is None


@given(st.floats(12, 45), st.integers(5, 30), st.data())
def test_two_neighbours_exchanged_cross_a_convex_one(radius, n, data):
    points = list(star([radius] * n))
    k = data.draw(st.integers(0, len(points) - 1))
    following = (k + 1) % len(points)
    points[k], points[following] = points[following], points[k]
    assert fault_of((tuple(points),), 100, 120, None) == "a polygon touches or crosses itself"


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ((), "no polygon"),
        ((((20.0, 20.0), (80.0, 20.0), (121.0, 80.0)),), "outside the frame"),
        ((((-0.5, 20.0), (80.0, 20.0), (100.0, 80.0)),), "outside the frame"),
        ((((20.0, 20.0), (80.0, 80.0), (80.0, 20.0), (20.0, 80.0)),), "crosses itself"),
        ((((20.0, 20.0), (80.0, 20.0), (80.0, 20.0), (20.0, 80.0)),), "crosses itself"),
        ((((20.0, 20.0), (80.0, 20.0), (40.0, 20.0), (20.0, 80.0)),), "crosses itself"),
        ((((20.0, 40.0), (24.0, 40.0), (24.0, 44.0)),), "% of the frame"),
        ((((0.0, 0.0), (120.0, 0.0), (120.0, 100.0), (0.0, 100.0)),), "% of the frame"),
        ((star([30.0] * (MOST_VERTICES + 1)),), "vertices"),
        ((SQUARE,), "published entry known"),
    ],
)
def test_what_cannot_be_kept_is_refused(keep, said):
    assert said in (fault_of(keep, 100, 120, BAND) or "")


def test_below_the_identity_band_it_may_be_kept():
    assert fault_of((((20.0, 30.0), (80.0, 30.0), (80.0, 80.0)),), 100, 120, BAND) is None


def test_the_outline_of_a_picture_may_be_kept_as_it_was_found():
    """What --keep-support proposes: a sector as the pixels give it, pixel by pixel."""
    mask = np.zeros((600, 800), np.uint8)
    cv2.ellipse(mask, (400, 100), (430, 430), 90, -38, 38, 1, -1)
    cv2.ellipse(mask, (400, 100), (80, 80), 90, -39, 39, 0, -1)
    keep = polygons_of(mask > 0)
    assert fault_of(keep, 600, 800, None) is None
    found = mask_of(keep, 600, 800)
    assert (found & (mask > 0)).sum() / (found | (mask > 0)).sum() > 0.98


def test_the_digest_is_of_the_pixels_inside():
    turned = (*SQUARE[2:], *SQUARE[:2])
    assert mask_digest((SQUARE,), 100, 120) == mask_digest((turned,), 100, 120)
    assert mask_digest((SQUARE,), 100, 120) != mask_digest((SQUARE,), 120, 100)
    assert mask_digest((SQUARE,), 100, 120) != mask_digest((SQUARE[:3],), 100, 120)
