"""JPEG 2000 and High-Throughput JPEG 2000 (HTJ2K) code streams to samples by Pillow (OpenJPEG).

A code stream of a few hundred bytes can ask for gigabytes, so its own size is compared with the header before
anything is decoded. What this is not: JP2 files, which DICOM does not allow (PS3.5 A.4.4).
"""

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from dicom_ai.errors import UnsupportedPixels

_TILES = 65_535
"""Most tiles of a frame (ISO 15444-1 A.4.2: the tile's number has 16 bits)."""


def decoded(stream: bytes, size: tuple[int, int], components: int) -> npt.NDArray[Any]:
    """Decode one frame; a component transform named in the stream is undone, no other.

    Args:
        stream: one code stream.
        size: columns and rows the header announces.
        components: Samples per Pixel, 1 or 3.

    Returns:
        Samples (H, W) of the stream's precision, signed where it says so, or uint8 (H, W, 3).

    Raises:
        UnsupportedPixels: the stream is of another size, has other components, or too many tiles.
    """
    precision, is_signed = _checked(stream, size, components)
    image: Image.Image = Image.open(io.BytesIO(stream), formats=("JPEG2000",))
    if image.mode not in {1: ("L", "I;16"), 3: ("RGB",)}[components]:
        raise UnsupportedPixels("components differ from the header")
    samples = np.asarray(image)
    if components == 3:
        return samples
    samples = samples >> ((8 if image.mode == "L" else 16) - precision)  # Pillow fills the width
    return samples.astype(np.int32) - (1 << (precision - 1)) if is_signed else samples


def size_of(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns that SIZ (ISO 15444-1 A.5.1) states; None without one."""
    if stream[:4] != b"\xff\x4f\xff\x51" or len(stream) < 24:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", stream, 8)
    return bottom - top, right - left


def undoes_transform(stream: bytes) -> bool:
    """Whether the stream has a component transform, so that decoded samples are RGB whatever the header says."""
    at = stream.find(b"\xff\x52")  # COD: length 2, style 1, progression 1, layers 2, transform 1 (ISO 15444-1 A.6.1)
    return 0 <= at < len(stream) - 9 and stream[at + 8] == 1


def _checked(stream: bytes, size: tuple[int, int], components: int) -> tuple[int, bool]:
    """Precision and sign of the first component, once SIZ (ISO 15444-1 A.5.1) agrees with the header."""
    if stream[:4] != b"\xff\x4f\xff\x51":
        raise UnsupportedPixels("no code stream")
    right, bottom, left, top, tile_w, tile_h, tile_x, tile_y, count = struct.unpack_from(">8IH", stream, 8)
    if (right - left, bottom - top) != size or count != components:
        raise UnsupportedPixels("frame size or components differ from the header")
    if not tile_w or not tile_h or -(-(right - tile_x) // tile_w) * -(-(bottom - tile_y) // tile_h) > _TILES:
        raise UnsupportedPixels("tiles")
    depths = {stream[42 + 3 * number] for number in range(components)}
    if len(depths) != 1:
        raise UnsupportedPixels("components of different depth")
    (depth,) = depths
    precision = (depth & 0x7F) + 1
    if precision > 16:
        raise UnsupportedPixels("precision")
    return precision, bool(depth & 0x80)
