"""A keep polygon that a person proposes: read, and refused with a reason in words unless it can be one.

What this is not: what the crop makes of it; the object is cropped with it before it is entered anywhere.
"""

import hashlib
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from dicom_ai.crop.catalogue import Layout
from dicom_ai.kept import Polygon, mask_of

LEAST_SHARE, LARGEST_SHARE = 0.01, 0.95
"""Of the frame: less is a mark, more is the whole screen with its header."""

MOST_VERTICES = 512
"""Of one polygon: an outline pixel by pixel has no more after smoothing; the check compares every two edges."""

_FURTHEST = 1e6  # pixels: beyond it a number is a slip, and products of it lose digits


def polygon_of(text: str) -> Polygon:
    """Read "x,y x,y x,y": vertices in full-frame pixels.

    Raises:
        ValueError: the text is none; its text says why.
    """
    try:
        points = tuple((float(x), float(y)) for x, y in (pair.split(",") for pair in text.split()))
    except ValueError:
        raise ValueError(f"{text!r} is no polygon; write vertices as 'x,y x,y x,y'") from None
    if not all(abs(value) < _FURTHEST for point in points for value in point):  # false for NaN as well
        raise ValueError("a coordinate is no number of pixels")
    return points


def fault_of(keep: Sequence[Polygon], rows: int, columns: int, bound: Layout | None) -> str | None:
    """Why these polygons cannot be what is kept, in words; None when they can.

    Args:
        keep: polygons in full-frame pixels.
        rows: of the frame.
        columns: of the frame.
        bound: the published entry for the device, with the identity band outside of it.
    """
    if not keep:
        return "there is no polygon"
    for polygon in keep:
        if not 3 <= len(polygon) <= MOST_VERTICES:
            return f"a polygon has 3 to {MOST_VERTICES} vertices, not {len(polygon)}"
        if any(not (0 <= x <= columns and 0 <= y <= rows) for x, y in polygon):
            return f"a vertex lies outside the frame, which is {columns} x {rows} pixels"
        if _crosses_itself(polygon):
            return "a polygon touches or crosses itself"
    mask = mask_of(keep, rows, columns)
    share = float(mask.mean())
    if not LEAST_SHARE <= share <= LARGEST_SHARE:
        most = f"{100 * LEAST_SHARE:.0f} to {100 * LARGEST_SHARE:.0f} %"
        return f"it keeps {100 * share:.1f} % of the frame; {most} can be kept"
    if bound is not None and (outside := int((mask & ~mask_of(bound.keep, rows, columns)).sum())):
        return f"{outside} pixels lie where no picture can be, by the published entry {bound.name}"
    return None


def mask_digest(keep: Sequence[Polygon], rows: int, columns: int) -> str:
    """SHA-256 of frame size and pixels inside, so that two ways to write one shape compare equal."""
    packed = np.packbits(mask_of(keep, rows, columns)).tobytes()
    return hashlib.sha256(f"{rows}x{columns}\0".encode() + packed).hexdigest()


def _crosses_itself(polygon: Polygon) -> bool:
    """Whether two edges have a point in common that is not the vertex between neighbours; O(n^2)."""
    if len(set(polygon)) < len(polygon):
        return True
    edges = list(zip(polygon, polygon[1:] + polygon[:1], strict=True))
    for (i, (a, b)), (j, (c, d)) in combinations(enumerate(edges), 2):
        if j == i + 1 or (i == 0 and j == len(edges) - 1):  # neighbours: the shared vertex, unless they fold back
            shared, one, other = (b, a, d) if j == i + 1 else (a, b, c)
            if _side(one, shared, other) == 0 and _dot(one, shared, other) > 0:
                return True
        elif _meet(a, b, c, d):
            return True
    return False


def _side(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _dot(a: tuple[float, float], at: tuple[float, float], b: tuple[float, float]) -> float:
    return (a[0] - at[0]) * (b[0] - at[0]) + (a[1] - at[1]) * (b[1] - at[1])


def _meet(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], d: tuple[float, float]) -> bool:
    """Whether two segments have a point in common."""
    sides = _side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b)
    if sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0:
        return True
    ends = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(side == 0 and _is_between(*end) for side, end in zip(sides, ends, strict=True))


def _is_between(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])
