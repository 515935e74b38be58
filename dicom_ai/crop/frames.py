"""Pixel data to grey or RGB frames of 8 bits: only the named frames, each colour converted exactly once.

The decoding plugin is always named, so that an installed package never changes what a network sees. What this is
not: a display pipeline; VOI and modality tables are left alone, as ultrasound is stored ready to show.
"""

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.pixels.utils import as_pixel_options

from dicom_ai.crop import jpeg, jpeg2000, run_length, video
from dicom_ai.crop.colour import Frame, grey_or_rgb
from dicom_ai.crop.encapsulated import CodedFrames
from dicom_ai.crop.palette import through_palette
from dicom_ai.errors import UnsupportedPixels

_JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
J2K = (uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)
VIDEO = (
    uid.MPEG2MPML, uid.MPEG2MPMLF, uid.MPEG2MPHL, uid.MPEG2MPHLF,
    uid.MPEG4HP41, uid.MPEG4HP41F, uid.MPEG4HP41BD, uid.MPEG4HP41BDF,
    uid.MPEG4HP422D, uid.MPEG4HP422DF, uid.MPEG4HP423D, uid.MPEG4HP423DF, uid.MPEG4HP42STEREO, uid.MPEG4HP42STEREOF,
    uid.HEVCMP51, uid.HEVCM10P51,
)  # fmt: skip
"""Transfer syntaxes in which all frames are one stream."""

PLUGINS = {
    uid.ImplicitVRLittleEndian: "",
    uid.ExplicitVRLittleEndian: "",
    uid.ExplicitVRBigEndian: "",
    uid.RLELossless: "rle",
    uid.JPEGBaseline8Bit: "pillow",
    uid.JPEGExtended12Bit: "pillow",  # what is of 12 bits: gdcm
    uid.JPEGLossless: "gdcm",
    uid.JPEGLosslessSV1: "gdcm",
    uid.JPEGLSLossless: "gdcm",
    uid.JPEGLSNearLossless: "gdcm",
    **dict.fromkeys(J2K, "pillow"),
    **dict.fromkeys(VIDEO, "opencv"),
}
"""Transfer syntax to what decodes it. Deflated is absent: it is unfolded, within bounds, before it comes here."""

LARGEST_FRAME = 64_000_000
"""Samples of one frame; no scanner comes near, but a header of some bytes can ask for more than the memory."""

_FOREIGN = (
    ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError, RuntimeError, OSError, EOFError,
    ArithmeticError, AssertionError, struct.error, Image.DecompressionBombError, cv2.error,
)  # fmt: skip
"""What pydicom, its plugins, Pillow and OpenCV raise on damaged pixel data; MemoryError is another matter."""


def frames_of(ds: Dataset, frame_numbers: Sequence[int]) -> Frame:
    """Decode the named frames.

    Args:
        ds: with PixelData (bytes or an open binary stream at its first byte) and its file meta information.
        frame_numbers: one-based, ascending, not empty.

    Returns:
        uint8 (T, H, W, C): C 1 for grey, 3 for RGB, channels interleaved.

    Raises:
        UnsupportedPixels: reason "unsupported_syntax" or "decode_failed".
        MemoryError: it would take more than there is.
    """
    return np.stack(list(iter_frames(ds, frame_numbers)))


def iter_frames(ds: Dataset, frame_numbers: Sequence[int]) -> Iterator[Frame]:
    """As `frames_of`, one uint8 (H, W, C) at a time, so that a long clip never lies in memory whole."""
    syntax = ds.file_meta.get("TransferSyntaxUID")
    if syntax not in PLUGINS:
        raise UnsupportedPixels(reason="unsupported_syntax")
    try:
        check_description(ds)
        for frame in _decoded(ds, syntax, [number - 1 for number in frame_numbers]):
            if frame.shape[:2] != (ds.Rows, ds.Columns):
                raise UnsupportedPixels("frame size differs from Rows and Columns")
            yield np.ascontiguousarray(frame)
    except _FOREIGN as exc:
        raise UnsupportedPixels(type(exc).__name__, reason="decode_failed") from exc


def check_description(ds: Dataset) -> None:
    """Check that the attributes which describe the samples are there, plain and of a size that fits into memory.

    Raises:
        UnsupportedPixels: reason "decode_failed".
    """
    try:
        samples, pixels = int(ds.SamplesPerPixel), int(ds.Rows) * int(ds.Columns)
        str(ds.PhotometricInterpretation)
    except _FOREIGN as exc:
        raise UnsupportedPixels(type(exc).__name__) from exc
    if samples not in (1, 3) or ds.BitsAllocated not in (8, 16) or not 0 < ds.BitsStored <= ds.BitsAllocated:
        raise UnsupportedPixels("SamplesPerPixel, BitsAllocated or BitsStored")
    if not 0 < pixels * samples <= LARGEST_FRAME:
        raise UnsupportedPixels("Rows x Columns")


