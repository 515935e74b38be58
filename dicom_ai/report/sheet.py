"""A sheet of paper as pixels: text, a table and pictures laid on it from top to bottom, never one over another.

A4 at 150 dots per inch. What this is not: what stands on it (`one_page`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from dicom_ai.report.letters import Picture, Rgb, broken, draw, plain, width

ROWS, COLUMNS = 1754, 1240
DOTS_PER_INCH = 150
BLACK: Rgb = (0, 0, 0)
GREY: Rgb = (90, 90, 90)
RED: Rgb = (176, 0, 0)
_MARGIN = 60
_GAP = 12


@dataclass(frozen=True)
class Caption:
    """A picture, RGB, uint8 (rows, columns, 3), and the line above it."""

    picture: Picture
    text: str


class Sheet:
    """White, filled from the top; `y` is the first row that is free."""

    def __init__(self) -> None:
        """An empty sheet."""
        self.pixels: Picture = np.full((ROWS, COLUMNS, 3), 255, np.uint8)
        self.y = _MARGIN

    @property
    def free(self) -> int:
        """Rows that are left."""
        return ROWS - _MARGIN - self.y

    def text(self, text: str, size: int, colour: Rgb = BLACK) -> None:
        """Write a paragraph in letters of `size` pixels."""
        for line in broken(plain(text), COLUMNS - 2 * _MARGIN, size):
            draw(self.pixels, line, (_MARGIN, self.y + size), size, colour)
            self.y += _step(size)

    def height(self, text: str, size: int) -> int:
        """Rows that `text` would take."""
        return len(broken(plain(text), COLUMNS - 2 * _MARGIN, size)) * _step(size)

    def boxed(self, text: str, size: int, colour: Rgb) -> None:
        """Write a paragraph in a frame."""
        top = self.y
        self.y += 2 * _GAP
        for line in broken(plain(text), COLUMNS - 2 * _MARGIN - 4 * _GAP, size):
            draw(self.pixels, line, (_MARGIN + 2 * _GAP, self.y + size), size, colour)
            self.y += _step(size)
        self.y += _GAP
        cv2.rectangle(self.pixels, (_MARGIN, top), (COLUMNS - _MARGIN, self.y), colour, 4)
        self.y += 2 * _GAP

    def table(self, rows: Sequence[Sequence[str]], size: int, *, has_head: bool = True) -> None:
        """Write rows of cells in columns as wide as their widest cell; a cell that is too wide is broken."""
        wide = [max(width(plain(row[n]), size) for row in rows) + 3 * _GAP for n in range(len(rows[0]))]
        wide[-1] = max(size, min(wide[-1], COLUMNS - 2 * _MARGIN - sum(wide[:-1])))
        for number, row in enumerate(rows):
            colour = GREY if number == 0 and has_head else BLACK
            cells = [broken(plain(cell), wide[n], size) for n, cell in enumerate(row)]
            for n, lines in enumerate(cells):
                for k, line in enumerate(lines):
                    at = (_MARGIN + sum(wide[:n]), self.y + size + k * _step(size))
                    draw(self.pixels, line, at, size, colour)
            self.y += max(map(len, cells)) * _step(size)
            if has_head:
                cv2.line(self.pixels, (_MARGIN, self.y), (COLUMNS - _MARGIN, self.y), (200, 200, 200), 1)
        self.gap()

    def gap(self) -> None:
        """Leave some rows free."""
        self.y += _GAP

    def pictures(self, captions: Sequence[Caption], size: int) -> None:
        """Put pictures side by side, two a row, as large as they fit into what is left; none is enlarged."""
        across = min(2, len(captions))
        down = -(-len(captions) // across)
        wide = (COLUMNS - 2 * _MARGIN - (across - 1) * _GAP) // across
        high = self.free // down - _step(size) - _GAP
        for n, one in enumerate(captions):
            x = _MARGIN + (n % across) * (wide + _GAP)
            y = self.y + (n // across) * (high + _step(size) + _GAP)
            caption = broken(plain(one.text), wide, size)[0]
            draw(self.pixels, caption, (x, y + size), size, BLACK)
            picture = _fitted(one.picture, wide, high)
            y += _step(size)
            self.pixels[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
        self.y = ROWS - _MARGIN


def _fitted(picture: Picture, columns: int, rows: int) -> Picture:
    scale = min(1.0, columns / picture.shape[1], rows / picture.shape[0])
    size = max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale))
    fitted: Picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return fitted


def _step(size: int) -> int:
    return round(1.4 * size)
