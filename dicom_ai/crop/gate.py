"""The gate: what may enter at all, and whether header, byte counts, frame counts and the look of a screen agree.

Everything here is decided before a witness is asked; each refusal has a reason of its own. Sizes are checked on every
frame, by the frame's own header where its syntax has one, decoded or not. What this is not: a decoder, or any
judgement about where the picture is.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.fileutil import buffer_length
from pydicom.pixels.utils import get_expected_length

from dicom_ai.crop import jpeg, jpeg2000, run_length
from dicom_ai.crop.colour import Frame, spread_of, thinned
from dicom_ai.crop.encapsulated import CodedFrames
from dicom_ai.crop.frames import J2K, PLUGINS, VIDEO, check_description
from dicom_ai.errors import NotAnalysable, UnsupportedPixels
from dicom_ai.instance import MULTI_FRAME_CLASSES, Instance
from dicom_ai.kept import Box

DARK = 64
"""Brightest channel (0..255) of a pixel that counts as near black; panels and JPEG noise on black stay below."""

LEAST_DARK = 0.10
"""Share of near-black pixels a screen has at least. Measured: 0.58 to 0.99 on 29 real objects, 0.60 to 0.98 on 364
simulated screens; a screen whose colours were converted wrongly has none, as black itself was moved."""

WHITE = 200
"""Darkest channel of a pixel that counts as white; light-grey panels of a screen lie below."""

MOST_WHITE = 0.50
"""Share of white outside the stated regions from which on the background is white. Measured: at most 0.19 on the
same objects."""

TINT = 40
"""Spread of the median colour from which on a screen without black counts as tinted and not merely as bright."""

_HEAD = 1 << 12
"""Bytes of a code stream in which its frame header is looked for first; then the whole stream is."""


def admit(ds: Dataset, instance: Instance) -> None:
    """Let an object in, or say why not.

    Args:
        ds: with PixelData (bytes or an open stream at its first byte) and file meta information.
        instance: the facts of `ds`.

    Raises:
        NotAnalysable: reason "own_result", "secondary_capture", "ultrasound_volume", "not_ultrasound",
            "unsupported_syntax", "pixel_length", "frame_count", "frame_size", "pixels_truncated" or "decode_failed".
    """
    if instance.barred is not None:
        raise NotAnalysable(reason=instance.barred)
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax not in PLUGINS:
        raise UnsupportedPixels(reason="unsupported_syntax")
    if not instance.rows or not instance.columns or "PixelData" not in ds:
        raise UnsupportedPixels("no pixels")
    check_description(ds)
    count = _frame_count(ds, instance)
    if syntax not in VIDEO:  # a video is counted to its end when it is decoded
        (_check_coded if syntax.is_encapsulated else _check_native)(ds, count)


def require_screen(frame: Frame, boxes: Sequence[Box]) -> None:
    """Check that a decoded frame looks like a screen: black is black, and nothing white lies around the regions.

    Args:
        frame: uint8 (H, W, C), a whole frame.
        boxes: the believed regions, half open; may be empty.

    Raises:
        UnsupportedPixels: reason "colour_wrong" or "background_not_black".
    """
    grid, step = thinned(frame)
    channels = [np.ascontiguousarray(grid[:, :, channel]) for channel in range(grid.shape[2])]
    brightest, darkest = reduce(np.maximum, channels), reduce(np.minimum, channels)
    if (brightest <= DARK).mean() < LEAST_DARK:
        is_tinted = spread_of(grid) > TINT
        raise UnsupportedPixels("no black", reason="colour_wrong" if is_tinted else "background_not_black")
    outside = np.ones(brightest.shape, np.bool_)
    for x0, y0, x1, y1 in boxes:
        outside[-(-y0 // step) : -(-y1 // step), -(-x0 // step) : -(-x1 // step)] = False
    around = darkest[outside]
    if len(around) and (around >= WHITE).mean() > MOST_WHITE:
        raise UnsupportedPixels("a white background", reason="background_not_black")


def _frame_count(ds: Dataset, instance: Instance) -> int:
    stated: Any = ds.get("NumberOfFrames")
    if stated in (None, "") and instance.sop_class_uid not in MULTI_FRAME_CLASSES:
        return 1
    try:
        count = int(stated)
    except (TypeError, ValueError) as exc:
        raise UnsupportedPixels("Number of Frames", reason="frame_count") from exc
    if count < 1 or count != instance.frames:
        raise UnsupportedPixels("Number of Frames", reason="frame_count")
    return count


def _check_native(ds: Dataset, count: int) -> None:
    """Uncompressed: exactly the bytes that the header announces, and at most one of padding (PS3.5 8.1.1).

    Whole frames, but more or fewer of them than a clip states, are a wrong count; else Rows or Columns are wrong.
    """
    pixels, expected = ds.PixelData, get_expected_length(ds)
    length = len(pixels) if isinstance(pixels, bytes) else buffer_length(pixels)
    if expected <= length <= expected + expected % 2:
        return
    is_whole = length > 0 and length % (expected // count) <= length % 2
    if is_whole and "NumberOfFrames" in ds:
        raise UnsupportedPixels("bytes of Pixel Data", reason="frame_count")
    raise UnsupportedPixels("bytes of Pixel Data", reason="pixel_length")


def _check_coded(ds: Dataset, count: int) -> None:
    syntax = ds.file_meta.TransferSyntaxUID
    is_marked = syntax != uid.RLELossless
    coded = CodedFrames(ds, count, is_marked=is_marked)
    if not is_marked:  # an RLE frame states no size: the first is measured here, the others when they are decoded
        if run_length.plane_length(coded.frame(0)) != ds.Rows * ds.Columns:
            raise UnsupportedPixels("Rows and Columns are not those of the first frame", reason="pixel_length")
        return
    for index in range(count):
        if not coded.is_whole(index):
            raise UnsupportedPixels("a code stream without its end", reason="pixels_truncated")
    size_of = jpeg2000.size_of if syntax in J2K else jpeg.size_of
    sizes = [size_of(coded.beginning(index, _HEAD)) or size_of(coded.frame(index)) for index in range(count)]
    if None in sizes:
        raise UnsupportedPixels("a frame without a header")
    if len(set(sizes)) > 1:
        raise UnsupportedPixels("frames of different sizes", reason="frame_size")
    if sizes[0] != (ds.Rows, ds.Columns):
        raise UnsupportedPixels("Rows and Columns are not those of the frames", reason="pixel_length")
