"""Turns a text into glyphs, one coverage picture for each character, in the manner of the letters scanners burn in.

Characters are drawn one by one, so that the exact pixels of each are known. Faces: the outline letters that come with
OpenCV in several weights, Pillow's, a bitmap face enlarged in whole steps as old consoles do, and four that come with
matplotlib where that is installed; smooth or not. Only "uni" has Chinese letters. What this is not: typography; there
is no kerning.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dicom_ai.simulate.geometry import Grey

Family = Literal[
    "sans", "italic", "uni", "pillow", "bitmap", "DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral"
]

HAN = "一龥"
"""First and last letter of the range that counts as Chinese (CJK Unified Ideographs)."""

_BITMAP_CAPITAL = 7  # rows of a capital of Pillow's bitmap face
_SAMPLE = 200


@dataclass(frozen=True)
class Face:
    """Letters of one kind.

    Attributes:
        family: which letters. "bitmap" knows ASCII only; "pillow" Latin only.
        weight: 100 (thin) to 900 (black); ignored but by "sans" and "italic".
        is_smooth: anti-aliased; else every pixel is covered wholly or not at all.
    """

    family: Family
    weight: int = 400
    is_smooth: bool = True


@dataclass(frozen=True)
class Letter:
    """One character of a text.

    Attributes:
        character: which.
        at: (x, y) of the coverage picture's first pixel, counted from the text's top left.
        coverage: uint8 (h, w), 0 not touched to 255 covered, tight: no empty row or column at the rim.
    """

    character: str
    at: tuple[int, int]
    coverage: Grey


def is_han(character: str) -> bool:
    """Whether it is a Chinese letter."""
    return HAN[0] <= character <= HAN[1]


def is_upright(character: str) -> bool:
    """Whether it is as tall as a capital and has nothing below the base line: a capital, a digit, Chinese."""
    return character.isupper() or character.isdigit() or is_han(character)


def letters(text: str, face: Face, height: int) -> tuple[Letter, ...]:
    """Lay out one line of text.

    Args:
        text: one line; blanks make room and no letter.
        face: a family that knows every character of it.
        height: of a capital, or of a Chinese letter where the text has one, pixels, >= 6.

    Returns:
        The letters, in reading order, their positions shifted so that the least x and y are 0.
    """
    size = _size(face, height, has_han=any(map(is_han, text)))
    pen, drawn = 0.0, []
    for character in text:
        coverage, (x, y), advance = _drawn(character, face, size)
        if coverage.size:
            drawn.append((character, round(pen) + x, y, coverage))
        pen += advance
    if not drawn:
        return ()
    left, top = min(x for _, x, _, _ in drawn), min(y for _, _, y, _ in drawn)
    return tuple(Letter(character, (x - left, y - top), coverage) for character, x, y, coverage in drawn)


@lru_cache(maxsize=1)
def foreign_families() -> tuple[Family, ...]:
    """Families that come with matplotlib; none where it is not installed. Nothing of the crop was made with them."""
    known: tuple[Family, ...] = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral")
    return tuple(family for family in known if _file(family) is not None)


def _file(family: Family) -> Path | None:
    try:
        folder = files("matplotlib")
    except ModuleNotFoundError:
        return None
    path = Path(str(folder)) / "mpl-data" / "fonts" / "ttf" / f"{family}.ttf"
    return path if path.exists() else None


@lru_cache(maxsize=64)
def _pillow(family: Family, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    path = None if family == "pillow" else _file(family)
    return ImageFont.load_default(size) if path is None else ImageFont.truetype(path, size)


@lru_cache(maxsize=64)
def _share(family: Family, sample: str) -> float:
    """Height of the sample letter as a share of the size asked for."""
    return len(_outline(sample, Face(family), _SAMPLE)) / _SAMPLE


def _size(face: Face, height: int, *, has_han: bool) -> int:
    if face.family == "bitmap":
        return max(1, round(height / _BITMAP_CAPITAL))
    return max(4, round(height / _share(face.family, "国" if has_han else "H")))


@lru_cache(maxsize=4096)
def _drawn(character: str, face: Face, size: int) -> tuple[Grey, tuple[int, int], float]:
    """Coverage, its place relative to pen and base line, and how far the pen moves on."""
    canvas, origin, advance = _bitmap(character, size) if face.family == "bitmap" else _canvas(character, face, size)
    if not face.is_smooth:
        canvas = np.where(canvas >= 128, 255, 0).astype(np.uint8)
    ys, xs = np.nonzero(canvas.any(axis=1))[0], np.nonzero(canvas.any(axis=0))[0]
    if not ys.size:
        return np.zeros((0, 0), np.uint8), (0, 0), advance
    tight = np.ascontiguousarray(canvas[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1])
    return tight, (int(xs[0]) - origin, int(ys[0]) - 2 * origin), advance


def _outline(character: str, face: Face, size: int) -> Grey:
    canvas, _, _ = _canvas(character, face, size)
    rows = np.nonzero(canvas.max(axis=1) >= 128)[0]
    return canvas[rows[0] : rows[-1] + 1]


def _canvas(character: str, face: Face, size: int) -> tuple[Grey, int, float]:
    """The letter with its pen at (size, 2 size) of a picture three sizes wide and high."""
    canvas = np.zeros((3 * size, 3 * size), np.uint8)
    if face.family not in {"sans", "italic", "uni"}:
        font = _pillow(face.family, size)
        picture = Image.fromarray(canvas)
        ImageDraw.Draw(picture).text((size, 2 * size), character, fill=255, font=font, anchor="ls")
        return np.asarray(picture, np.uint8), size, float(font.getlength(character))
    end, drawn = cv2.putText(canvas, character, (size, 2 * size), (255,), _face(face.family), size, face.weight)
    return np.asarray(drawn, np.uint8), size, max(float(end[0] - size), 0.25 * size)


def _bitmap(character: str, size: int) -> tuple[Grey, int, float]:
    font, origin = ImageFont.load_default_imagefont(), 12
    picture = Image.new("1", (3 * origin, 3 * origin))
    ImageDraw.Draw(picture).text((origin, 2 * origin - 8), character, fill=1, font=font)
    cells = np.asarray(picture).astype(np.uint8) * np.uint8(255)
    large = np.kron(cells, np.ones((size, size), np.uint8)).astype(np.uint8)
    return large, origin * size, 6.0 * size


@lru_cache(maxsize=4)
def _face(family: Family) -> cv2.FontFace:
    return cv2.FontFace(family)
