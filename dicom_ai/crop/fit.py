"""A ragged picture to the shape a scanner draws: the edge is looked for along the outline and the shape moved onto it.

Every point of an outline asks, along its normal, where the light ends; straight sides and arcs are then moved by
weighted least squares, in which points that disagree with the rest (a dark organ, a depth tick) lose their weight
(Cauchy weights; an active shape model after Cootes et al. 1995, with a parametric shape). Points that see no light
at all have no say. What this is not: a choice between shapes, which `support` makes.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.outline import outline_of
from dicom_ai.crop.shape import LINEAR, Floats, Shape

POINTS, FEW = 40, 24
"""Points asked on each side, top and bottom: of pixels, and of blocks."""

TRUSTED = 1.2
"""Pixels by which a point may disagree with the others and keep half of its weight, at least."""

ROUNDS = 3
"""Times that the weights are made anew."""

NEAR = 2.5
"""Elements by which the end of the light may miss an outline that is called seen."""

LEAST_POINTS = 4
"""Points under which nothing is said of an edge."""

STAYING = 0.1
"""Weight, in points, of staying where the shape was: what no point speaks of does not move."""


@dataclass(frozen=True)
class Light:
    """How bright elements are.

    Attributes:
        plane: uint8 (H, W).
        table: float32 (256,), 0 dark to 1 fully lit, of each value of the plane.
        least: share of the light just inside an edge above which an element is inside too, 0..1.
        floor: light that counts as full where everything just inside is darker, 0..1.
    """

    plane: npt.NDArray[np.uint8]
    table: npt.NDArray[np.float32]
    least: float
    floor: float

    def over(self, plane: npt.NDArray[np.uint8]) -> "Light":
        """The same look at another plane of the same screen."""
        return replace(self, plane=plane)


class Asked(NamedTuple):
    """A point of an outline in full-frame pixels, the unit normal outwards, and whether the light is seen to end."""

    x: float
    y: float
    out_x: float
    out_y: float
    is_seen: bool


def moved(shape: Shape, light: Light, *, reach: int, rounds: int, points: int = POINTS) -> Shape:
    """The shape after a few rounds of asking and moving.

    Args:
        shape: in elements of the plane.
        light: where to ask.
        reach: elements to either side of the outline in which the edge is looked for; halved every round, >= 2.
        rounds: how often.
        points: asked on each side, top and bottom.
    """
    for turn in range(rounds):
        outline = outline_of(shape, points)
        offset, seen = ends_of_light(light, outline.at, outline.out, max(2, reach >> turn))
        shape = outline.put(_solved(outline.moves, offset, outline.weight * seen * _is_free(outline.at, shape)))
    return shape


def seen_along(shape: Shape, light: Light, *, reach: int) -> tuple[tuple[Asked, ...], ...]:
    """Where the outline is seen: left, right, top, bottom.

    Args:
        shape: in elements of the plane.
        light: where to ask.
        reach: elements to either side in which the edge is looked for.

    Returns:
        For each part the points within the window and whether the light ends within `NEAR` of them. Where a picture
        fades into the dark, few do.
    """
    outline = outline_of(shape, POINTS)
    offset, seen = ends_of_light(light, outline.at, outline.out, reach)
    is_seen, free = (np.abs(offset) <= NEAR) & seen, _is_free(outline.at, shape)
    points = np.column_stack([outline.at, outline.out]).tolist()
    asked = [Asked(x, y, dx, dy, bool(yes)) for (x, y, dx, dy), yes in zip(points, is_seen, strict=True)]
    parts = (range(first, first + POINTS) for first in range(0, 4 * POINTS, POINTS))
    return tuple(tuple(asked[i] for i in part if free[i]) for part in parts)


def least_seen(shape: Shape, light: Light, *, reach: int) -> float:
    """Share of points that see the light end, on the worst edge within the window; as `seen_along`, but cheap."""
    outline = outline_of(shape, FEW)
    offset, seen = ends_of_light(light, outline.at, outline.out, reach)
    free = _is_free(outline.at, shape).reshape(4, FEW)
    agreed = ((np.abs(offset) <= NEAR) & seen).reshape(4, FEW) & free
    said = free.sum(axis=1) >= LEAST_POINTS
    return float((agreed.sum(axis=1)[said] / free.sum(axis=1)[said]).min()) if said.any() else 1.0


def windowed(shape: Shape, light: Light, *, reach: int) -> Shape:
    """The shape with the cuts of its window put where the light ends along them."""
    rows, columns = light.plane.shape
    bounds = list(shape.cut)
    y = np.arange(0, rows, 4, dtype=np.float64) + 0.5
    left, right, _, _ = shape.intervals(y)
    for which, ends in ((0, left), (2, right)):
        on = (right > left) & (np.abs(ends - bounds[which]) < 1e-6)
        if bounds[which] in (0.0, float(columns)) or on.sum() < LEAST_POINTS:
            continue
        bounds[which] += _shift(
            light, np.stack([np.full(int(on.sum()), bounds[which]), y[on]], axis=1), (which - 1.0, 0.0), reach
        )
    lowest = np.flatnonzero((right > left) & (y < bounds[3]))
    if bounds[3] < rows and len(lowest) and bounds[3] - y[lowest[-1]] < 5.0:
        x = np.linspace(left[lowest[-1]], right[lowest[-1]], POINTS + 2)[1:-1]
        bounds[3] += _shift(light, np.stack([x, np.full(POINTS, bounds[3])], axis=1), (0.0, 1.0), reach)
    return replace(shape, cut=(bounds[0], bounds[1], bounds[2], bounds[3]))


def _shift(light: Light, at: Floats, out: tuple[float, float], reach: int) -> float:
    """By how much the light ends beyond points on one straight cut."""
    offset, seen = ends_of_light(light, at, np.tile(out, (len(at), 1)), reach)
    return float(np.median(offset[seen])) * max(out, key=abs) if seen.any() else 0.0


def _is_free(at: Floats, shape: Shape) -> npt.NDArray[np.bool_]:
    """Which points lie within the window, and not on its edge."""
    x0, y0, x1, y1 = shape.cut
    return np.asarray((at[:, 0] > x0 + 1) & (at[:, 0] < x1 - 1) & (at[:, 1] > y0) & (at[:, 1] < y1 - 1))


def _solved(moves: Floats, offset: Floats, weight: Floats) -> Floats:
    """Parameters that explain the offsets, by least squares with Cauchy weights."""
    size = np.abs(moves).mean(axis=0) + 1e-9
    scaled, still, spoke = moves / size, STAYING * np.eye(moves.shape[1]), weight > 0
    step, robust = np.zeros(moves.shape[1]), weight
    for turn in range(ROUNDS):
        weighted = scaled * robust[:, None]
        wanted = (weighted.T @ offset)[:, None]
        step = cv2.solve(scaled.T @ weighted + still, wanted, flags=cv2.DECOMP_CHOLESKY)[1][:, 0]
        if turn < ROUNDS - 1:
            rest = np.abs(offset - scaled @ step)
            few = np.sort(rest[spoke])
            sigma = max(TRUSTED, 1.5 * float(few[len(few) // 2])) if len(few) else TRUSTED
            robust = weight / (1 + (rest / sigma) ** 2)
    return np.asarray(step / size)


def ends_of_light(light: Light, at: Floats, out: Floats, reach: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Where the light ends along each normal, elements outwards (N,), and whether there was any (N,)."""
    steps = np.arange(-reach, reach + 1)
    rows, columns = light.plane.shape
    x, y = at[:, :1] + steps * out[:, :1], at[:, 1:] + steps * out[:, 1:]
    if x.min() >= 0 and y.min() >= 0 and x.max() < columns and y.max() < rows:
        shown = light.table[light.plane[y.astype(np.int32), x.astype(np.int32)]]
    else:
        inside = (x >= 0) & (y >= 0) & (x < columns) & (y < rows)
        x, y = np.where(inside, x, 0), np.where(inside, y, 0)
        shown = light.table[light.plane[y.astype(np.int32), x.astype(np.int32)]] * inside
    full = np.clip(shown[:, :reach] @ np.full((reach, 1), 1 / reach, np.float32), light.floor, 1.0)
    gain = np.cumsum(np.minimum(shown / full, 1.0) - np.float32(light.least), axis=1)
    best = gain.argmax(axis=1)
    return best + 0.5 - reach, gain[np.arange(len(best)), best] > 0


def upright(shape: Shape) -> Shape:
    """The rectangle in the place of a shape."""
    left, right = (shape.sides[0] + shape.sides[2]) / 2, (shape.sides[1] + shape.sides[3]) / 2
    return replace(shape, sides=(left, right, left, right), style=LINEAR)
