"""Pixel data to grey or RGB frames of 8 bits: only the named frames, each colour converted exactly once.

The decoding plugin is always named, so that an installed package never changes what a network sees. JPEG Baseline
is decoded with Pillow itself, because there the code stream and not Photometric Interpretation says whether the
samples are YCbCr (makers label JPEG as RGB), and converting by both would convert twice. What this is not: a
display pipeline; VOI and modality tables are left alone, as ultrasound is stored ready to show.
"""

import io
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import as_pixel_options

from dicom_ai.errors import UnsupportedPixels

Frame = npt.NDArray[np.uint8]

PLUGINS = {
    uid.ImplicitVRLittleEndian: "",
    uid.ExplicitVRLittleEndian: "",
    uid.ExplicitVRBigEndian: "",
    uid.RLELossless: "pydicom",
    uid.JPEGBaseline8Bit: "pillow",
    uid.JPEGExtended12Bit: "gdcm",
    uid.JPEGLossless: "gdcm",
    uid.JPEGLosslessSV1: "gdcm",
    uid.JPEGLSLossless: "gdcm",
    uid.JPEGLSNearLossless: "gdcm",
    uid.JPEG2000Lossless: "gdcm",
    uid.JPEG2000: "gdcm",
}
"""Transfer syntax to plugin. Deflated is absent on purpose: it is inflated as a whole before anything is checked."""

LARGEST_FRAME = 64_000_000
"""Samples of one frame; no scanner comes near, but a header of some bytes can ask for more than the memory."""

TINTED = 100
"""Spread of the median colour (0..255) that no ultrasound screen has: black read as YCbCr is (0, 135, 0)."""

_FOREIGN = (
    ValueError, TypeError, AttributeError, KeyError, IndexError, NotImplementedError, RuntimeError, OSError, EOFError,
    MemoryError, ArithmeticError, AssertionError, struct.error, Image.DecompressionBombError,
)  # fmt: skip
"""What pydicom, its plugins and Pillow raise on damaged pixel data."""


def frames_of(ds: Dataset, frame_numbers: Sequence[int]) -> Frame:
    """Decode the named frames.

    Args:
        ds: with PixelData (bytes or an open binary stream at its first byte) and its file meta information.
        frame_numbers: one-based, ascending, not empty.

    Returns:
        uint8 (T, H, W, C): C 1 for grey, 3 for RGB, channels interleaved.

    Raises:
        UnsupportedPixels: reason "unsupported_syntax" or "decode_failed".
    """
    return np.stack(list(iter_frames(ds, frame_numbers)))


def iter_frames(ds: Dataset, frame_numbers: Sequence[int]) -> Iterator[Frame]:
    """As `frames_of`, one uint8 (H, W, C) at a time, so that a long clip never lies in memory whole."""
    syntax = ds.file_meta.get("TransferSyntaxUID")
    if syntax not in PLUGINS:
        raise UnsupportedPixels(reason="unsupported_syntax")
    try:
        _check_description(ds)
        for frame in _decoded(ds, syntax, [number - 1 for number in frame_numbers]):
            if frame.shape[:2] != (ds.Rows, ds.Columns):
                raise UnsupportedPixels("frame size differs from Rows and Columns")
            yield np.ascontiguousarray(frame)
    except _FOREIGN as exc:
        raise UnsupportedPixels(type(exc).__name__, reason="decode_failed") from exc


def _check_description(ds: Dataset) -> None:
    samples = int(ds.SamplesPerPixel)
    if samples not in (1, 3) or ds.BitsAllocated not in (8, 16) or not 0 < ds.BitsStored <= ds.BitsAllocated:
        raise UnsupportedPixels("SamplesPerPixel, BitsAllocated or BitsStored")
    if not 0 < int(ds.Rows) * int(ds.Columns) * samples <= LARGEST_FRAME:
        raise UnsupportedPixels("Rows x Columns")


def _decoded(ds: Dataset, syntax: uid.UID, indices: Sequence[int]) -> Iterator[Frame]:
    if syntax == uid.JPEGBaseline8Bit or (syntax == uid.JPEGExtended12Bit and ds.BitsStored == 8):
        for index in indices:
            samples = _jpeg(ds, index)
            is_palette = ds.PhotometricInterpretation == "PALETTE COLOR"
            yield _through_palette(samples, ds) if is_palette else _of_grey_or_rgb(samples, ds, "YBR")
        return
    options = as_pixel_options(ds)
    if syntax in uid.JPEG2000TransferSyntaxes and _is_rgb_inside(ds, indices[0]):
        options["photometric_interpretation"] = "RGB"
    decoder = get_decoder(syntax)
    for array, told in decoder.iter_array(ds, indices=indices, decoding_plugin=PLUGINS[syntax], **options):
        if ds.PhotometricInterpretation == "PALETTE COLOR":
            yield _through_palette(array, ds)
        else:
            if told["photometric_interpretation"] not in ("RGB", "MONOCHROME1", "MONOCHROME2"):
                raise UnsupportedPixels("Photometric Interpretation")
            yield _of_grey_or_rgb(array, ds, str(ds.PhotometricInterpretation))


