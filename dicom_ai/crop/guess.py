"""A ragged picture on blocks to the shape that explains it best: first guesses, moved onto it, and compared.

What this is not: the exact edge, for which `support` looks at pixels.
"""

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.fit import FEW, LEAST_POINTS, Light, all_moved, least_seen, upright
from dicom_ai.crop.polygon import box_of
from dicom_ai.crop.shape import CURVED, LEANING, VIRTUAL, Floats, Shape
from dicom_ai.kept import Mask

UNSEEN = 0.08
"""Share of the picture's weight that a shape loses when one of its edges is seen nowhere."""

LEAST_OPENING = 0.1
"""Columns by which a sector widens per row, at least."""

DARK_INSIDE = 77
"""Light, x 255, of what is dark but lies between picture in its row and its column."""

FEW_ROWS = 0.2
"""Share of a rectangle's rows from which its side is told."""

SHARES = (np.arange(256) / 255).astype(np.float32)

FLOOR = 0.35
"""Of a picture's columns end within a block of its lowest row where the screen window cuts an arc; where none does,
about a sixth."""


def best_shape(weights: npt.NDArray[np.float32], picture: Mask, hull: Mask) -> Shape:
    """The shape with the least weight inside, each style moved onto the picture first."""
    plane = picture.view(np.uint8) * np.uint8(255)
    plane[hull & ~picture] = DARK_INSIDE
    light = Light(plane, SHARES, least=0.3, floor=1.0)
    sums = np.diff(cv2.integral(weights), axis=0)  # several times as fast as a sum along the rows
    gain = float(picture.sum())
    shapes = all_moved(_guesses(picture, hull), light, reach=12, rounds=3, points=FEW)
    seen = least_seen(shapes, light, reach=6)
    costs = [
        shape.weight(sums) + (shape.style.must_win + UNSEEN * (1.0 - share)) * gain
        for shape, share in zip(shapes, seen, strict=True)
    ]
    return shapes[int(np.argmin(costs))]


def filled(mask: Mask) -> Mask:
    """Fill between the outermost pixels of every row and of every column: closes dark organs, keeps concave arcs."""
    rows, columns = mask.shape
    box = box_of(mask)
    if box is None:
        return mask.copy()
    x0, y0, x1, y1 = box
    part = np.ascontiguousarray(mask[y0:y1, x0:x1])
    between = _between(part) & _between(np.ascontiguousarray(part.T)).T
    return np.pad(between | part, ((y0, rows - y1), (x0, columns - x1)))


def _between(mask: Mask) -> Mask:
    """From the first to the last pixel of every row; a row without any, a dark band, says nothing and is all true."""
    columns = mask.shape[1]
    first, last = mask.argmax(axis=1), columns - 1 - mask[:, ::-1].argmax(axis=1)
    empty = ~mask[np.arange(len(mask)), first]
    first[empty], last[empty] = 0, columns - 1
    x = np.arange(columns, dtype=np.int32)
    return np.asarray((x >= first[:, np.newaxis].astype(np.int32)) & (x <= last[:, np.newaxis].astype(np.int32)))


