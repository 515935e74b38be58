"""The cropped frame with its heat, and the full frame around it: source size, black but for scan area and our text.

The colour map is plasma: its lightness rises with the heat, so a stronger place never looks weaker (as in rainbow
maps), and all its colours are saturated, so heat is never mistaken for a bright echo (as the white end of hot or
inferno can be). What this is not: a picture of anything outside the kept pixels.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.kept import Kept, mask_of
from dicom_ai.mapping import CropWindow, kept_mask
from dicom_ai.report.band import Block, place

Frames = npt.NDArray[np.uint8]

OPACITY = 0.6
"""Of the strongest heat; the echo below stays visible."""


def colours() -> npt.NDArray[np.uint8]:
    """The colour map as RGB, uint8 (256, 3)."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    bgr = cv2.applyColorMap(ramp, cv2.COLORMAP_PLASMA)[:, 0, :]
    return np.ascontiguousarray(bgr[:, ::-1])


def overlay(
    frame: npt.NDArray[np.uint8], heat: npt.NDArray[np.uint8] | None, shape: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Blend heat into a frame: opacity rises with the heat, no heat leaves the echo as it is.

    Args:
        frame: uint8 (h, w, 1 or 3), cropped.
        heat: uint8 (h, w), None for a frame without heat.
        shape: bool (h, w), pixels that may carry heat.

    Returns:
        RGB, uint8 (h, w, 3); black stays where `shape` is false and the frame is black.
    """
    rgb = np.repeat(frame, 3, axis=2) if frame.shape[2] == 1 else frame
    if heat is None:
        return rgb.copy()
    strength = np.where(shape, heat, 0)
    alpha = (OPACITY / 255.0) * strength[..., None].astype(np.float32)
    blended = (1.0 - alpha) * rgb + alpha * colours()[strength]
    return np.rint(blended).astype(np.uint8)


def full_frames(kept: Kept, heat: npt.NDArray[np.uint8] | None, blocks: Sequence[Block]) -> Frames:
    """Every analysed frame at the size of the source: crop at its place, all else black but for our text.

    Args:
        kept: the cropped frames and where they came from.
        heat: uint8 (T, h, w) of one class, None when no heat is to be drawn.
        blocks: text, drawn beside the scan area and never on it.

    Returns:
        RGB, uint8 (T, rows, columns, 3).
    """
    outcome, window = kept.outcome, CropWindow.of(kept.outcome)
    scan = mask_of(outcome.keep, outcome.rows, outcome.columns)
    taken = _grown(scan, 2)  # text never touches the scan area
    hot, inside = kept_mask(outcome), window.cut(scan)
    canvas = np.zeros((outcome.rows, outcome.columns, 3), np.uint8)
    for picture, (x, y) in place(blocks, taken):
        canvas[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    canvas[taken] = 0
    frames = np.repeat(canvas[None], len(kept.frames), axis=0)
    for n, frame in enumerate(kept.frames):
        drawn = overlay(frame, None if heat is None else heat[n], hot)
        window.cut(frames[n])[inside] = drawn[inside]
    return frames


def _grown(mask: npt.NDArray[np.bool_], pixels: int) -> npt.NDArray[np.bool_]:
    # The outside counts as set for an inverted mask's growth only when it is set: the frame's edge needs no margin.
    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(np.bool_)
