"""Text blocks that stand beside the scan area of a capture: the warning, the numbers, the colour bar.

A block goes where it covers nothing of the scan area, in letters as large as fit there. What this is not: a place
for identity; nothing of the source's own text is ever drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

Rgb = tuple[int, int, int]
Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_GAP = 4
_SMALLEST = 9


@dataclass(frozen=True)
class Block:
    """Words that belong together.

    Attributes:
        parts: chunks of text; a line is broken between chunks only.
        colour: of the letters.
        gap: what stands between two chunks on one line.
        bar: (label at the low end, colours uint8 (256, 3), label at the high end), None without colour bar.
    """

    parts: tuple[str, ...]
    colour: Rgb
    gap: str = "   "
    bar: tuple[str, Picture, str] | None = None


def letter_size(columns: int) -> int:
    """Preferred letter size in pixels: 18 on a picture 800 wide (capitals of 14), in proportion, at least 13."""
    return max(13, round(18 * columns / 800))


def place(blocks: Sequence[Block], taken: Mask, letters: int | None = None) -> list[tuple[Picture, tuple[int, int]]]:
    """Draw each block as large as it fits where nothing is taken, top left first.

    Args:
        blocks: the most important one first; it gets its place first.
        taken: bool (rows, columns), what must not be covered.
        letters: largest letter size in pixels; None: `letter_size` of the columns.

    Returns:
        The picture uint8 (h, w, 3) and the origin (x, y) of each block. A block that fits nowhere whole loses chunks,
        the last one first; of one whose first chunk fits nowhere nothing is drawn: a number cut off by the scan area
        would read as another number.
    """
    free = ~taken
    placed = []
    for block in blocks:
        shortened = (replace(block, parts=block.parts[:count]) for count in range(len(block.parts), 0, -1))
        fitted = (_fitted(one, free, letters or letter_size(taken.shape[1])) for one in shortened)
        found = next((one for one in fitted if one is not None), None)
        if found is None:
            continue
        picture, origin = found
        placed.append((picture, origin))
        x, y = origin
        free[max(0, y - _GAP) : y + picture.shape[0] + _GAP, max(0, x - _GAP) : x + picture.shape[1] + _GAP] = False
    return placed


def _fitted(block: Block, free: Mask, letters: int) -> tuple[Picture, tuple[int, int]] | None:
    rows, columns = free.shape
    covered = cv2.integral((~free).astype(np.uint8))
    for size in range(letters, _SMALLEST - 1, -1):
        for lines in range(1, len(block.parts) + 1):
            picture = _drawn(block, size, lines)
            h, w = picture.shape[:2]
            if h > rows or w > columns:
                continue
            cost = covered[h:, w:] - covered[:-h, w:] - covered[h:, :-w] + covered[:-h, :-w]
            y, x = np.unravel_index(int(cost.argmin()), cost.shape)
            if cost[y, x] == 0:
                return picture, (int(x), int(y))
    return None


def _drawn(block: Block, size: int, lines: int) -> Picture:
    """The block in letters of `size` pixels on at most `lines` lines, the colour bar on a line of its own."""
    font = cv2.FontFace("uni")  # comes with OpenCV and has Latin and Chinese letters
    texts = _lines(block, lines)
    step = round(1.4 * size)
    bar_width = 8 * size
    width = max(_width(text, font, size) for text in texts)
    if block.bar is not None:
        labels = _width(block.bar[0], font, size) + _width(block.bar[2], font, size)
        width = max(width, labels + bar_width + 2 * size)
    height = step * (len(texts) + (block.bar is not None))
    picture = np.zeros((height + _GAP, width + 2 * _GAP, 3), np.uint8)
    for n, text in enumerate(texts):
        cv2.putText(picture, text, (_GAP, n * step + size), block.colour, font, size)
    if block.bar is not None:
        low, colours, high = block.bar
        baseline = len(texts) * step + size
        x = _GAP + _width(low, font, size) + size // 2
        cv2.putText(picture, low, (_GAP, baseline), block.colour, font, size)
        ramp = colours[np.linspace(0, 255, bar_width).round().astype(int)]
        picture[baseline - round(0.8 * size) : baseline, x : x + bar_width] = ramp
        cv2.putText(picture, high, (x + bar_width + size // 2, baseline), block.colour, font, size)
    return picture


def _lines(block: Block, count: int) -> list[str]:
    """Join chunks into at most `count` lines of about equal length, in order."""
    total = sum(len(part) for part in block.parts)
    lines: list[str] = []
    current = ""
    for part in block.parts:
        if current and len(lines) < count - 1 and len(current) + len(part) / 2 > total / count:
            lines.append(current)
            current = ""
        current = f"{current}{block.gap}{part}" if current else part
    return [*lines, current]


def _width(text: str, font: cv2.FontFace, size: int) -> int:
    _, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), font, size)
    return int(width) + 1
