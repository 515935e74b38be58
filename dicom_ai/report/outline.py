"""Outlines that readers draw, as closed polygons: from a command line, or from a SCOORD of any shape (PS3.3 C.18.6).

Workstations write a circle as its centre and a point on it, and an ellipse as the ends of its axes; taken for a
polygon, those four points would be another region. What this is not: whether an outline lies on its image.
"""

import math
import re

from pydicom.dataset import Dataset

from dicom_ai.kept import Polygon

_CORNERS = 64  # of a circle; the polygon's area is 0.2 % less than the circle's
_POINT = re.compile(r"(?P<x>[0-9]+(?:\.[0-9]+)?),(?P<y>[0-9]+(?:\.[0-9]+)?)")


def polygon_of(text: str) -> Polygon:
    """Read an outline as people write it.

    Args:
        text: at least three points `x,y` (column, row; full-frame pixels) with spaces between them.

    Raises:
        ValueError: it is none; the text says how one looks.

    Examples:
        >>> polygon_of("300,200 340,200 340,240")
        ((300.0, 200.0), (340.0, 200.0), (340.0, 240.0))
    """
    found = [_POINT.fullmatch(part) for part in text.split()]
    if len(found) < 3 or not all(found):
        raise ValueError(f'{text!r} is no outline; write at least three points x,y: "300,200 340,200 340,240"')
    return tuple((float(one["x"]), float(one["y"])) for one in found if one)


def outline(scoord: Dataset) -> Polygon | None:
    """The outline that a SCOORD draws, in pixels (column, row) of the full frame; None: it only points.

    Raises:
        ValueError: it draws something that bounds no area, or is cut short.
    """
    kind = str(scoord.get("GraphicType") or "")
    values = [float(value) for value in scoord.get("GraphicData") or []]
    points = tuple(zip(values[::2], values[1::2], strict=True))
    if not all(map(math.isfinite, values)):
        raise ValueError("a region has a coordinate that is no number")
    if kind in ("POINT", "MULTIPOINT"):
        return None
    if kind == "CIRCLE" and len(points) == 2:
        (x, y), (on_x, on_y) = points
        radius = math.hypot(on_x - x, on_y - y)
        return _round((x, y), (radius, 0.0), (0.0, radius))
    if kind == "ELLIPSE" and len(points) == 4:
        first, second, third, fourth = points
        centre = (first[0] + second[0]) / 2, (first[1] + second[1]) / 2
        major = (second[0] - first[0]) / 2, (second[1] - first[1]) / 2
        minor = (fourth[0] - third[0]) / 2, (fourth[1] - third[1]) / 2
        return _round(centre, major, minor)
    if kind in ("POLYLINE", "POLYGON") and len(points) >= 3:
        return points
    raise ValueError("a region bounds no area")


def _round(centre: tuple[float, float], first: tuple[float, float], second: tuple[float, float]) -> Polygon:
    """The closed polygon around an ellipse with these half axes."""
    angles = [2 * math.pi * (step % _CORNERS) / _CORNERS for step in range(_CORNERS + 1)]
    return tuple(
        (
            centre[0] + math.cos(angle) * first[0] + math.sin(angle) * second[0],
            centre[1] + math.cos(angle) * first[1] + math.sin(angle) * second[1],
        )
        for angle in angles
    )
