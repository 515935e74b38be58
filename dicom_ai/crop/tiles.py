"""What a reader of text is shown of a still or clip: pictures over time, cut into overlapping tiles, made larger.

Detectors of text are trained on pages and signs; on a whole screen they miss letters of 16 pixels over speckle, twice
enlarged in tiles they see them. Each tile is shown plain, and once more with its local brightness and contrast evened
out, since speckle as bright as the letters hides them otherwise. Nothing is shown twice. What this is not: the reader.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.kept import Box

Frame = npt.NDArray[np.uint8]
Source = int | Literal["mean", "min", "max"]
"""A frame's index from 0, or the pixels' mean, least or greatest value over the clip."""

SIDE, OVERLAP = 448, 96
"""Pixels of the crop. The overlap holds a line of letters 40 pixels high, and two of them side by side."""

ENLARGED = 2
"""Times a tile is enlarged; letters of 8 to 40 pixels become those of 16 to 80 that detectors are trained on."""

LEAST_SHOWN = 64
"""Smaller tiles are filled up with black to this many pixels."""

FLAT = 10
"""A tile in which all grey levels lie closer together than this holds nothing that could be read."""

_REACH = 12.0  # pixels, standard deviation of the window over which brightness and contrast are evened out
_GRAIN = 0.8  # pixels, smoothing before that: less than half the stroke of the smallest letters
_EVEN_MEAN, _EVEN_DEVIATION, _LEAST_VARIANCE = 128.0, 48.0, 25.0


@dataclass(frozen=True)
class Tile:
    """One picture to be read.

    Attributes:
        source: what it was cut from.
        origin: (x, y) of its first pixel in the crop.
        picture: uint8 (n * ENLARGED, m * ENLARGED, 3), blue before red as OpenCV has it, at least LEAST_SHOWN a side
            before it was enlarged.
    """

    source: Source
    origin: tuple[int, int]
    picture: Frame


def tiles(frames: Frame, every: int) -> Iterator[Tile]:
    """Cut what is to be read.

    Args:
        frames: uint8 (T, h, w, C), C 1 or 3 (RGB).
        every: of a clip, every n-th frame and the last are shown beside mean, least and greatest.

    Yields:
        Tiles; of frames of a clip only the evened ones. Flat tiles and those equal to an earlier one are left out.

    Raises:
        ValueError: not such an array, or `every` below 1.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or not frames.size or frames.shape[3] not in {1, 3} or every < 1:
        raise ValueError("frames are uint8 (T, h, w, 1 or 3), and every n-th is shown, n at least 1")
    seen: set[bytes] = set()
    for source, picture in _pictures(frames, every):
        for x0, y0, x1, y1 in boxes(picture.shape[0], picture.shape[1]):
            part = np.ascontiguousarray(picture[y0:y1, x0:x1])
            mark = hashlib.blake2b(part.tobytes() + repr(part.shape).encode(), digest_size=16).digest()
            if mark in seen or int(part.max()) - int(part.min()) < FLAT:
                continue
            seen.add(mark)
            if len(frames) == 1 or isinstance(source, str):
                yield Tile(source, (x0, y0), _enlarged(part[:, :, ::-1]))
            yield Tile(source, (x0, y0), _enlarged(evened(part)))


def boxes(rows: int, columns: int) -> tuple[Box, ...]:
    """Half-open boxes that cover a picture, none larger than SIDE, neighbours sharing at least OVERLAP pixels."""
    return tuple((x, y, min(x + SIDE, columns), min(y + SIDE, rows)) for y in _starts(rows) for x in _starts(columns))


def _starts(length: int) -> tuple[int, ...]:
    if length <= SIDE:
        return (0,)
    count = -(-(length - OVERLAP) // (SIDE - OVERLAP))
    return tuple(i * (length - SIDE) // (count - 1) for i in range(count))


def _pictures(frames: Frame, every: int) -> Iterator[tuple[Source, Frame]]:
    if len(frames) > 1:
        total = np.zeros(frames.shape[1:], np.uint64)
        for frame in frames:
            total += frame
        yield "mean", np.rint(total / len(frames)).astype(np.uint8)
        yield "max", frames.max(axis=0)
        yield "min", frames.min(axis=0)
    for index in sorted({*range(0, len(frames), every), len(frames) - 1}):
        yield index, frames[index]


def evened(picture: Frame) -> Frame:
    """Brightness and contrast of a picture evened out over about two dozen pixels.

    Args:
        picture: uint8 (h, w, C); of colours the strongest channel counts, so that blue letters are bright ones.

    Returns:
        uint8 (h, w, 1), local mean 128 and local standard deviation 48 wherever there is any contrast.
    """
    grey = cv2.GaussianBlur(picture.max(axis=2).astype(np.float32), (0, 0), _GRAIN)
    rest = grey - cv2.GaussianBlur(grey, (0, 0), _REACH)
    variance = cv2.GaussianBlur(rest * rest, (0, 0), _REACH)
    even = _EVEN_MEAN + _EVEN_DEVIATION * rest / np.sqrt(variance + _LEAST_VARIANCE)
    return np.asarray(np.rint(even.clip(0, 255)), np.uint8)[:, :, None]


def _enlarged(part: Frame) -> Frame:
    filled = [(0, max(0, LEAST_SHOWN - length)) for length in part.shape[:2]]
    shown = np.pad(np.repeat(part, 3, axis=2) if part.shape[2] == 1 else part, [*filled, (0, 0)])
    size = shown.shape[1] * ENLARGED, shown.shape[0] * ENLARGED
    return np.asarray(cv2.resize(shown, size, interpolation=cv2.INTER_CUBIC), np.uint8)
