"""Cells that look like letters become groups, and groups become boxes to be painted black.

What this is not: the search for them, or the decision what they mean (that is `text`).
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.strokes import CELL, Grey
from dicom_ai.kept import Box

Floats = npt.NDArray[np.float32]

LEAST_MARGIN = 4
"""Pixels painted black around the cells of a text, or a quarter of their height: soft edges, what lossy compression
spreads, strokes that hang below the line; and a cell more on either side, for a letter's rim or a dot."""

_BROAD = np.ones((15, 15), np.uint8)


@dataclass(frozen=True)
class Group:
    """Cells that look like letters.

    Attributes:
        box: half open, pixels of the picture.
        weight: logits of its cells above the least, added up.
        best: logit of its clearest cell.
    """

    box: Box
    weight: float
    best: float


def groups(logits: Floats, least: float) -> list[Group]:
    """Cells above `least` that touch, also by a corner."""
    lit = (logits > least).astype(np.uint8)
    if not lit.any():
        return []
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lit)
    weights = np.bincount(labels.ravel(), weights=np.where(lit > 0, logits - least, 0).ravel(), minlength=count)
    found = []
    for label in range(1, count):
        x, y, w, h, _ = (int(value) for value in stats[label])
        inside = np.s_[y : y + h, x : x + w]
        best = float(logits[inside][labels[inside] == label].max())
        found.append(Group((x * CELL, y * CELL, (x + w) * CELL, (y + h) * CELL), float(weights[label]), best))
    return found


def contrast(grey: Grey, box: Box) -> float:
    """Grey levels by which the strongest twentieth of the pixels stands out from what is around."""
    x0, y0, x1, y1 = box
    part = grey[max(0, y0 - CELL) : y1 + CELL, max(0, x0 - CELL) : x1 + CELL]
    bright, dark = (cv2.morphologyEx(part, way, _BROAD) for way in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT))
    return float(max(np.quantile(bright, 0.95), np.quantile(dark, 0.95)))


def without_rim(box: Box) -> Box:
    """Cells reach over the letters in them by half a cell on each side, on average."""
    return box[0] + CELL // 2, box[1] + CELL // 2, box[2] - CELL // 2, box[3] - CELL // 2


def with_margin(box: Box, shape: tuple[int, ...]) -> Box:
    """What is painted black for a text; `shape` is the picture's, rows and columns."""
    x0, y0, x1, y1 = box
    by = max(LEAST_MARGIN, -(-(y1 - y0) // 4))
    return max(0, x0 - by - CELL), max(0, y0 - by), min(shape[1], x1 + by + CELL), min(shape[0], y1 + by)


def merged(boxes: list[Box]) -> list[Box]:
    """Boxes that overlap become one."""
    out: list[Box] = []
    for box in sorted(set(boxes)):
        x0, y0, x1, y1 = box
        while True:
            beside = next((one for one in out if touch(one, (x0, y0, x1, y1))), None)
            if beside is None:
                break
            out.remove(beside)
            x0, y0, x1, y1 = min(x0, beside[0]), min(y0, beside[1]), max(x1, beside[2]), max(y1, beside[3])
        out.append((x0, y0, x1, y1))
    return out


def touch(one: Box, other: Box) -> bool:
    """Whether two boxes have a pixel or an edge in common."""
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]
