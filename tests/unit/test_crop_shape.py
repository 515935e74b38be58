"""Shapes a transducer can give: outline, pixels and weights agree, and a shape moves onto the light from nearby."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_ai.crop.fit import Light, ends_of_light, moved, seen_along
from dicom_ai.crop.outline import outline_of
from dicom_ai.crop.shape import CURVED, LEANING, LINEAR, VIRTUAL, Shape
from dicom_ai.kept import mask_of

ROWS, COLUMNS = 240, 320
WHOLE = (0.0, 0.0, float(COLUMNS), float(ROWS))


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Any shape that lies in the frame for the most part."""
    style = draw(st.sampled_from([LINEAR, LEANING, CURVED, VIRTUAL]))
    top, height = draw(st.floats(10, 40)), draw(st.floats(110, 170))
    left, width = draw(st.floats(100, 130)), draw(st.floats(50, 90))
    out, lean = draw(st.floats(20, 90)), draw(st.floats(-8, 8))
    if style is LINEAR:
        out = lean = 0.0
    sides = (left, left + width, left - out + lean, left + width + out + lean)
    cut = (draw(st.sampled_from([0.0, 60.0])), 0.0, float(COLUMNS), draw(st.sampled_from([float(ROWS), 150.0])))
    drop = draw(st.floats(0, 20)) if style is VIRTUAL else 0.0
    return Shape(sides, (top, top + height), near=top, far=top + height, drop=drop, style=style, cut=cut)


@settings(max_examples=60, deadline=None)
@given(shapes())
def test_outline_and_pixels_are_the_same_shape(shape: Shape) -> None:
    mask, outline = shape.mask(ROWS, COLUMNS), mask_of([shape.polygon()], ROWS, COLUMNS)
    assert (mask ^ outline).sum() <= 0.004 * mask.sum() + 8


@settings(max_examples=40, deadline=None)
@given(shapes(), st.integers(0, 2**32 - 1))
def test_weight_is_what_lies_inside(shape: Shape, seed: int) -> None:
    weights = np.random.default_rng(seed).normal(size=(ROWS, COLUMNS))
    sums = np.concatenate([np.zeros((ROWS, 1)), np.cumsum(weights, axis=1)], axis=1)
    assert shape.weight(sums) == pytest.approx(weights[shape.mask(ROWS, COLUMNS)].sum(), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(shapes(), st.floats(1.5, 4))
def test_finer_pixels_show_the_same_shape(shape: Shape, by: float) -> None:
    rows, columns = round(ROWS * by), round(COLUMNS * by)
    assert shape.scaled(by).mask(rows, columns).sum() == pytest.approx(
        shape.mask(ROWS, COLUMNS).sum() * by * by, rel=0.02
    )


@settings(max_examples=40, deadline=None)
@given(shapes())
def test_outline_points_lie_on_the_outline_and_their_normals_lead_out(shape: Shape) -> None:
    outline = outline_of(shape, 20)
    whole = Shape(shape.sides, shape.at, shape.near, shape.far, shape.drop, shape.style, (-500.0, -500.0, 900.0, 900.0))
    for step, is_inside in ((-1.5, True), (1.5, False)):
        points = outline.at + step * outline.out
        ends = list(zip(*whole.intervals(points[:, 1]), strict=True))
        found = [a <= x < b and not c <= x < d for x, (a, b, c, d) in zip(points[:, 0], ends, strict=True)]
        assert np.mean(np.array(found) == is_inside) >= 0.97


def light_of(mask: np.ndarray) -> Light:
    table = (np.arange(256) / 255).astype(np.float32)
    return Light(mask.astype(np.uint8) * np.uint8(255), table, least=0.4, floor=0.1)


@settings(max_examples=40, deadline=None)
@given(shapes(), st.lists(st.floats(-4, 4), min_size=4, max_size=4), st.floats(-4, 4), st.floats(-4, 4))
def test_shape_moves_onto_the_light(shape: Shape, sides: list[float], near: float, far: float) -> None:
    shape = Shape(shape.sides, shape.at, shape.near, shape.far, shape.drop, shape.style, WHOLE)
    truth = shape.mask(ROWS, COLUMNS)
    if shape.style is LINEAR:
        sides = [sides[0], sides[1]] * 2
    a, b, c, d = (value + by for value, by in zip(shape.sides, sides, strict=True))
    start = Shape((a, b, c, d), shape.at, shape.near + near, shape.far + far, shape.drop, shape.style, WHOLE)
    light = light_of(truth)
    found = moved(start, light, reach=12, rounds=6)
    mask = found.mask(ROWS, COLUMNS)
    assert (mask & truth).sum() / (mask | truth).sum() >= 0.97
    assert min(np.mean([point.is_seen for point in edge]) for edge in seen_along(found, light, reach=8) if edge) >= 0.7


def test_where_no_light_is_no_point_speaks() -> None:
    shape = Shape((100, 200, 60, 240), (20, 180), near=20, far=180, drop=0, style=CURVED, cut=WHOLE)
    dark = light_of(np.zeros((ROWS, COLUMNS), np.bool_))
    outline = outline_of(shape, 10)
    assert not ends_of_light(dark, outline.at, outline.out, 8)[1].any()
    still = moved(shape, dark, reach=8, rounds=3)
    assert np.allclose(still.sides, shape.sides, atol=1e-6)
