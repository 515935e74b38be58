"""JPEG Baseline, and Extended of 8 bits, to grey or RGB by Pillow (libjpeg-turbo).

Here the code stream and not Photometric Interpretation says whether the samples are YCbCr: makers label JPEG as RGB,
and converting by both would convert twice. What this is not: lossless JPEG, or 12 bits (those are GDCM's).
"""

import io

import numpy as np
from PIL import Image

from dicom_ai.crop.colour import Frame
from dicom_ai.errors import UnsupportedPixels


def precision(stream: bytes) -> int:
    """Bits of a sample, from the frame header (ITU-T T.81 B.2.2); 0 if there is none."""
    at = 2
    while at + 5 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            return stream[at + 4]
        else:
            at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return 0


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
