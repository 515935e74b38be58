"""Samples of any width to grey or RGB of 8 bits; the last step of every decoder.

What this is not: a colour space converter; whoever decodes converts, once, and says here where the samples came from.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicom_ai.errors import UnsupportedPixels

Frame = npt.NDArray[np.uint8]
"""(H, W, C): C 1 for grey, 3 for RGB, channels interleaved."""

TINTED = 100
"""Spread of the median colour (0..255) that no ultrasound screen has: black read as YCbCr is (0, 135, 0)."""


def grey_or_rgb(samples: npt.NDArray[Any], ds: Dataset, *, converted: bool) -> Frame:
    """Scale samples to 8 bits, invert MONOCHROME1, and look whether a conversion of colours went wrong.

    Args:
        samples: (H, W) grey or (H, W, 3) RGB; values of Bits Stored bits, signed where Pixel Representation says so.
        ds: of the image.
        converted: the samples were YCbCr before; then a screen that is tinted as a whole tells of a wrong conversion.

    Raises:
        UnsupportedPixels: the screen is tinted.
    """
    frame = _to_eight_bits(samples, ds)
    if frame.ndim == 2:
        return (255 - frame if ds.PhotometricInterpretation == "MONOCHROME1" else frame)[:, :, np.newaxis]
    if converted and np.ptp(np.median(frame[::4, ::4], axis=(0, 1))) > TINTED:
        raise UnsupportedPixels("the colour conversion is wrong: the screen is tinted")
    return frame


def _to_eight_bits(samples: npt.NDArray[Any], ds: Dataset) -> Frame:
    bits = int(ds.BitsStored)
    if ds.get("PixelRepresentation", 0):
        samples = samples.astype(np.int32) + (1 << (bits - 1))
    if bits > 8:
        samples = samples >> (bits - 8)
    elif bits < 8:
        samples = samples.astype(np.uint16) * 255 // ((1 << bits) - 1)
    eight: Frame = np.clip(samples, 0, 255).astype(np.uint8, copy=False)
    return eight
