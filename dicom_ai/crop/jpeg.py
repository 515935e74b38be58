"""JPEG Baseline and Extended: 8 bits to grey or RGB by Pillow (libjpeg-turbo), 12 bits of grey by GDCM.

With 8 bits the code stream and not Photometric Interpretation says whether the samples are YCbCr: makers label JPEG as
RGB, and converting by both would convert twice. What this is not: lossless JPEG.
"""

import io

import gdcm
import numpy as np
import numpy.typing as npt
from PIL import Image

from dicom_ai.crop.colour import Frame
from dicom_ai.errors import UnsupportedPixels

_JPEG_LS = 0xF7
"""SOF55, the frame header of JPEG-LS (ISO 14495-1 C.1.1); its fields are those of JPEG."""


def precision(stream: bytes) -> int:
    """Bits of a sample; 0 if there is no frame header."""
    return _frame_header(stream)[0]


def size_of(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns that the frame header of a JPEG, lossless JPEG or JPEG-LS stream states; None without one."""
    _, rows, columns, _ = _frame_header(stream)
    return (rows, columns) if rows and columns else None


def _frame_header(stream: bytes) -> tuple[int, int, int, int]:
    """Precision, rows, columns and components (ITU-T T.81 B.2.2); zeros if there is none."""
    at = 2
    while at + 10 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif (0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}) or marker == _JPEG_LS:
            rows, columns = (
                int.from_bytes(stream[at + 5 : at + 7], "big"),
                int.from_bytes(stream[at + 7 : at + 9], "big"),
            )
            return stream[at + 4], rows, columns, stream[at + 9]
        else:
            at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return 0, 0, 0, 0


def decoded_12_bits(stream: bytes, size: tuple[int, int]) -> npt.NDArray[np.uint16]:
    """Decode one frame of grey of 12 bits; pydicom's plugin refuses this although GDCM can do it.

    Args:
        stream: one JPEG image of precision 12 and one component.
        size: columns and rows the header announces.

    Returns:
        0..4095 (H, W).

    Raises:
        UnsupportedPixels: size, components or precision differ.
    """
    if _frame_header(stream) != (12, size[1], size[0], 1):
        raise UnsupportedPixels("frame size, components or precision differ from the header")
    fragment, fragments = gdcm.Fragment(), gdcm.SequenceOfFragments.New()
    fragment.SetByteStringValue(stream)
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((*size, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, 12, 11, 0))
    samples = image.GetBuffer().encode("utf-8", "surrogateescape")  # GDCM hands out char* as str
    return np.frombuffer(samples, np.uint16).reshape(size[1], size[0])


def decoded(stream: bytes, size: tuple[int, int], label: str) -> Frame:
    """Decode one frame; libjpeg converts by the markers inside, and nothing else does.

    Args:
        stream: one JPEG image.
        size: columns and rows the header announces.
        label: Photometric Interpretation; asked only where the stream has no marker that says what the samples are.

    Returns:
        uint8 (H, W) grey or (H, W, 3) RGB.

    Raises:
        UnsupportedPixels: size or components differ.
    """
    image: Image.Image = Image.open(io.BytesIO(stream), formats=("JPEG",))
    if image.size != size or image.mode not in ("L", "RGB"):
        raise UnsupportedPixels("frame size or components differ from the header")
    if image.mode == "RGB" and label == "RGB" and _is_unmarked(image):
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
