"""A ragged picture mask to the shape a scanner draws: sector, trapezoid or rectangle, chosen by how well it covers.

Every shape a transducer gives is bounded by two straight sides, a top and a bottom that are each a straight line or
an arc around the point where the sides meet, and straight cuts where the screen window ends. One vector describes
them all, so one search fits them all. What this is not: a decision; a shape here is a witness, not a licence.

The search is cheap because a row of any such shape is an interval (less the gap of a concave near field): with
cumulative sums along the rows, the cost of a shape needs one look-up per row, not one per pixel.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dicom_ai.kept import Mask

Floats = npt.NDArray[np.float64]
Sides = tuple[float, float, float, float]
Cut = tuple[float, float, float, float]

UPRIGHT = np.array([
    (1, 0, 1, 0, 0, 0, 0), (0, 1, 0, 1, 0, 0, 0), (0, 0, 0, 0, 1, 0, 0), (0, 0, 0, 0, 0, 1, 0),
], np.float64)  # fmt: skip
"""Moves of a rectangle: a whole side, top, bottom."""

LEANING = np.concatenate([
    UPRIGHT,
    np.array([
        (1, 0, 0, 0, 0, 0, 0), (0, 1, 0, 0, 0, 0, 0), (0, 0, 1, 0, 0, 0, 0), (0, 0, 0, 1, 0, 0, 0),  # an end of a side
        (1, -1, 0, 0, 0, 0, 0), (0, 0, 1, -1, 0, 0, 0),  # the point where the sides meet, up and down
        (1, 1, 0, 0, 0, 0, 0), (0, 0, 1, 1, 0, 0, 0), (1, 1, 1, 1, 0, 0, 0),  # and sideways
        (0, 0, 0, 0, 1, 1, 0), (1, -1, 0, 0, 1, 0, 0), (0, 0, 1, -1, 0, 1, 0),  # along the depth
    ], np.float64),
])  # fmt: skip

CURVING = np.concatenate([LEANING, np.array([(0, 0, 0, 0, 0, 0, 4), (0, 0, 0, 0, 0, 0, 16)], np.float64)])
"""With a far arc: its centre too, along the axis; far ends answer weakly to it, so its steps are longer."""


@dataclass(frozen=True)
class Style:
    """A family of shapes: which moves it allows, and what it must win by (share of the picture's weight)."""

    is_upright: bool
    is_near_arc: bool
    is_far_arc: bool
    must_win: float


STYLES = (
    Style(is_upright=True, is_near_arc=False, is_far_arc=False, must_win=0.0),  # linear
    Style(is_upright=False, is_near_arc=False, is_far_arc=False, must_win=0.02),  # linear, steered or widened
    Style(is_upright=False, is_near_arc=True, is_far_arc=True, must_win=0.02),  # curved and phased
    Style(is_upright=False, is_near_arc=False, is_far_arc=True, must_win=0.025),  # virtual convex
)


@dataclass(frozen=True)
class Shape:
    """Two sides, a top and a bottom, in pixels of the frame.

    Attributes:
        sides: x of the left and right side at the row `at[0]`, then at the row `at[1]`.
        at: the two rows (y) at which `sides` are stated.
        near, far: y of top and bottom; for an arc, straight below the point where the sides meet.
        drop: how far the centre of the far arc lies below that point; 0 for a curved transducer, more for beams
            that start on a flat one.
        style: which of them are arcs.
        cut: x0, y0, x1, y1 of the window on the screen.
    """

    sides: Sides
    at: tuple[float, float]
    near: float
    far: float
    drop: float
    style: Style
    cut: Cut

    @property
    def kind(self) -> str:
        """One of "rectangle", "trapezoid" and "sector"."""
        if self.style.is_far_arc:
            return "sector"
        return "rectangle" if self.style.is_upright else "trapezoid"

    def mask(self, rows: int, columns: int) -> Mask:
        """Pixels whose centre lies inside, bool (rows, columns)."""
        ends = _intervals(np.array([[*self.sides, self.near, self.far, self.drop]]), self, rows)
        left, right, gap_left, gap_right = (end[0, :, np.newaxis] for end in ends)
        x = np.arange(columns) + 0.5
        inside: Mask = (x >= left) & (x < right) & ~((x >= gap_left) & (x < gap_right))
        return inside

    def scaled(self, by: float) -> "Shape":
        """The same shape in pixels `by` times as fine."""
        a, b, c, d = (side * by for side in self.sides)
        x0, y0, x1, y1 = (value * by for value in self.cut)
        return replace(
            self, sides=(a, b, c, d), at=(self.at[0] * by, self.at[1] * by), near=self.near * by, far=self.far * by,
            drop=self.drop * by, cut=(x0, y0, x1, y1),
        )  # fmt: skip


def fitted(weights: npt.NDArray[np.float32], start: Shape, *, coarse: int) -> Shape:
    """The shape with the least weight inside, from every style.

    Args:
        weights: float32 (H, W); negative where the picture is, positive where it must not be, 0 where unknown.
        start: a first guess; its style is ignored.
        coarse: every style is tried on every `coarse`-th pixel, the best one then made exact.
    """
    few = weights[::coarse, ::coarse]
    sums = _sums(few)
    gain = -float(few[few < 0].sum())
    best, best_cost = start, np.inf
    small = start.scaled(1.0 / coarse)
    for style in STYLES:
        for step in ((small.far - small.near) / 8.0, 1.0):
            shape, cost = _searched(replace(small, style=style), sums, step, 0.25)
            cost += style.must_win * gain
            if cost < best_cost:
                best, best_cost = shape, cost
    fine = max(1, coarse // 4)
    exact, _ = _searched(best.scaled(coarse / fine), _sums(weights[::fine, ::fine]), coarse / fine / 2.0, 0.25)
    return exact.scaled(fine)


def _sums(weights: npt.NDArray[np.float32]) -> Floats:
    sums = np.zeros((weights.shape[0], weights.shape[1] + 1), np.float64)
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def _intervals(vectors: Floats, shape: Shape, rows: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Left and right end of every row and of its near-field gap, (K, rows), for K vectors (sides, near, far, drop)."""
    y = np.arange(rows) + 0.5
    t = (y - shape.at[0]) / (shape.at[1] - shape.at[0])
    left_top, right_top, left_low, right_low, near, far, drop = (vectors[:, i : i + 1] for i in range(7))
    left = np.maximum(left_top + t * (left_low - left_top), shape.cut[0])
    right = np.minimum(right_top + t * (right_low - right_top), shape.cut[2])
    opening = np.maximum((right_low - left_low) - (right_top - left_top), 1e-3)  # nearly parallel: an apex far away
    up = (right_top - left_top) / opening
    apex_x = left_top - up * (left_low - left_top)
    from_apex = y - (shape.at[0] - up * (shape.at[1] - shape.at[0]))
    outside = (y < shape.cut[1]) | (y >= shape.cut[3])
    gap_left = gap_right = left
    if shape.style.is_far_arc:
        radius = far - y + from_apex - drop
        below = np.maximum(from_apex - drop, 0.0)  # above its centre the arc bounds nothing
        half = np.sqrt(np.maximum(radius * radius - below * below, 0.0))
        left, right = np.maximum(left, apex_x - half), np.minimum(right, apex_x + half)
        outside = outside | (from_apex < 0)
    else:
        outside = outside | (y >= far)
    if shape.style.is_near_arc:
        radius = near - y + from_apex
        half = np.sqrt(np.maximum(radius * radius - from_apex * from_apex, 0.0))
        gap_left, gap_right = apex_x - half, apex_x + half
    else:
        outside = outside | (y < near)
    right = np.where(outside, left, np.maximum(left, right))
    return left, right, np.clip(gap_left, left, right), np.clip(gap_right, left, right)


def _costs(vectors: Floats, shape: Shape, sums: Floats) -> Floats:
    """Weight inside each of K shapes."""
    rows, width = sums.shape
    offsets = np.arange(rows) * width
    left, right, gap_left, gap_right = (
        sums.ravel()[offsets + np.clip(np.ceil(ends - 0.5), 0, width - 1).astype(np.int64)]
        for ends in _intervals(vectors, shape, rows)
    )
    costs: Floats = (right - left - (gap_right - gap_left)).sum(axis=1)
    return costs


def _searched(shape: Shape, sums: Floats, step: float, least: float) -> tuple[Shape, float]:
    """Take the best of all moves while one helps, then halve the step (pixels) until it is under `least`."""
    moves = UPRIGHT if shape.style.is_upright else CURVING if shape.style.is_far_arc else LEANING
    moves = np.concatenate([moves, -moves])
    vector = np.array([*shape.sides, shape.near, shape.far, shape.drop])
    if shape.style.is_upright:
        vector[[0, 2]], vector[[1, 3]] = vector[[0, 2]].mean(), vector[[1, 3]].mean()
    cost = float(_costs(vector[np.newaxis], shape, sums)[0])
    while step >= least:
        tried = vector + step * moves
        is_possible = (tried[:, 5] > tried[:, 4] + 4.0) & (tried[:, 6] >= 0.0)
        costs = np.where(is_possible, _costs(tried, shape, sums), np.inf)
        best = int(costs.argmin())
        if costs[best] < cost - 1e-9:
            vector, cost = tried[best], float(costs[best])
        else:
            step /= 2.0
    a, b, c, d, near, far, drop = (float(value) for value in vector)
    return replace(shape, sides=(a, b, c, d), near=near, far=far, drop=drop), cost
