"""Letters on a page: how wide a text is, where its lines break, and whether every character can be drawn at all.

The letters are those that come with OpenCV: Latin, Greek, Cyrillic, kana, Hangul and the common Chinese characters.
What this is not: a shaper; scripts that are written from the right or join their letters are not drawn.
"""

import unicodedata
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Rgb = tuple[int, int, int]

_NO_CHARACTER = "\U000f0000"  # private use; drawn as the box that stands for what the letters lack
_SIDE = 32
_LEFT_TO_RIGHT = frozenset({"L", "EN", "ES", "ET", "AN", "CS", "WS", "ON"})  # bidirectional classes of Unicode


def width(text: str, size: int) -> int:
    """Width in pixels of a line in letters of `size` pixels."""
    _, _, found, _ = cv2.getTextSize((0, 0), text, (0, 0), _font(), size)
    return int(found) + 1


def draw(page: Picture, text: str, at: tuple[int, int], size: int, colour: Rgb) -> None:
    """Draw a line onto a page, uint8 (rows, columns, 3); `at` is x and the baseline."""
    cv2.putText(page, text, at, colour, _font(), size)


def broken(text: str, columns: int, size: int) -> list[str]:
    """The lines of a text that is at most `columns` pixels wide: broken at spaces, in Chinese at every character."""
    lines, line = [], ""
    for piece in _pieces(text):
        if line and width(line + piece.rstrip(), size) > columns:
            lines.append(line.rstrip())
            line = ""
        line += piece if line else piece.lstrip()
        while width(line.rstrip(), size) > columns and len(line) > 1:  # a word longer than a line
            fitting = next(n for n in range(len(line) - 1, 0, -1) if n == 1 or width(line[:n], size) <= columns)
            lines.append(line[:fitting])
            line = line[fitting:]
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def is_drawable(text: str) -> bool:
    """Whether a reader would see every character of a text, and in its order."""
    return all(_is_drawn(character) for character in unicodedata.normalize("NFC", text))


def plain(text: str) -> str:
    """The text as `draw` needs it: letters and accents in one character where Unicode has one."""
    return unicodedata.normalize("NFC", text)


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    for character in text:
        is_wide = unicodedata.east_asian_width(character) in "WF"
        if is_wide or not pieces or pieces[-1].endswith(" ") or unicodedata.east_asian_width(pieces[-1][-1]) in "WF":
            pieces.append(character)
        else:
            pieces[-1] += character
    return pieces


@lru_cache(maxsize=4096)
def _is_drawn(character: str) -> bool:
    if character == " ":
        return True
    kind = unicodedata.category(character)
    if kind[0] in "MCZ" or unicodedata.bidirectional(character) not in _LEFT_TO_RIGHT:
        return False  # combining marks, control characters, odd spaces, what is written from the right
    picture = _drawn(character)
    return bool(picture.any()) and not bool((picture == _drawn(_NO_CHARACTER)).all())


@lru_cache(maxsize=4096)
def _drawn(character: str) -> Picture:
    picture = np.zeros((2 * _SIDE, 2 * _SIDE, 3), np.uint8)
    draw(picture, character, (_SIDE // 2, _SIDE + _SIDE // 2), _SIDE, (255, 255, 255))
    return picture


def _font() -> cv2.FontFace:
    return cv2.FontFace("uni")
