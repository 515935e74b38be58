"""A shape to points along its outline, with the way outwards and how each parameter of the shape moves them.

What this is not: a look at pixels; `fit` looks there and moves the shape.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from dicom_ai.crop.shape import VIRTUAL, Floats, Shape

PARAMETERS = 7
"""Of every outline, so that several can be solved together; one that a shape does not have moves nothing."""

ENDS = 0.04
"""Share of an edge left out at either end, where the neighbouring edge is near."""


@dataclass(frozen=True)
class Outline:
    """N points on each of the left side, right side, top and bottom, in this order.

    Attributes:
        at: (4N, 2) x, y. out: (4N, 2) unit normals, outwards.
        moves: (4N, 7) how far a unit of each parameter moves the point outwards.
        weight: (4N,) length that the point stands for, 1 on average.
        put: the parameters (changes) to the changed shape.
    """

    at: Floats
    out: Floats
    moves: Floats
    weight: Floats
    put: Callable[[Floats], Shape]


def outline_of(shape: Shape, points: int) -> Outline:
    """The outline of any shape, `points` (N) on each of its four edges."""
    return (_curved if shape.style.is_near_arc else _straight)(shape, _shares(points))


@cache
def _shares(points: int) -> Floats:
    shares = np.linspace(ENDS, 1 - ENDS, points)
    shares.flags.writeable = False
    return shares


def _curved(shape: Shape, share: Floats) -> Outline:
    """A curved or phased sector over its six parameters: centre, two radii, two angles."""
    (x, y), n = shape.apex, len(share)
    near, far = max(shape.near - y, 0.0), shape.far - y
    left, right = (float(np.arctan(slope)) for slope in shape.slopes)
    at, out, moves = np.empty((4 * n, 2)), np.empty((4 * n, 2)), np.zeros((4 * n, PARAMETERS))
    turn, radius = np.empty(4 * n), np.empty(4 * n)
    turn[:n], turn[n : 2 * n], turn[2 * n : 3 * n] = left, right, left + (right - left) * share
    turn[3 * n :] = turn[2 * n : 3 * n]
    radius[:n], radius[2 * n : 3 * n], radius[3 * n :] = near + (far - near) * share, near, far
    radius[n : 2 * n] = radius[:n]
    sin, cos = np.sin(turn), np.cos(turn)
    at[:, 0], at[:, 1] = x + radius * sin, y + radius * cos
    out[:n, 0], out[:n, 1], out[n : 2 * n, 0], out[n : 2 * n, 1] = -cos[0], sin[0], cos[n], -sin[n]
    out[2 * n :, 0], out[2 * n :, 1] = sin[2 * n :], cos[2 * n :]
    out[2 * n : 3 * n] *= -1
    moves[:, :2] = out
    moves[2 * n : 3 * n, 2], moves[3 * n :, 3] = -1.0, 1.0
    moves[:n, 4], moves[n : 2 * n, 5] = -radius[:n], radius[n : 2 * n]
    lengths = far - near, far - near, near * (right - left), far * (right - left)

    def put(step: Floats) -> Shape:
        cx, cy, inner, outer, first, last, _ = step.tolist()
        inner = max(near + inner, 0.0)
        outer = max(far + outer, inner + 4.0)
        first = min(max(left + first, -1.5), 1.45)
        tangents = np.tan([first, min(max(right + last, first + 0.05), 1.5)]).tolist()
        cx, cy = x + cx, y + cy
        a, b, c, d = (cx + (row - cy) * tangent for row in shape.at for tangent in tangents)
        return replace(shape, sides=(a, b, c, d), near=cy + inner, far=cy + outer)

    return Outline(at, out, moves, _weights(lengths, n), put)


def _straight(shape: Shape, share: Floats) -> Outline:
    """Any other shape over seven parameters: place and slope of two lines, top, bottom, and the centre of its arc."""
    n, (left, right), (apex_x, apex_y) = len(share), shape.slopes, shape.apex
    centre, middle = apex_y + shape.drop, (shape.at[0] + shape.at[1]) / 2
    (tl_x, top), (tr_x, _) = (shape.corner(side, is_far=False) for side in (0, 1))
    (bl_x, bl_y), (br_x, br_y) = (shape.corner(side, is_far=True) for side in (0, 1))
    at, out, moves = np.empty((4 * n, 2)), np.zeros((4 * n, 2)), np.zeros((4 * n, PARAMETERS))
    for side, (slope, sign, lowest) in enumerate(((left, -1.0, bl_y), (right, 1.0, br_y))):
        here, length = slice(side * n, side * n + n), float(np.hypot(1.0, slope))
        at[here, 1] = top + (lowest - top) * share
        at[here, 0] = shape.sides[side] + (at[here, 1] - shape.at[0]) * slope
        out[here] = sign / length, -sign * slope / length
        moves[here, 2 * side] = sign / length
        if not shape.style.is_upright:
            moves[here, 2 * side + 1] = sign / length * (at[here, 1] - middle)
    at[2 * n : 3 * n, 0], at[2 * n : 3 * n, 1] = tl_x + (tr_x - tl_x) * share, top
    out[2 * n : 3 * n, 1], moves[2 * n : 3 * n, 4] = -1.0, -1.0
    at[3 * n :, 0], at[3 * n :, 1] = bl_x + (br_x - bl_x) * share, shape.far
    out[3 * n :, 1], moves[3 * n :, 5] = 1.0, 1.0
    if shape.style.is_far_arc:
        first, last = float(np.arctan2(bl_x - apex_x, bl_y - centre)), float(np.arctan2(br_x - apex_x, br_y - centre))
        turn = first + (last - first) * share
        out[3 * n :, 0], out[3 * n :, 1] = np.sin(turn), np.cos(turn)
        at[3 * n :] = np.array([apex_x, centre]) + (shape.far - centre) * out[3 * n :]
        moves[3 * n :, 6] = out[3 * n :, 1] - 1.0  # its centre down, its lowest point where it is
    lengths = bl_y - top, br_y - top, tr_x - tl_x, br_x - bl_x

    def put(step: Floats) -> Shape:
        a, da, b, db, near, far, down = step.tolist()
        p, q, r, s = shape.sides
        up, low = shape.at[0] - middle, shape.at[1] - middle
        sides = p + a + da * up, q + b + db * up, r + a + da * low, s + b + db * low
        new = replace(shape, sides=sides, near=shape.near + near, far=max(shape.far + far, shape.near + near + 4.0))
        if shape.style is not VIRTUAL:
            return new
        highest = -2.0 * (new.far - new.apex[1])  # beams of one length from a flat face end on a flatter arc
        return replace(new, drop=max(highest, centre + down - new.apex[1]))

    return Outline(at, out, moves, _weights(lengths, n), put)


def _weights(lengths: tuple[float, float, float, float], points: int) -> Floats:
    some = [max(length, 0.0) for length in lengths]
    each = 4 / max(sum(some), 1e-9)
    return np.repeat([length * each for length in some], points)
