import numpy as np
import pytest

from dicom_ai.report.region import MAX_POINTS, MAX_REGIONS, contours


def area(polygon):
    x, y = np.array(polygon[:-1]).T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def test_a_square_of_known_place_comes_back_in_full_frame_pixels():
    heat = np.zeros((200, 300), np.uint8)
    heat[40:80, 100:160] = 200
    ((*points, last),) = contours(heat, (50, 30, 350, 230))
    xs, ys = np.array(points).T
    assert last == points[0]
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == pytest.approx((150, 70, 210, 110), abs=0.5)


def test_no_heat_has_no_region():
    assert contours(np.zeros((10, 10), np.uint8), (0, 0, 10, 10)) == ()


@pytest.mark.parametrize(("row", "column"), [(0, 0), (49, 69), (20, 30)])
def test_a_single_pixel_encloses_an_area_that_holds_its_centre(row, column):
    heat = np.zeros((50, 70), np.uint8)
    heat[row, column] = 9
    (polygon,) = contours(heat, (5, 6, 75, 56))
    xs, ys = np.array(polygon).T
    assert xs.min() < 5 + column + 0.5 < xs.max()
    assert ys.min() < 6 + row + 0.5 < ys.max()


def test_the_part_with_the_peak_comes_first_and_specks_are_left_out():
    heat = np.zeros((100, 200), np.uint8)
    heat[10:60, 10:60] = 180
    heat[70:90, 120:140] = 250
    heat[5, 190] = 240
    polygons = contours(heat, (0, 0, 200, 100))
    assert len(polygons) == 2
    assert np.array(polygons[0])[:, 0].min() == pytest.approx(120, abs=0.5)


def test_a_ragged_region_keeps_few_points_inside_its_box_and_most_of_its_area():
    rng = np.random.default_rng(7)
    yy, xx = np.mgrid[:400, :400]
    angle = np.arctan2(yy - 200, xx - 200)
    ragged = np.hypot(yy - 200, xx - 200) < 150 + 20 * np.sin(60 * angle) + rng.normal(0, 2, angle.shape)
    polygons = contours((255 * ragged).astype(np.uint8), (3, 4, 403, 404))
    assert 1 <= len(polygons) <= MAX_REGIONS
    assert all(4 <= len(polygon) <= MAX_POINTS for polygon in polygons)
    assert area(polygons[0]) == pytest.approx(ragged.sum(), rel=0.05)
    points = np.concatenate(polygons)
    assert (points >= (3, 4)).all()
    assert (points <= (403, 404)).all()


def test_heat_of_another_size_than_its_box_is_refused():
    with pytest.raises(ValueError, match="box"):
        contours(np.zeros((10, 10), np.uint8), (0, 0, 11, 10))
