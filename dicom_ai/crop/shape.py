"""The shapes a scanner draws: sector, trapezoid or rectangle, in one parametrisation, and the pixels inside.

Every shape a transducer gives is bounded by two straight sides, a top and a bottom that are each a straight line or
an arc around the point where the sides meet, and straight cuts where the screen window ends. What this is not: a
search; `fit` moves a shape onto a picture.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dicom_ai.kept import Mask, Polygon

Floats = npt.NDArray[np.float64]
Sides = tuple[float, float, float, float]
Cut = tuple[float, float, float, float]


@dataclass(frozen=True)
class Style:
    """A family of shapes: which parts are arcs, and what it must win by (share of the picture's weight)."""

    is_upright: bool
    is_near_arc: bool
    is_far_arc: bool
    must_win: float


LINEAR = Style(is_upright=True, is_near_arc=False, is_far_arc=False, must_win=0.0)
LEANING = Style(is_upright=False, is_near_arc=False, is_far_arc=False, must_win=0.02)
CURVED = Style(is_upright=False, is_near_arc=True, is_far_arc=True, must_win=0.02)
VIRTUAL = Style(is_upright=False, is_near_arc=False, is_far_arc=True, must_win=0.025)
STYLES = (LINEAR, LEANING, CURVED, VIRTUAL)
"""Linear; linear, steered or widened; curved and phased; virtual convex."""


@dataclass(frozen=True)
class Shape:
    """Two sides, a top and a bottom, in pixels (or blocks) of the frame.

    Attributes:
        sides: x of the left and right side at the row `at[0]`, then at the row `at[1]`.
        at: the two rows (y) at which `sides` are stated.
        near, far: y of top and bottom; for an arc, straight below the point where the sides meet.
        drop: how far the centre of the far arc lies below that point; 0 for a curved transducer; above it (less
            than 0) or below for beams that start on a flat one.
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

    @property
    def slopes(self) -> tuple[float, float]:
        """Change of x per row along the left and the right side."""
        height = self.at[1] - self.at[0]
        return (self.sides[2] - self.sides[0]) / height, (self.sides[3] - self.sides[1]) / height

    @property
    def apex(self) -> tuple[float, float]:
        """Where the sides meet; far above when they are nearly parallel."""
        left, right = self.slopes
        opening = max(right - left, 1e-4)
        up = (self.sides[1] - self.sides[0]) / opening
        return self.sides[0] - left * up, self.at[0] - up

    def mask(self, rows: int, columns: int) -> Mask:
        """Pixels whose centre lies inside, bool (rows, columns)."""
        left, right, gap_left, gap_right = (
            ends[:, np.newaxis] for ends in self.intervals(np.arange(rows, dtype=np.float64) + 0.5)
        )
        x = np.arange(columns, dtype=np.float32) + np.float32(0.5)
        inside: Mask = (x >= left) & (x < right) & ~((x >= gap_left) & (x < gap_right))
        return inside

    def intervals(self, y: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Left and right end at every y, and the same of the gap that a concave near field leaves, each like `y`."""
        slopes, (apex_x, apex_y) = self.slopes, self.apex
        left = np.maximum(self.sides[0] + (y - self.at[0]) * slopes[0], self.cut[0])
        right = np.minimum(self.sides[1] + (y - self.at[0]) * slopes[1], self.cut[2])
        outside = (y < self.cut[1]) | (y >= self.cut[3])
        gap_left = gap_right = left
        if self.style.is_far_arc:
            centre = apex_y + self.drop
            below = np.maximum(y - centre, 0.0)  # above its centre the arc bounds nothing
            half = np.sqrt(np.maximum((self.far - centre) ** 2 - below * below, 0.0))
            half[below > self.far - centre] = 0.0
            left, right = np.maximum(left, apex_x - half), np.minimum(right, apex_x + half)
            outside = outside | (y < apex_y)
        else:
            outside = outside | (y >= self.far)
        if self.style.is_near_arc:
            half = np.sqrt(np.maximum((self.near - apex_y) ** 2 - (y - apex_y) ** 2, 0.0))
            gap_left, gap_right = apex_x - half, apex_x + half
        else:
            outside = outside | (y < self.near)
        right = np.where(outside, left, np.maximum(left, right))
        return left, right, np.clip(gap_left, left, right), np.clip(gap_right, left, right)

    def polygon(self) -> Polygon:
        """Outline, clockwise from the left end of the top, bent by less than a tenth of a pixel."""
        return _clipped(np.concatenate([self._edge(is_far=False), self._edge(is_far=True)[::-1]]), self.cut)

    def corner(self, side: int, *, is_far: bool) -> tuple[float, float]:
        """Where the left (0) or right (1) side meets the top or the bottom, x and y."""
        slope, at = self.slopes[side], self.far if is_far else self.near
        if not (self.style.is_far_arc if is_far else self.style.is_near_arc):
            return self.sides[side] + slope * (at - self.at[0]), at
        (x, y), drop = self.apex, self.drop if is_far else 0.0
        radius = at - y - drop
        # on the side, below the apex: x + slope s, y + s, at `radius` from the centre (x, y + drop)
        root = np.sqrt(max((1 + slope * slope) * (radius * radius - drop * drop) + drop * drop, 0.0))
        along = float((drop + root) / (1 + slope * slope))
        return x + slope * along, y + along

    def _edge(self, *, is_far: bool) -> Floats:
        """Top or bottom from the left side to the right, (N, 2)."""
        ends = [self.corner(side, is_far=is_far) for side in (0, 1)]
        if not (self.style.is_far_arc if is_far else self.style.is_near_arc):
            return np.array(ends)
        (x, y), at = self.apex, self.far if is_far else self.near
        centre = y + (self.drop if is_far else 0.0)
        radius = at - centre
        first, last = (float(np.arctan2(end[0] - x, end[1] - centre)) for end in ends)
        turn = np.linspace(first, last, 2 + int(1.2 * np.sqrt(max(radius, 1.0)) * abs(last - first)))
        return np.stack([x + radius * np.sin(turn), centre + radius * np.cos(turn)], axis=1)

    def scaled(self, by: float) -> "Shape":
        """The same shape in pixels `by` times as fine."""
        a, b, c, d = (side * by for side in self.sides)
        x0, y0, x1, y1 = (value * by for value in self.cut)
        return replace(
            self, sides=(a, b, c, d), at=(self.at[0] * by, self.at[1] * by), near=self.near * by, far=self.far * by,
            drop=self.drop * by, cut=(x0, y0, x1, y1),
        )  # fmt: skip

    def weight(self, sums: Floats) -> float:
        """What lies inside, by `sums`, (H, W + 1): cumulative along the rows, 0 first.

        A row of any such shape is an interval less the gap of a concave near field, so one look-up a row is enough.
        """
        rows, width = sums.shape
        offsets = np.arange(rows) * width
        left, right, gap_left, gap_right = (
            sums.ravel()[offsets + np.clip(np.ceil(ends - 0.5), 0, width - 1).astype(np.int64)]
            for ends in self.intervals(np.arange(rows, dtype=np.float64) + 0.5)
        )
        return float((right - left - (gap_right - gap_left)).sum())


def _clipped(outline: Floats, cut: Cut) -> Polygon:
    """An outline cut with the window, one straight line after the other (Sutherland and Hodgman 1974)."""
    for axis, bound, sign in ((0, cut[0], 1), (1, cut[1], 1), (0, cut[2], -1), (1, cut[3], -1)):
        if not len(outline):
            break
        inside = sign * (outline[:, axis] - bound)
        if inside.min() >= 0:
            continue
        following = np.roll(outline, -1, axis=0)
        after = np.roll(inside, -1)
        points = []
        for here, there, a, b in zip(outline, following, inside, after, strict=True):
            if a >= 0:
                points.append(here)
            if (a >= 0) != (b >= 0):
                points.append(here + (there - here) * (a / (a - b)))
        outline = np.array(points)
    return tuple((x, y) for x, y in outline.round(3).tolist())