def _guesses(picture: Mask, hull: Mask) -> list[Shape]:
    """First guesses, one for every style, from the outermost pixels of the rows."""
    rows, columns = hull.shape
    outline = np.zeros(hull.shape, np.uint8)
    contours, _ = cv2.findContours(picture.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.fillConvexPoly(outline, cv2.convexHull(np.concatenate(contours)), 1)
    ys = np.flatnonzero(outline.any(axis=1))
    top, bottom = float(ys[0]), float(ys[-1] + 1)
    left = outline[ys].argmax(axis=1).astype(np.float64)
    right = columns - outline[ys][:, ::-1].argmax(axis=1).astype(np.float64)
    (a, da), (b, db) = _line(ys, left, int(left.argmin())), _line(ys, right, int(right.argmax()))
    sides = (a + da * top, b + db * top, a + da * bottom, b + db * bottom)
    cut = _cut(left, right, rows=rows, columns=columns)
    low = rows - picture[::-1].argmax(axis=0)[picture.any(axis=0)]
    floor = int(np.bincount(low).argmax())
    if (np.abs(low - floor) <= 1).sum() >= FLOOR * len(low) and (low > floor + 1).sum() <= 0.1 * len(low):
        cut = (*cut[:3], float(floor))
    plain = Shape(sides=sides, at=(top, bottom), near=top, far=bottom, drop=0.0, style=LEANING, cut=cut)
    boxed = replace(upright(plain), sides=_upright_ends(picture) * 2, cut=(0.0, 0.0, float(columns), float(rows)))
    guesses = [
        boxed,
        replace(plain, cut=(cut[0], 0.0, cut[2], float(rows))),
    ]
    if db - da > LEAST_OPENING:
        arcs = _arcs(plain, picture)
        guesses += arcs
        if cut[3] < rows:  # or it is a shallow arc
            guesses += [replace(arc, cut=(cut[0], 0.0, cut[2], float(rows))) for arc in arcs]
    return guesses


def _upright_ends(picture: Mask) -> tuple[float, float]:
    """Where a rectangle's sides are: what sticks out, such as text beside it, does so in few rows."""
    lit = picture[picture.any(axis=1)]
    left, right = lit.argmax(axis=1), lit.shape[1] - lit[:, ::-1].argmax(axis=1)
    return _at_share(left, FEW_ROWS), _at_share(right, 1 - FEW_ROWS)


def _at_share(ends: npt.NDArray[np.intp], share: float) -> float:
    """The value that such a share of them reaches, between neighbours in proportion; as `np.quantile`, but at once."""
    place = share * (len(ends) - 1)
    low, high = np.sort(ends)[[int(place), min(int(place) + 1, len(ends) - 1)]].tolist()
    return float(low + (high - low) * (place - int(place)))


def _arcs(plain: Shape, picture: Mask) -> list[Shape]:
    """The sectors between two sides: curved, and with a flat top."""
    (x, y), slopes = plain.apex, plain.slopes
    edge = picture.view(np.uint8) - cv2.erode(picture.view(np.uint8), np.ones((3, 3), np.uint8))
    xs, ys = cv2.findNonZero(edge).reshape(-1, 2).T + np.array([[0.5 - x], [0.5 - y]])
    distance, turn = np.hypot(xs, ys), np.arctan2(xs, ys)
    left, right = float(np.arctan(slopes[0])), float(np.arctan(slopes[1]))
    central = distance[np.abs(turn - (left + right) / 2) < 0.3 * (right - left)]
    if len(central) < LEAST_POINTS:
        return []
    near, far = float(central.min()), float(np.sort(distance)[-max(1, len(distance) // 50)])
    sector = replace(plain, near=y + near, far=y + far, style=CURVED)
    return [sector, replace(plain, far=y + far, style=VIRTUAL)]


def _line(ys: npt.NDArray[np.intp], xs: Floats, widest: int) -> tuple[float, float]:
    """Intercept and slope of x over y from the top row to the widest, where the side of a sector is straight."""
    n = max(widest, len(ys) // 4, 2)
    a, b = n // 6, max(n - n // 6 - 1, n // 6 + 1)
    slope = (xs[b] - xs[a]) / (ys[b] - ys[a])
    return float(np.median(xs[a : b + 1] - slope * ys[a : b + 1])), float(slope)


def _cut(left: Floats, right: Floats, *, rows: int, columns: int) -> tuple[float, float, float, float]:
    """The screen window: a side with a straight upright run along it ends there, otherwise the frame does."""
    run = 0.1 * len(left)
    x0 = left.min() if (left <= left.min() + 1).sum() >= run else 0.0
    x1 = right.max() if (right >= right.max() - 1).sum() >= run else float(columns)
    return float(x0), 0.0, float(x1), float(rows)
