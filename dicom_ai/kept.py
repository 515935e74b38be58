"""Kept: the pixels that survived the crop, and the shape that let them survive.

This is the only form in which pixels travel from the decoding child to networks, overlays and training sets.
It holds no attribute of the data set and no identity.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Polygon = tuple[tuple[float, float], ...]
"""Vertices (x, y) in full-frame pixels; pixel (r, c) is the square [c, c+1] x [r, r+1]."""

Mask = npt.NDArray[np.bool_]

Index = npt.NDArray[np.intp]

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in full-frame pixels, half open."""


@dataclass(frozen=True)
class CropOutcome:
    """What the crop decided about one object, without pixels.

    Attributes:
        status: "cropped" or "quarantined" or "failed" (not readable at all).
        reason: code of `errors.REASONS` unless cropped.
        rows, columns, frames: of the source.
        keep: polygons that survive, full-frame pixels; empty unless cropped.
        blanked: boxes inside `keep` that were set to zero.
        box: tight bounding box of the kept pixels; crop origin and size.
        votes: what each witness said: "regions", "layout", "support"; small JSON.
    """

    status: str
    reason: str | None
    rows: int
    columns: int
    frames: int
    keep: tuple[Polygon, ...] = ()
    blanked: tuple[Box, ...] = ()
    box: Box | None = None
    votes: dict[str, Any] | None = None

    def row(self) -> dict[str, Any]:
        """The outcome as the JSON object of the crop row (without "file" and "png")."""
        return {
            "status": self.status,
            "reason": self.reason,
            "rows": self.rows,
            "columns": self.columns,
            "frames": self.frames,
            "keep": [[list(point) for point in polygon] for polygon in self.keep],
            "blanked": [list(box) for box in self.blanked],
            "box": list(self.box) if self.box else None,
            "votes": self.votes or {"regions": None, "layout": None, "support": None},
        }

    @classmethod
    def of(cls, row: dict[str, Any]) -> "CropOutcome":
        """Read back what `row` wrote; other keys are ignored."""
        return cls(
            status=row["status"],
            reason=row["reason"],
            rows=row["rows"],
            columns=row["columns"],
            frames=row["frames"],
            keep=tuple(tuple((float(x), float(y)) for x, y in polygon) for polygon in row["keep"]),
            blanked=tuple((int(a), int(b), int(c), int(d)) for a, b, c, d in row["blanked"]),
            box=tuple(row["box"]) if row["box"] else None,
            votes=row["votes"],
        )


@dataclass(frozen=True)
class Kept:
    """Pixels of the sampled frames inside the kept shape, everything else zero.

    Attributes:
        frames: uint8 (T, h, w, C), C 1 (grey) or 3 (RGB); h and w are the size of `outcome.box`.
        frame_numbers: the T source frame numbers, one-based (PS3.3 Referenced Frame Number).
        outcome: the decision, status "cropped".
    """

    frames: npt.NDArray[np.uint8]
    frame_numbers: tuple[int, ...]
    outcome: CropOutcome


def sampled_frames(n_frames: int, limit: int) -> tuple[int, ...]:
    """Which frames of a clip are analysed: every stride-th from the first, stride = ceil(n / limit).

    Args:
        n_frames: NumberOfFrames of the source, >= 1.
        limit: most frames to analyse, >= 1.

    Returns:
        One-based frame numbers, at most `limit`, evenly spaced, so that FrameTime = stride x the source's.

    Examples:
        >>> sampled_frames(5, 16)
        (1, 2, 3, 4, 5)
        >>> sampled_frames(30, 8)
        (1, 5, 9, 13, 17, 21, 25, 29)
    """
    stride = -(-n_frames // limit)
    return tuple(range(1, n_frames + 1, stride))


def mask_of(polygons: Iterable[Polygon], rows: int, columns: int) -> Mask:
    """Which pixels have their centre inside any of the polygons: what a polygon means is decided here and nowhere else.

    A pixel belongs to a polygon exactly when its centre (c+0.5, r+0.5) lies inside by the even-odd rule; a centre on a
    left or upper edge counts as inside, on a right or lower edge as outside, so that two polygons sharing an edge
    never share a pixel. Nothing is anti-aliased.

    Args:
        polygons: vertices (x, y) in full-frame pixels; the last vertex is joined to the first. Parts outside the
            frame are ignored.
        rows: height of the frame in pixels.
        columns: width of the frame in pixels.

    Returns:
        bool (rows, columns).
    """
    mask = np.zeros((rows, columns), np.bool_)
    flat = mask.reshape(-1)
    for polygon in polygons:
        _, begin, end = _runs(polygon, rows, columns)
        for first, after in zip(begin.tolist(), end.tolist(), strict=True):
            flat[first:after] = True
    return mask


def box_within(polygons: Iterable[Polygon], rows: int, columns: int) -> Box | None:
    """The tight half-open box x0, y0, x1, y1 of `mask_of` the same, without making it; None when nothing is inside."""
    runs = [_runs(polygon, rows, columns) for polygon in polygons]
    row, begin, end = (np.concatenate(part) for part in zip(*runs, strict=True)) if runs else _NOTHING
    row, begin, end = (part[begin < end] for part in (row, begin, end))
    if not len(row):
        return None
    before = row * columns
    return int((begin - before).min()), int(row.min()), int((end - before).max()), int(row.max()) + 1


def _runs(polygon: Polygon, rows: int, columns: int) -> tuple[Index, Index, Index]:
    """What lies inside, as runs along the rows: the row of each, and its half-open ends in the raveled frame."""
    points = np.array(polygon, np.float64)
    upper, lower = points, np.roll(points, -1, axis=0)
    is_up = (upper[:, 1] > lower[:, 1])[:, np.newaxis]  # both directions cross the same centre lines
    upper, lower = np.where(is_up, lower, upper), np.where(is_up, upper, lower)
    # the centre lines r+0.5 with ay <= r+0.5 < by: a vertex on a line is counted once, not twice
    first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, rows).astype(np.intp)
    after = np.clip(np.ceil(lower[:, 1] - 0.5), 0, rows).astype(np.intp)
    count = np.maximum(after - first, 0)
    edge = np.repeat(np.arange(len(points)), count)
    crossed = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    (ax, ay), (bx, by) = upper[edge].T, lower[edge].T
    xs = ax + (crossed + 0.5 - ay) * ((bx - ax) / (by - ay))
    starts = np.clip(np.ceil(xs - 0.5), 0, columns).astype(np.intp)
    # every row is crossed an even number of times: what lies between the first and second crossing is inside, and so on
    places = np.sort(crossed * (columns + 1) + starts)  # a run may end behind the last column
    row = places[::2] // (columns + 1)
    return row, places[::2] - row, places[1::2] - row


_NOTHING = (np.zeros(0, np.intp),) * 3