def _of_grey_or_rgb(array: npt.NDArray[Any], ds: Dataset, before: str) -> Frame:
    frame = _to_eight_bits(array, ds)
    if frame.ndim == 2:
        return (255 - frame if ds.PhotometricInterpretation == "MONOCHROME1" else frame)[:, :, np.newaxis]
    if "YBR" in before and np.ptp(np.median(frame[::4, ::4], axis=(0, 1))) > TINTED:
        raise UnsupportedPixels("the colour conversion is wrong: the screen is tinted")
    return frame


def _to_eight_bits(array: npt.NDArray[Any], ds: Dataset) -> Frame:
    bits = int(ds.BitsStored)
    if ds.get("PixelRepresentation", 0):
        array = array.astype(np.int32) + (1 << (bits - 1))
    if bits > 8:
        array = array >> (bits - 8)
    elif bits < 8:
        array = array.astype(np.uint16) * 255 // ((1 << bits) - 1)
    eight: Frame = np.clip(array, 0, 255).astype(np.uint8, copy=False)
    return eight


def _through_palette(array: npt.NDArray[Any], ds: Dataset) -> Frame:
    entries, first, _ = (int(value) for value in ds.RedPaletteColorLookupTableDescriptor)
    entries = entries or 1 << 16
    frame: Frame = _palette(ds, entries, first)[np.clip(array.astype(np.int32) - first, 0, entries - 1)]
    return frame


def _palette(ds: Dataset, entries: int, first: int) -> Frame:
    """The table as uint8 (entries, 3); entries are 8 or 16 bits wide, whatever the descriptor says."""
    tables = Dataset()
    tables.file_meta = ds.file_meta
    for element in ds.group_dataset(0x0028):
        tables.add(element)
    if ds.file_meta.TransferSyntaxUID == uid.ExplicitVRBigEndian:
        for colour in ("Red", "Green", "Blue"):  # the library reads this table in the machine's byte order
            keyword = f"{colour}PaletteColorLookupTableData"
            if keyword in ds and len(ds[keyword].value) == 2 * entries:
                tables[keyword].value = np.frombuffer(ds[keyword].value, ">u2").astype("<u2").tobytes()
    values = np.arange(first, first + entries, dtype=np.int32)
    table = apply_color_lut(values, tables)[:, :3]
    if table.dtype == np.uint8:
        if entries > 256:
            raise UnsupportedPixels("palette")
        return table
    # PS3.3 C.7.6.3.1.6 wants 16-bit entries to span the range; some makers write 8-bit values into them
    return (table if table.max() < 256 else table >> 8).astype(np.uint8)


def _code_stream(ds: Dataset, index: int) -> bytes:
    options = as_pixel_options(ds)
    return get_frame(
        ds.PixelData, index, number_of_frames=options["number_of_frames"],
        extended_offsets=options.get("extended_offsets"),
    )  # fmt: skip


def _jpeg(ds: Dataset, index: int) -> Frame:
    """Decode one JPEG frame to grey or RGB; libjpeg converts by the markers inside, and nothing else does."""
    image: Image.Image = Image.open(io.BytesIO(_code_stream(ds, index)), formats=("JPEG",))
    if image.size != (ds.Columns, ds.Rows) or image.mode not in ("L", "RGB"):
        raise UnsupportedPixels("frame size or components differ from the header")
    if image.mode == "RGB" and ds.PhotometricInterpretation == "RGB" and _is_unmarked(image):
        # No marker says what the samples are. Chroma rests at 128, colours of a dark screen do not.
        image.draft("YCbCr", image.size)
        samples = np.asarray(image)
        chroma = np.median(samples[::4, ::4, 1:], axis=(0, 1))
        if np.abs(chroma - 128.0).max() > 32.0:
            return samples
        image = Image.merge("YCbCr", image.split()).convert("RGB")
    return np.asarray(image)


def _is_unmarked(image: Image.Image) -> bool:
    names = [component[0] for component in getattr(image, "layer", [])]
    return (
        "jfif" not in image.info
        and "adobe_transform" not in image.info
        and names not in ([82, 71, 66], ["R", "G", "B"])
    )


def _is_rgb_inside(ds: Dataset, index: int) -> bool:
    """Whether a JPEG 2000 code stream undoes its own colour transform although the header says plain YBR_FULL."""
    if ds.SamplesPerPixel != 3 or not str(ds.PhotometricInterpretation).startswith("YBR_FULL"):
        return False
    stream = _code_stream(ds, index)
    at = stream.find(b"\xff\x52")  # COD: length 2, style 1, progression 1, layers 2, transform 1 (ISO 15444-1 A.6.1)
    return 0 <= at < len(stream) - 9 and stream[at + 8] == 1
