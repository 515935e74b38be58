"""Grey pixels to what tells painted strokes from echoes: a few numbers for every 4 x 4 pixels.

Echoes have passed a transducer: nothing in them is sharper than its point spread, so their second differences are
small beside their first ones. A painted stroke is thin, steps within a pixel, is straight along itself and stands out
from both sides alike. Each of these is one plane here, made of whole-picture operations on bytes, so that a frame of a
megapixel costs a few milliseconds. What this is not: a judgement (that is `glyphs`).
"""

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]

CELL = 8
"""Pixels of a cell's side; a cell has four quarters."""

QUARTER = CELL // 2
_MEASURES = 17
_AVERAGED = (1, 6, 8)
PLANES = 4 * _MEASURES + len(_AVERAGED)
"""Numbers of a cell."""

_NEAR = np.ones((5, 5), np.uint8)
_AROUND = 9
"""Cells over which a neighbourhood is averaged: 72 pixels, more than a letter, less than a line."""


def planes(grey: Grey, keep: Grey) -> Grey:
    """Measure every cell.

    Args:
        grey: uint8 (H, W), H and W multiples of 8.
        keep: uint8 (H, W), 255 where pixels are kept, else 0; nothing is measured elsewhere.

    Returns:
        uint8 (H/8, W/8, PLANES), twice the grey levels, for each quarter of a cell: half the brightness; thin bright
        strokes, thin dark strokes, share of bright ones; first differences along both axes; second differences in four
        directions; the greatest of both strokes; the same at half the resolution; then three of them around.
    """
    quarters = _quarters(grey, keep)
    rows, columns = quarters.shape[0] // 2, quarters.shape[1] // 2
    out = np.empty((rows, columns, PLANES), np.uint8)
    apart = quarters.reshape(rows, 2, columns, 2 * _MEASURES)
    for half in range(2):
        out[:, :, half * 2 * _MEASURES : (half + 1) * 2 * _MEASURES] = apart[:, half]
    for number, at in enumerate(_AVERAGED, start=4 * _MEASURES):
        small = cv2.resize(cv2.extractChannel(quarters, at), (columns, rows), interpolation=cv2.INTER_LINEAR)
        out[:, :, number] = cv2.blur(small, (_AROUND, _AROUND))
    return out


def _quarters(grey: Grey, keep: Grey) -> Grey:
    """The measures of the quarters of cells, (H/4, W/4, _MEASURES)."""
    half = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_LINEAR)  # 2 x 2 means
    coarse = _coarse(np.asarray(half, np.uint8), np.ascontiguousarray(keep[::2, ::2]))
    return np.asarray(cv2.merge([*_fine(grey, keep), *coarse]), np.uint8)


def _fine(grey: Grey, keep: Grey) -> list[Grey]:
    bright = np.asarray(cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, _NEAR), np.uint8) & keep
    dark = np.asarray(cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, _NEAR), np.uint8) & keep
    share = cv2.threshold(bright, 20, 127, cv2.THRESH_BINARY)[1]
    across, down = _first(grey, keep)
    bends = _second(grey, keep)
    means = [(grey >> 1) & keep, bright, dark, share, across, down, *bends]
    return [*(_mean(np.asarray(one, np.uint8), QUARTER) for one in means), _most(bright, QUARTER), _most(dark, QUARTER)]


def _coarse(half: Grey, keep: Grey) -> list[Grey]:
    bright = np.asarray(cv2.morphologyEx(half, cv2.MORPH_TOPHAT, _NEAR), np.uint8) & keep
    dark = np.asarray(cv2.morphologyEx(half, cv2.MORPH_BLACKHAT, _NEAR), np.uint8) & keep
    across, down = _first(half, keep)
    bends = _second(half, keep)[:2]
    return [_mean(np.asarray(one, np.uint8), QUARTER // 2) for one in (bright, dark, cv2.max(across, down), *bends)]


def _first(grey: Grey, keep: Grey) -> tuple[Grey, Grey]:
    """Absolute differences to the right and lower neighbour."""
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    cv2.absdiff(grey[:, 1:], grey[:, :-1], across[:, :-1])
    cv2.absdiff(grey[1:], grey[:-1], down[:-1])
    return across & keep, down & keep


def _second(grey: Grey, keep: Grey) -> list[Grey]:
    """By how much a pixel leaves the mean of its two neighbours: left and right, above and below, both diagonals."""
    found = []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        rows, columns = grey.shape
        inner = grey[dy : rows - dy, 1 : columns - 1] if dx else grey[dy : rows - dy]
        x = slice(1, columns - 1) if dx else slice(None)
        one = grey[: rows - 2 * dy, _shift(x, -dx, columns)] if dy else grey[:, _shift(x, -dx, columns)]
        other = grey[2 * dy :, _shift(x, dx, columns)] if dy else grey[:, _shift(x, dx, columns)]
        bend = np.zeros_like(grey)
        mean = cv2.addWeighted(one, 0.5, other, 0.5, 0)
        bend[dy : rows - dy, x] = cv2.absdiff(inner, mean)
        found.append(bend & keep)
    return found


def _shift(x: slice, by: int, columns: int) -> slice:
    return slice(None) if x.start is None else slice(1 + by, columns - 1 + by)


def _mean(plane: Grey, side: int) -> Grey:
    """Means over cells, in halves of a grey level up to 127."""
    plane = np.asarray(cv2.add(plane, plane), np.uint8)
    while side > 1:  # halving is by far the cheapest mean there is
        plane = np.asarray(cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_LINEAR), np.uint8)
        side //= 2
    return plane


def _most(plane: Grey, side: int) -> Grey:
    return np.ascontiguousarray(cv2.dilate(plane, np.ones((side, side), np.uint8), anchor=(0, 0))[::side, ::side])
