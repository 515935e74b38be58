"""Screens are drawn from their true shape, so that what is found can be compared pixel by pixel."""

import cv2
import numpy as np
import pytest

from dicom_ai.crop.support import picture_support
from dicom_ai.kept import mask_of

ROWS, COLUMNS = 600, 800
YS, XS = np.mgrid[:ROWS, :COLUMNS] + 0.5


def sector(apex=(400, 20), radii=(90, 500), degrees=35.0):
    dx, dy = XS - apex[0], YS - apex[1]
    radius, angle = np.hypot(dx, dy), np.degrees(np.arctan2(dx, dy))
    return (radius >= radii[0]) & (radius < radii[1]) & (np.abs(angle) <= degrees)


def trapezoid():
    half = 130 + (YS - 80) * 0.2
    return (YS >= 80) & (YS < 500) & (np.abs(XS - 400) < half)


def rectangle():
    return (YS >= 90) & (YS < 480) & (XS >= 220) & (XS < 600)


SHAPES = {
    "sector": sector(),
    "phased": sector(apex=(400, 60), radii=(6, 480), degrees=42),
    "wide": sector(apex=(400, 40), radii=(60, 420), degrees=70),
    "cut": sector(apex=(400, 0), radii=(120, 560), degrees=50) & (XS > 130) & (XS < 690),
    "trapezoid": trapezoid(),
    "rectangle": rectangle(),
}


def speckled(shape, *, level=70.0, seed=1):
    grain = np.random.default_rng(seed).rayleigh(1.0, (ROWS, COLUMNS)).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), 1.2) / 1.25
    return np.where(shape, np.clip(grain * level, 8, 255), 0).astype(np.uint8)


def write(screen, text, at, scale, level):
    cv2.putText(screen, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, level, 1 + (scale > 0.65), cv2.LINE_AA)


