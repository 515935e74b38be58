"""A patch of a picture against the words of the header, rendered: how much it looks like one of them.

A word that is known to be the patient's makes a faint trace worth more. Letters of the screen are not ours, so only the
coarse pattern of strokes can agree; that is much over ten letters and little over three. What this is not: reading.
"""

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]

Ink = npt.NDArray[np.float32]
_NONE: Ink = np.zeros((1 << 14, 1), np.float32)  # nothing a face can write: fits no patch

HEIGHTS = (10, 12, 14, 17, 20, 24, 29)
"""Heights of a capital, in pixels, at which words are rendered."""

LEAST_LETTERS, MOST_WORDS = 4, 5


def likeness(patch: Grey, words: tuple[str, ...], tallest: int) -> float:
    """The best normalised correlation of a patch's strokes with any word.

    Args:
        patch: uint8 (h, w).
        words: of the header; those of fewer than four letters say nothing and are left out.
        tallest: rows that the letters can have at most; three tenths of it at least.

    Returns:
        -1..1; 0 when no word fits.
    """
    strokes = cv2.morphologyEx(patch, cv2.MORPH_TOPHAT, np.ones((9, 9), np.uint8)).astype(np.float32)
    heights = [height for height in HEIGHTS if 0.3 * tallest <= height <= max(tallest, HEIGHTS[0])]
    best = 0.0
    for word in [word for word in words if len(word) >= LEAST_LETTERS][:MOST_WORDS]:
        for ink in (draw(word, height) for height in heights for draw in (_outline, _plotted)):
            if ink.shape[0] <= strokes.shape[0] and ink.shape[1] <= strokes.shape[1]:
                best = max(best, float(cv2.matchTemplate(strokes, ink, cv2.TM_CCOEFF_NORMED).max()))
    return best


def _outline(word: str, height: int) -> Ink:
    """In letters of even strokes, Latin and Chinese."""
    size = round(height * 1.4)
    canvas = np.zeros((3 * size, size * (len(word) + 2)), np.uint8)
    face = cv2.FontFace("uni")
    return _cut(np.asarray(cv2.putText(canvas, word, (size // 2, 2 * size), (255,), face, size, 400)[1], np.uint8))


def _plotted(word: str, height: int) -> Ink:
    """In letters of single lines, as consoles plot them; Latin only."""
    if not word.isascii():
        return _NONE
    scale = height / 21  # rows of a capital at scale 1
    canvas = np.zeros((3 * height, 2 * height * (len(word) + 1)), np.uint8)
    cv2.putText(canvas, word, (height, 2 * height), cv2.FONT_HERSHEY_SIMPLEX, scale, (255,), 1, cv2.LINE_AA)
    return _cut(canvas)


def _cut(canvas: Grey) -> Ink:
    """As tight as its letters, float32."""
    ys, xs = np.flatnonzero(canvas.any(axis=1)), np.flatnonzero(canvas.any(axis=0))
    if not ys.size:
        return _NONE
    return np.ascontiguousarray(canvas[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1], np.float32)
