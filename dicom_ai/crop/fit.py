"""A ragged picture to the shape a scanner draws: the edge is looked for along the outline and the shape moved onto it.

Every point of an outline asks, along its normal, where the light ends; straight sides and arcs are then moved by
weighted least squares, in which points that disagree with the rest (a dark organ, a depth tick) lose their weight
(Cauchy weights; an active shape model after Cootes et al. 1995, with a parametric shape). Points that see no light
at all have no say. What this is not: a choice between shapes, which `support` makes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.outline import Outline, outline_of
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
        table: float32 (256,), 0 dark (that of 0 is 0) to 1 fully lit, of each value of the plane.
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


def moved(shape: Shape, light: Light, *, reach: int, rounds: int) -> Shape:
    """The shape after a few rounds of asking and moving; as `all_moved`."""
    return all_moved([shape], light, reach=reach, rounds=rounds, points=POINTS)[0]


def all_moved(shapes: Sequence[Shape], light: Light, *, reach: int, rounds: int, points: int) -> list[Shape]:
    """Shapes after a few rounds of asking and moving, each on its own; asked together, which is twice as fast.

    Args:
        shapes: in elements of the plane, at least one.
        light: where to ask.
        reach: elements to either side of the outline in which the edge is looked for; halved every round, >= 2.
        rounds: how often.
        points: asked on each side, top and bottom.
    """
    found = list(shapes)
    for turn in range(rounds):
        outlines = [outline_of(shape, points) for shape in found]
        offset, weight = _asked(found, outlines, light, max(2, reach >> turn))
        moves = np.array([outline.moves for outline in outlines])
        steps = _solved(moves, offset, weight * np.array([outline.weight for outline in outlines]))
        found = [outline.put(step) for outline, step in zip(outlines, steps, strict=True)]
    return found


def _asked(shapes: Sequence[Shape], outlines: Sequence[Outline], light: Light, reach: int) -> tuple[Floats, Floats]:
    """Where the light ends along the outlines (S, 4N), and 1 where it does and the point is free, else 0 (S, 4N)."""
    at = np.array([outline.at for outline in outlines])
    out = np.array([outline.out for outline in outlines])
    offset, seen = ends_of_light(light, at.reshape(-1, 2), out.reshape(-1, 2), reach)
    return offset.reshape(at.shape[:2]), (seen.reshape(at.shape[:2]) & _are_free(at, shapes)).astype(np.float64)


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
    is_seen, free = (np.abs(offset) <= NEAR) & seen, _are_free(outline.at[np.newaxis], [shape])[0]
    points = np.column_stack([outline.at, outline.out]).tolist()
    asked = [Asked(x, y, dx, dy, bool(yes)) for (x, y, dx, dy), yes in zip(points, is_seen, strict=True)]
    parts = (range(first, first + POINTS) for first in range(0, 4 * POINTS, POINTS))
    return tuple(tuple(asked[i] for i in part if free[i]) for part in parts)


def least_seen(shapes: Sequence[Shape], light: Light, *, reach: int) -> list[float]:
    """Share of points that see the light end, on the worst edge within the window; as `seen_along`, but cheap."""
    outlines = [outline_of(shape, FEW) for shape in shapes]
    at = np.array([outline.at for outline in outlines])
    offset, seen = ends_of_light(light, at.reshape(-1, 2), np.concatenate([one.out for one in outlines]), reach)
    free = _are_free(at, shapes).reshape(-1, 4, FEW)
    agreed = ((np.abs(offset) <= NEAR) & seen).reshape(-1, 4, FEW) & free
    asked = free.sum(axis=2)
    shares = np.where(asked >= LEAST_POINTS, agreed.sum(axis=2) / np.maximum(asked, 1), 1.0)
    least: list[float] = shares.min(axis=1).tolist()
    return least


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


def _are_free(at: Floats, shapes: Sequence[Shape]) -> npt.NDArray[np.bool_]:
    """Which points (S, N, 2) lie within the windows of their shapes, and not on the edge, (S, N)."""
    cuts = np.array([shape.cut for shape in shapes]).reshape(-1, 1, 2, 2)
    free = (at > cuts[:, :, 0] + (1, 0)) & (at < cuts[:, :, 1] - 1)
    return np.asarray(free[..., 0] & free[..., 1])


def _solved(moves: Floats, offset: Floats, weight: Floats) -> Floats:
    """Parameters (S, P) that explain the offsets (S, N), by least squares with Cauchy weights."""
    size = np.abs(moves).mean(axis=1, keepdims=True) + 1e-9
    scaled, still, spoke = moves / size, STAYING * np.eye(moves.shape[2]), weight > 0
    turned = np.ascontiguousarray(scaled.transpose(0, 2, 1))
    spoken = np.count_nonzero(spoke, axis=1)
    middle = np.arange(len(moves)), spoken // 2
    step, robust = np.zeros((len(moves), moves.shape[2], 1)), weight
    for turn in range(ROUNDS):
        weighted = turned * robust[:, np.newaxis]
        step = np.linalg.solve(weighted @ scaled + still, weighted @ offset[:, :, np.newaxis])
        if turn < ROUNDS - 1:
            rest = np.abs(offset - (scaled @ step)[..., 0])
            usual = np.where(spoken > 0, np.sort(np.where(spoke, rest, np.inf))[middle], 0.0)
            rest /= np.maximum(TRUSTED, 1.5 * usual)[:, np.newaxis]
            robust = weight / (1 + rest * rest)
    return np.asarray(step[..., 0] / size[:, 0])


def ends_of_light(light: Light, at: Floats, out: Floats, reach: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Where the light ends along each normal, elements outwards (N,), and whether there was any (N,)."""
    steps = np.arange(-reach, reach + 1)
    x, y = (np.floor(at[:, axis, np.newaxis] + steps * out[:, axis, np.newaxis]).astype(np.float32) for axis in (0, 1))
    asked = cv2.remap(light.plane, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    shown = np.asarray(cv2.LUT(asked, light.table), np.float32)  # beyond the plane is as dark as the screen
    full = np.clip(shown[:, :reach] @ np.full((reach, 1), 1 / reach, np.float32), light.floor, 1.0)
    gain = np.cumsum(np.minimum(shown / full, 1.0) - np.float32(light.least), axis=1)
    best = gain.argmax(axis=1)
    return best + 0.5 - reach, gain[np.arange(len(best)), best] > 0


def upright(shape: Shape) -> Shape:
    """The rectangle in the place of a shape."""
    left, right = (shape.sides[0] + shape.sides[2]) / 2, (shape.sides[1] + shape.sides[3]) / 2
    return replace(shape, sides=(left, right, left, right), style=LINEAR)
