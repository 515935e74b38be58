"""Where on a screen a line of text may stand: in the header, beside, below or at the edge of the sector, or inside it.

Places are exact: they are taken from the pixels of the sector, not from its box. What this is not: painting.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.kept import Box, Mask

Place = Literal["header", "side", "caption", "edge", "inside", "one frame", "moving", "label"]
PLACES: tuple[Place, ...] = ("header", "side", "caption", "edge", "inside", "one frame", "moving", "label")
"""The first four lie outside the sector; "label" is a small one that stands still inside it over a whole clip."""

OUTSIDE: tuple[Place, ...] = ("header", "side", "caption", "edge")

Corner = tuple[int, int]
"""x, y of a text's top left pixel."""

_GAP = 3
_TRIES = 24


@dataclass(frozen=True)
class Ground:
    """A screen a text is put on.

    Attributes:
        sector: bool (rows, columns), every pixel in which echoes are drawn.
        region: of the Sequence of Ultrasound Regions.
    """

    sector: Mask
    region: Box


def corners(place: Place, ink: Mask, ground: Ground, frames: int, rng: np.random.Generator) -> dict[int, Corner] | None:
    """Choose where a text stands.

    Args:
        place: what kind of place.
        ink: bool (h, w), the pixels the text touches.
        ground: the screen.
        frames: of the clip, 1 for a still.
        rng: decides among the places that fit.

    Returns:
        Frame (from 0) to corner; None when the place has no room for this text.
    """
    if place in {"one frame", "moving"}:
        return _in_time(place, ink, ground, frames, rng)
    if place == "label" and frames < 2:
        return None
    for _ in range(_TRIES):
        corner = _FIND[place](ink, ground, rng)
        if corner is not None and _fits(corner, ink, ground):
            return dict.fromkeys(range(frames), corner)
    return None


def _fits(corner: Corner, ink: Mask, ground: Ground) -> bool:
    (x, y), (h, w), (rows, columns) = corner, ink.shape, ground.sector.shape
    return x >= 0 and y >= 0 and x + w <= columns and y + h <= rows


def _between(rng: np.random.Generator, low: int, high: int) -> int | None:
    return int(rng.integers(low, high + 1)) if high >= low else None


def _header(ink: Mask, ground: Ground, rng: np.random.Generator) -> Corner | None:
    """Above the region box, its last rows included."""
    h, w = ink.shape
    x = _between(rng, 1, ground.sector.shape[1] - w - 1)
    y = _between(rng, 0, ground.region[1] - h)
    return None if x is None or y is None else (x, y)


def _side(ink: Mask, ground: Ground, rng: np.random.Generator) -> Corner | None:
    """Left or right of the sector, at a row it reaches, inside the region box or beyond."""
    h, w = ink.shape
    lit = np.flatnonzero(ground.sector.any(axis=1))
    y = _between(rng, int(lit[0]), int(lit[-1]) - h)
    if y is None:
        return None
    columns = np.flatnonzero(ground.sector[max(0, y - _GAP) : y + h + _GAP].any(axis=0))
    left, right = int(columns[0]), int(columns[-1])
    is_left = bool(rng.random() < 0.5)
    x = _between(rng, 1, left - w - _GAP) if is_left else _between(rng, right + 1 + _GAP, ground.sector.shape[1] - w)
    return None if x is None else (x, y)


def _caption(ink: Mask, ground: Ground, rng: np.random.Generator) -> Corner | None:
    """Below the sector and inside the region box; under the ends of a far arc there is room higher up."""
    h, w = ink.shape
    x0, _, x1, y1 = ground.region
    x = _between(rng, x0, x1 - w)
    if x is None:
        return None
    rows = np.flatnonzero(ground.sector[:, max(0, x - _GAP) : x + w + _GAP].any(axis=1))
    if not rows.size:
        return None
    y = _between(rng, int(rows[-1]) + 1 + _GAP, y1 - h)
    return None if y is None else (x, y)


def _edge(ink: Mask, ground: Ground, rng: np.random.Generator) -> Corner | None:
    """So that the nearest pixel of the text touches the sector and none lies in it: from one of the four sides."""
    turns = int(rng.integers(4))
    sector, turned = np.rot90(ground.sector, turns), np.rot90(ink, turns)
    y = _between(rng, 0, sector.shape[0] - turned.shape[0])
    if y is None:
        return None
    band = sector[y : y + turned.shape[0]]
    met = band.any(axis=1) & turned.any(axis=1)
    if not met.any():
        return None
    ends = band.shape[1] - np.argmax(band[:, ::-1], axis=1)  # first column right of the sector
    x = int((ends - np.argmax(turned, axis=1))[met].max())
    return _turned_back((x, y), turned, sector, turns)


def _turned_back(corner: Corner, ink: Mask, sector: Mask, turns: int) -> Corner | None:
    (x, y), (h, w) = corner, ink.shape
    rows, columns = sector.shape
    if x + w > columns:
        return None
    for _ in range(turns):  # np.rot90 turns against the clock; one turn with it: (x, y) -> (rows - y - h, x)
        x, y, h, w, rows, columns = rows - y - h, x, w, h, columns, rows
    return x, y


def _inside(ink: Mask, ground: Ground, rng: np.random.Generator) -> Corner | None:
    free = _room(ink, ground)
    if not free.size:
        return None
    y, x = free[int(rng.integers(len(free)))]
    return int(x), int(y)


def _room(ink: Mask, ground: Ground) -> npt.NDArray[np.intp]:
    """Corners (y, x) at which the box of the text lies wholly in the sector, every third row and column."""
    kernel = np.ones(ink.shape, np.uint8)
    inner = cv2.erode(
        ground.sector.astype(np.uint8), kernel, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    return np.argwhere(inner[::3, ::3]) * 3


def _in_time(
    place: Place, ink: Mask, ground: Ground, frames: int, rng: np.random.Generator
) -> dict[int, Corner] | None:
    free = _room(ink, ground)
    if frames < 2 or not free.size:
        return None
    if place == "one frame":
        y, x = free[int(rng.integers(len(free)))]
        return {int(rng.integers(frames)): (int(x), int(y))}
    inner = {(int(x), int(y)) for y, x in free}
    for _ in range(_TRIES):
        begin, end = (free[int(rng.integers(len(free)))] for _ in range(2))
        path = [begin + (end - begin) * at / (frames - 1) for at in range(frames)]
        spots = [(round(float(x)), round(float(y))) for y, x in path]
        near = all((x // 3 * 3, y // 3 * 3) in inner for x, y in spots)
        if near and np.abs(end - begin).max() >= frames:
            return dict(enumerate(spots))
    return None


_FIND: dict[Place, Callable[[Mask, Ground, np.random.Generator], Corner | None]] = {
    "header": _header,
    "side": _side,
    "caption": _caption,
    "edge": _edge,
    "inside": _inside,
    "label": _inside,
}
