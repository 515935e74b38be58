"""Which overlay is no text: calipers, dotted lines, ticks, pointers, rings and guides, by a stated rule.

Marks are clear (60 grey levels and more) and each has a form of its own: a dot of at most 4 x 4 pixels in a straight
row of dots; a tick, level, of 3 to 12 pixels, alone in its rows; a straight thin line of at least 24 pixels; a figure
of at most 24 pixels that a quarter turn leaves as it is (+, x, ring, diamond) or a full triangle, with no other figure
beside it within twice its height. They are taken out of the picture, and what is left is asked again: a number beside
a caliper stays and is text, and so is everything that has no such form. What this is not: the search itself.
"""

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]
Piece = npt.NDArray[np.bool_]
Stats = npt.NDArray[np.int32]

DOT = 4
"""Pixels of a dot's sides."""

TICK, LEAST_LINE, THIN = (3, 12), 24, 3
"""Pixels: lengths of a tick, least length of a line, width of both."""

FIGURE = 24
"""Pixels of a figure's longer side, at most."""

TURNED = 0.75
"""Share of a figure's pixels that fall on the figure again after a quarter turn."""

CLEAR, OF_BRIGHTEST = 60, 0.6
"""Grey levels by which a mark stands out, and the share of what the strongest stroke around does: what is fainter is
neither a mark nor in the way of one."""

_SIDE = np.ones((15, 15), np.uint8)
_MOST_PIECES = 60


def without_marks(part: Grey) -> Grey | None:
    """The picture with its marks taken out.

    Args:
        part: uint8 (h, w), a part of a frame around what may be text.

    Returns:
        A picture of the same size, marks filled from what is around them; None when there is no mark.
    """
    bright, dark = cv2.morphologyEx(part, cv2.MORPH_TOPHAT, _SIDE), cv2.morphologyEx(part, cv2.MORPH_BLACKHAT, _SIDE)
    strokes = cv2.max(bright, dark)
    clear = strokes >= max(CLEAR, OF_BRIGHTEST * float(strokes.max()))
    found = cv2.connectedComponentsWithStats(clear.astype(np.uint8))
    labels, stats = np.asarray(found[1], np.int32), np.asarray(found[2], np.int32)
    if not 1 < len(stats) <= _MOST_PIECES:
        return None
    marks = [label for label in range(1, len(stats)) if _is_mark(labels, stats, label)] + _dots(stats)
    if not marks:
        return None
    gone = cv2.dilate(np.isin(labels, marks).astype(np.uint8), np.ones((5, 5), np.uint8))
    return np.asarray(cv2.inpaint(part, gone, 3, cv2.INPAINT_TELEA), np.uint8)


def _is_mark(labels: npt.NDArray[np.int32], stats: Stats, label: int) -> bool:
    x, y, w, h, area = (int(value) for value in stats[label])
    if max(w, h) <= DOT:
        return False
    piece = labels[y : y + h, x : x + w] == label
    if h <= THIN and TICK[0] <= w <= TICK[1]:
        return _is_alone(stats, label, 0, 4)
    if max(w, h) >= LEAST_LINE and _is_line(piece):
        return True
    return max(w, h) <= FIGURE and _is_figure(piece, area) and _is_alone(stats, label, 2 * h, 0)


def _dots(stats: Stats) -> list[int]:
    """Dots in a straight row of at least three."""
    dots = [label for label in range(1, len(stats)) if max(stats[label][2:4]) <= DOT]
    if len(dots) < 3:
        return []
    centres = stats[dots, :2] + stats[dots, 2:4] / 2
    off = centres - centres.mean(axis=0)
    narrow = np.linalg.svd(off, full_matrices=False)[2][1]
    return dots if float(np.abs(off @ narrow).max()) <= 2 else []


def _is_line(piece: Piece) -> bool:
    """Straight and thin, level, upright or slanting."""
    ys, xs = np.nonzero(piece)
    spread = np.cov(np.stack([xs, ys]).astype(np.float64))
    return bool(np.sqrt(max(0.0, float(np.linalg.eigvalsh(spread)[0]))) * 3.5 <= THIN)


def _is_alone(stats: Stats, label: int, beside: int, rows: int) -> bool:
    """Whether no other piece larger than a dot is within so many pixels beside it and in the rows it is in."""
    x, y, w, h, _ = (int(value) for value in stats[label])
    reach = beside or 40
    for other in range(1, len(stats)):
        a, b, c, d, _ = (int(value) for value in stats[other])
        if other == label or max(c, d) <= DOT:
            continue
        if a < x + w + reach and x < a + c + reach and b < y + h + rows and y < b + d + rows:
            return False
    return True


def _is_figure(piece: Piece, area: int) -> bool:
    """A figure that a quarter turn leaves as it is, or a full triangle."""
    h, w = piece.shape
    if abs(h - w) <= max(1, max(h, w) // 6):
        side = min(h, w)
        square = cv2.resize(piece.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST) > 0
        wider = cv2.dilate(np.rot90(square).astype(np.uint8), np.ones((2, 2), np.uint8)) > 0
        if (square & wider).sum() >= TURNED * square.sum():
            return True
    hull = cv2.contourArea(cv2.convexHull(cv2.findNonZero(piece.astype(np.uint8))))
    return bool(hull >= 12 and area >= 0.85 * hull and 0.35 * h * w <= hull <= 0.66 * h * w)