def _decoded(ds: Dataset, syntax: uid.UID, indices: Sequence[int]) -> Iterator[Frame]:
    size = int(ds.Columns), int(ds.Rows)
    if syntax in VIDEO:
        yield from _of_video(ds, indices, size)
    elif syntax in _CODED:
        coded = CodedFrames(ds, _count(ds), is_marked=syntax != uid.RLELossless)
        for index in indices:
            yield _CODED[syntax](ds, coded.frame(index), size)
    else:
        yield from _by_pydicom(ds, syntax, indices)


def _of_jpeg(ds: Dataset, stream: bytes, size: tuple[int, int]) -> Frame:
    samples: npt.NDArray[Any]
    if jpeg.precision(stream) != 8:
        samples = jpeg.decoded_12_bits(stream, size)
    else:
        samples = jpeg.decoded(stream, size, str(ds.PhotometricInterpretation))
    return through_palette(samples, ds) if _is_palette(ds) else grey_or_rgb(samples, ds)


def _of_video(ds: Dataset, indices: Sequence[int], size: tuple[int, int]) -> Iterator[Frame]:
    if ds.SamplesPerPixel != 3 and not str(ds.PhotometricInterpretation).startswith("MONOCHROME"):
        raise UnsupportedPixels("Photometric Interpretation")
    pixels = io.BytesIO(ds.PixelData) if isinstance(ds.PixelData, bytes) else ds.PixelData
    begin = pixels.tell()
    try:
        for frame in video.frames(pixels, indices, size, _count(ds)):
            samples = frame if ds.SamplesPerPixel == 3 else frame[:, :, 0]
            yield grey_or_rgb(samples, ds)
    finally:
        pixels.seek(begin)


def _of_rle(ds: Dataset, stream: bytes, size: tuple[int, int]) -> Frame:
    label = str(ds.PhotometricInterpretation)
    samples = run_length.decoded(stream, size, int(ds.SamplesPerPixel), width=int(ds.BitsAllocated) // 8)
    if ds.get("PixelRepresentation", 0):
        samples = samples.view(np.int16 if samples.dtype == np.uint16 else np.int8)
    if _is_palette(ds):
        return through_palette(samples, ds)
    if label == "YBR_FULL":
        samples = convert_color_space(samples, "YBR_FULL", "RGB")
    elif label not in ("RGB", "MONOCHROME1", "MONOCHROME2"):
        raise UnsupportedPixels("Photometric Interpretation")
    return grey_or_rgb(samples, ds)


def _of_jpeg_2000(ds: Dataset, stream: bytes, size: tuple[int, int]) -> Frame:
    samples = jpeg2000.decoded(stream, size, int(ds.SamplesPerPixel))
    label = str(ds.PhotometricInterpretation)
    if _is_palette(ds):
        return through_palette(samples, ds)
    if samples.ndim == 3 and label.startswith("YBR_FULL") and not jpeg2000.undoes_transform(stream):
        samples = np.asarray(Image.fromarray(samples, "YCbCr").convert("RGB"))
    elif label not in ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "MONOCHROME1", "MONOCHROME2"):
        raise UnsupportedPixels("Photometric Interpretation")
    return grey_or_rgb(samples, ds)


def _by_pydicom(ds: Dataset, syntax: uid.UID, indices: Sequence[int]) -> Iterator[Frame]:
    decoder, options = get_decoder(syntax), as_pixel_options(ds)
    for samples, told in decoder.iter_array(ds, indices=indices, decoding_plugin=PLUGINS[syntax], **options):
        if _is_palette(ds):
            yield through_palette(samples, ds)
        elif told["photometric_interpretation"] not in ("RGB", "MONOCHROME1", "MONOCHROME2"):
            raise UnsupportedPixels("Photometric Interpretation")
        else:
            yield grey_or_rgb(samples, ds)


def _is_palette(ds: Dataset) -> bool:
    return bool(ds.PhotometricInterpretation == "PALETTE COLOR")


def _count(ds: Dataset) -> int:
    return int(ds.get("NumberOfFrames") or 1)


_CODED: dict[uid.UID, Callable[[Dataset, bytes, tuple[int, int]], Frame]] = {
    uid.RLELossless: _of_rle,
    **dict.fromkeys(_JPEG, _of_jpeg),
    **dict.fromkeys(J2K, _of_jpeg_2000),
}
"""Syntaxes whose frames are decoded one by one from their own code streams."""