def furnish(screen, shape):
    """Write what scanners write, around the shape only; returns where."""
    before, clear = screen.copy(), cv2.dilate(shape.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    paint = np.zeros_like(screen)
    for y, text in ((24, "NAME, INVENTED  ID 12345  01/01/1970"), (48, "Example Hospital 12:00:00")):
        write(paint, text, (20, y), 0.7, 240)
    for y in range(120, 420, 18):
        write(paint, "Gn 54 MI 1.1", (4, y), 0.45, 200)
    write(paint, "LOGIQ E9", (330, 72), 0.6, 230)
    write(paint, "RT KIDNEY", (330, 585), 0.8, 235)
    cv2.ellipse(paint, (60, 540), (30, 22), 0, 0, 360, 180, 2)
    paint[100:400, 770:782] = np.linspace(255, 8, 300, dtype=np.uint8)[:, None]
    paint[80:560:24, 745:755] = 200
    screen = np.where(clear, np.maximum(screen, paint), screen)
    return screen, clear & (screen != before)


def found(screen):
    support = picture_support(screen)
    assert support is not None
    return support, mask_of(support.polygons, *screen.shape)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("name", SHAPES)
def test_shape_is_found_and_no_furniture_with_it(name):
    screen, furniture = furnish(speckled(SHAPES[name]), SHAPES[name])
    support, mask = found(screen)
    assert iou(mask, SHAPES[name]) >= 0.97
    assert not (mask & furniture).any()
    assert support.confidence >= 0.9
    assert len(support.polygons) == 1


@pytest.mark.parametrize(("name", "kind"), [(kind, kind) for kind in ("sector", "trapezoid", "rectangle")])
def test_kind_is_named(name, kind):
    assert found(speckled(SHAPES[name]))[0].kind == kind


def test_concave_near_field_is_followed_so_that_a_mark_inside_the_bow_goes():
    screen = speckled(SHAPES["sector"])
    bow = (YS > 85) & (YS < 104) & (np.abs(XS - 400) < 14)
    screen[bow] = 220
    assert not (found(screen)[1] & bow).any()


@pytest.mark.parametrize(
    ("name", "dark"),
    [
        pytest.param(
            "sector", sector() & (np.degrees(np.arctan2(XS - 400, YS - 20)) > 12), id="lost contact at a side"
        ),
        pytest.param("sector", (YS > 330) & (XS < 400), id="half of the depth"),
        pytest.param("rectangle", (YS > 130) & (YS < 300), id="a band across"),
        pytest.param("sector", (XS - 400) ** 2 + (YS - 330) ** 2 < 90**2, id="an organ full of fluid"),
    ],
)
def test_dark_part_does_not_bite_into_what_is_lit(name, dark):
    screen = speckled(SHAPES[name])
    screen[dark] = 0
    _, mask = found(screen)
    lit = SHAPES[name] & ~dark
    assert (mask & lit).sum() / lit.sum() >= 0.98
    assert not (mask & ~SHAPES[name] & (cv2.dilate(SHAPES[name].astype(np.uint8), np.ones((9, 9))) == 0)).any()


def test_dark_fluid_inside_belongs_to_the_picture():
    screen = speckled(SHAPES["sector"])
    fluid = (XS - 400) ** 2 + (YS - 330) ** 2 < 90**2
    screen[fluid] = 0
    assert found(screen)[1][fluid].all()


def test_faint_picture_is_found():
    _, mask = found(speckled(SHAPES["sector"], level=14))
    assert iou(mask, SHAPES["sector"]) >= 0.95


def test_writing_in_the_dark_half_is_not_taken_in():
    screen = speckled(SHAPES["rectangle"])
    dark = (YS > 300) & (XS < 420)
    screen[dark] = 0
    written = screen.copy()
    write(written, "DOE JANE", (240, 440), 0.9, 230)
    text = written != screen
    assert text.any()
    assert not (found(written)[1] & text).any()


def test_banner_directly_above_the_picture_is_not_picture():
    screen = speckled(SHAPES["rectangle"])
    screen[40:90] = 60
    cv2.putText(
        screen, "NAME INVENTED   ID 12345   CLINIC", (60, 75), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 240, 2, cv2.LINE_AA
    )
    assert not found(screen)[1][:88].any()


def test_dual_view_gives_two_polygons_without_the_text_between():
    left = sector(apex=(200, 40), radii=(60, 420), degrees=24)
    right = sector(apex=(600, 40), radii=(60, 420), degrees=24)
    screen = speckled(left | right)
    write(screen, "12.5", (375, 90), 0.7, 230)
    support, mask = found(screen)
    assert len(support.polygons) == 2
    assert iou(mask, left | right) >= 0.96
    assert not mask[60:110, 370:430].any()


def text_page():
    page = np.zeros((ROWS, COLUMNS), np.uint8)
    for y in range(40, 580, 22):
        write(page, "Patient report, 12 lines of text 3.4 cm", (20, y), 0.7, 220)
    return page


@pytest.mark.parametrize(
    "screen",
    [
        pytest.param(np.zeros((ROWS, COLUMNS), np.uint8), id="black"),
        pytest.param(np.full((ROWS, COLUMNS), 128, np.uint8), id="grey"),
        pytest.param(text_page(), id="text"),
        pytest.param(
            furnish(np.zeros((ROWS, COLUMNS), np.uint8), np.zeros((ROWS, COLUMNS), bool))[0], id="empty screen"
        ),
        pytest.param(speckled(sector(apex=(400, 60), radii=(20, 50))), id="probe in air, a crumb"),
        pytest.param(np.full((40, 40), 9, np.uint8), id="a thumbnail"),
    ],
)
def test_without_a_picture_nothing_is_found(screen):
    assert picture_support(screen) is None


def test_same_screen_gives_the_same_shape():
    screen = furnish(speckled(SHAPES["cut"]), SHAPES["cut"])[0]
    assert picture_support(screen) == picture_support(screen.copy())
