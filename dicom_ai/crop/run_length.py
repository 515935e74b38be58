"""RLE Lossless (PS3.5 Annex G) to samples by pylibjpeg-rle: every segment must unfold to exactly one plane.

A plane too short is damage; one too long means that Rows or Columns are wrong, and a lenient decoder would show the
picture sheared. What this is not: a colour converter.
"""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from rle.utils import decode_segment  # type: ignore[attr-defined] # of its extension module

from dicom_ai.errors import UnsupportedPixels

_HEADER = struct.Struct("<16L")


def decoded(stream: bytes, size: tuple[int, int], samples: int, *, width: int) -> npt.NDArray[Any]:
    """Decode one frame.

    Args:
        stream: RLE header and segments.
        size: columns and rows the header of the object announces.
        samples: Samples per Pixel, 1 or 3.
        width: bytes of a sample, 1 or 2; a segment holds one byte of each sample, the most significant first.

    Returns:
        uint8 or uint16, (H, W) or (H, W, 3).

    Raises:
        UnsupportedPixels: reason "frame_size" for planes of another size, "pixels_truncated" when a segment ends early.
    """
    columns, rows = size
    planes = [_plane(segment, rows * columns) for segment in _segments(stream, samples * width)]
    wide = np.stack(planes).reshape(samples, width, rows, columns)
    joined = wide[:, 0].astype(np.uint16) << 8 | wide[:, 1] if width == 2 else wide[:, 0]
    return joined[0] if samples == 1 else np.ascontiguousarray(np.moveaxis(joined, 0, -1))


def plane_length(stream: bytes) -> int:
    """How many bytes the first segment of a frame unfolds to: Rows x Columns, if they are true.

    Raises:
        UnsupportedPixels: as `decoded`, and "decode_failed" when there is no RLE header.
    """
    if len(stream) < _HEADER.size:
        raise UnsupportedPixels("no RLE header")
    count = _HEADER.unpack_from(stream)[0]
    if not 1 <= count <= 15:
        raise UnsupportedPixels("no RLE header")
    return len(_unfolded(_segments(stream, count)[0]))


def _segments(stream: bytes, count: int) -> list[bytes]:
    stated, *offsets = _HEADER.unpack_from(stream)
    ends = [*offsets[1:count], len(stream)]
    if stated != count:
        raise UnsupportedPixels("another number of RLE segments than samples")
    if any(not 64 <= begin < end for begin, end in zip(offsets[:count], ends, strict=True)):
        raise UnsupportedPixels("RLE segments end behind the frame", reason="pixels_truncated")
    return [stream[begin:end] for begin, end in zip(offsets[:count], ends, strict=True)]


def _plane(segment: bytes, length: int) -> npt.NDArray[np.uint8]:
    plane = np.frombuffer(_unfolded(segment), np.uint8)
    if len(plane) != length:
        raise UnsupportedPixels("an RLE plane has another size than the frame", reason="frame_size")
    return plane


def _unfolded(segment: bytes) -> bytes:
    try:
        unfolded: bytes = decode_segment(segment)
    except ValueError as exc:
        raise UnsupportedPixels("an RLE segment ends early", reason="pixels_truncated") from exc
    return unfolded
