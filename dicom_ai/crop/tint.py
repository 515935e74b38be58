"""Colours to thin coloured strokes on a grey picture: an overlay for sure, however faint its brightness.

Echoes are grey; flow is coloured but broad. A picture that is tinted all over says nothing here. What this is not: a
judgement of brightness (that is `strokes` and `glyphs`).
"""

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.marks import without_marks
from dicom_ai.kept import Box

Grey = npt.NDArray[np.uint8]

COLOURED, LEAST_COLOURED = 40, 20
"""Difference of a pixel's channels, beyond that of its surroundings, and pixels of such strokes that make a hit."""

MOST_COLOURED = 0.1
"""Share of the picture from which on it is tinted, or full of flow, and coloured strokes say nothing."""

_THIN, _BROAD = np.ones((9, 9), np.uint8), np.ones((7, 7), np.uint8)
_BESIDE = np.ones((5, 13), np.uint8)  # letters of a line are nearer than this
_ROUND = 16


def coloured_strokes(chroma: Grey, area: int) -> tuple[list[Box], int]:
    """Find groups of thin coloured strokes.

    Args:
        chroma: uint8 (H, W), greatest less least channel, 0 where nothing is kept.
        area: kept pixels.

    Returns:
        Boxes of groups that are neither flow nor marks, and the number of thin coloured pixels of any kind.
    """
    thin = (cv2.morphologyEx(chroma, cv2.MORPH_TOPHAT, _THIN) >= COLOURED).astype(np.uint8)
    count = cv2.countNonZero(thin)
    if count < LEAST_COLOURED // 2 or np.count_nonzero(chroma >= COLOURED // 2) > (MOST_COLOURED * area):
        return [], count
    stats = cv2.connectedComponentsWithStats(cv2.dilate(thin, _BESIDE))[2]
    boxes: list[Box] = [(int(x), int(y), int(x + w), int(y + h)) for x, y, w, h, _ in stats[1:]]
    return [box for box in boxes if _is_writing(chroma, thin, box)], count


def _is_writing(chroma: Grey, thin: npt.NDArray[np.integer], box: Box) -> bool:
    x0, y0, x1, y1 = box
    if np.count_nonzero(thin[y0:y1, x0:x1]) < LEAST_COLOURED:
        return False
    part = np.ascontiguousarray(chroma[max(0, y0 - _ROUND) : y1 + _ROUND, max(0, x0 - _ROUND) : x1 + _ROUND])
    solid = (part >= COLOURED).astype(np.uint8)
    if cv2.countNonZero(cv2.morphologyEx(solid, cv2.MORPH_OPEN, _BROAD)):
        return False  # flow: what is written on it is for the network
    left = without_marks(part)
    if left is None:
        return True
    rest = cv2.morphologyEx(left, cv2.MORPH_TOPHAT, _THIN) >= COLOURED
    return int(np.count_nonzero(rest)) >= LEAST_COLOURED
