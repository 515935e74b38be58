"""A patch of a picture against the words of the header, rendered: how much it looks like one of them.

A word that is known to be the patient's makes a faint trace worth more. Letters of the screen are not ours, so only the
coarse pattern of strokes can agree; that is much over ten letters and little over three. What this is not: reading.
"""

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]

HEIGHTS = (10, 13, 17, 22, 29)
"""Heights of a capital, in pixels, at which words are rendered."""

LEAST_LETTERS, MOST_WORDS = 4, 6


def likeness(patch: Grey, words: tuple[str, ...]) -> float:
    """The best normalised correlation of a patch's strokes with any word.

    Args:
        patch: uint8 (h, w).
        words: of the header; those of fewer than four letters say nothing and are left out.

    Returns:
        -1..1; 0 when no word fits.
    """
    strokes = cv2.morphologyEx(patch, cv2.MORPH_TOPHAT, np.ones((9, 9), np.uint8)).astype(np.float32)
    best = 0.0
    for word in [word for word in words if len(word) >= LEAST_LETTERS][:MOST_WORDS]:
        for height in HEIGHTS:
            ink = _rendered(word, height)
            if ink.shape[0] <= strokes.shape[0] and ink.shape[1] <= strokes.shape[1]:
                best = max(best, float(cv2.matchTemplate(strokes, ink, cv2.TM_CCOEFF_NORMED).max()))
    return best


def _rendered(word: str, height: int) -> npt.NDArray[np.float32]:
    """The word in white on black, float32, as tight as its letters."""
    face = cv2.FontFace("uni")
    size = round(height * 1.4)
    canvas = np.zeros((3 * size, size * (len(word) + 2)), np.uint8)
    drawn = cv2.putText(canvas, word, (size // 2, 2 * size), (255,), face, size, 400)[1]
    canvas = np.asarray(drawn, np.uint8)
    ys, xs = np.flatnonzero(canvas.any(axis=1)), np.flatnonzero(canvas.any(axis=0))
    if not ys.size:
        return np.zeros((1 << 14, 1), np.float32)  # nothing the face can write: fits no patch
    return np.ascontiguousarray(canvas[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1], np.float32)
