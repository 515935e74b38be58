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
"""Spread of the median colour (0..255) that no ultrasound screen has: black read as YCbCr is (0, 135, 0), and black of
YCbCr read as RGB (0, 128, 128). Measured: at most 5 on the real objects."""

_GRID = 64
"""Rows and columns of the grid, at least, on which a frame is judged as a whole."""


def grey_or_rgb(samples: npt.NDArray[Any], ds: Dataset) -> Frame:
    """Scale samples to 8 bits, invert MONOCHROME1, and look whether a conversion of colours went wrong or was left out.

    Args:
        samples: (H, W) grey or (H, W, 3) RGB; values of Bits Stored bits, signed where Pixel Representation says so.
        ds: of the image.

    Raises:
        UnsupportedPixels: reason "colour_wrong": the screen is tinted as a whole.
    """
    frame = _to_eight_bits(samples, ds)
    if frame.ndim == 2:
        return (255 - frame if ds.PhotometricInterpretation == "MONOCHROME1" else frame)[:, :, np.newaxis]
    if spread_of(thinned(frame)[0]) > TINTED:
        raise UnsupportedPixels("the screen is tinted", reason="colour_wrong")
    return frame


def thinned(frame: Frame) -> tuple[Frame, int]:
    """Every n-th pixel of every n-th row, and n: some thousand pixels speak for a screen."""
    step = max(1, min(frame.shape[:2]) // _GRID)
    return frame[::step, ::step], step


def spread_of(grid: Frame) -> float:
    """How far the channels of the median colour lie apart, 0..255; 0 of grey."""
    return float(np.ptp(np.median(grid, axis=(0, 1))))


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
