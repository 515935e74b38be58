"""The cropped frame with its heat, and the full frame around it: source size, black but for scan area and our text.

What this is not: a picture of anything outside the kept pixels.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.kept import Kept, mask_of
from dicom_ai.mapping import CropWindow, kept_mask
from dicom_ai.report.band import Block, letter_size, place
from dicom_ai.report.rendering import ColourMap, colours

Frames = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

OPACITY = 0.6
"""Of the strongest heat; the echo below stays visible."""


def overlay(
    frame: npt.NDArray[np.uint8],
    heat: npt.NDArray[np.uint8] | None,
    shape: Mask,
    colour_map: ColourMap = "perceptual",
) -> npt.NDArray[np.uint8]:
    """Blend heat into a frame: opacity rises with the heat, no heat leaves the echo as it is.

    Args:
        frame: uint8 (h, w, 1 or 3), cropped.
        heat: uint8 (h, w), None for a frame without heat.
        shape: bool (h, w), pixels that may carry heat.
        colour_map: of the heat.

    Returns:
        RGB, uint8 (h, w, 3); black stays where `shape` is false and the frame is black.
    """
    if heat is None:
        return np.repeat(frame, 3, axis=2) if frame.shape[2] == 1 else frame.copy()
    return _blended(frame, heat * shape, _blend_table(colour_map))


def full_frames(
    kept: Kept,
    heat: npt.NDArray[np.uint8] | None,
    blocks: Sequence[Block],
    *,
    colour_map: ColourMap = "perceptual",
    beside: Sequence[Block] | None = None,
) -> Frames:
    """Every analysed frame at the size of the source: crop at its place, all else black but for our text.

    Args:
        kept: the cropped frames and where they came from.
        heat: uint8 (T, h, w) of one class, None when no heat is to be drawn.
        blocks: text, drawn beside the scan area and never on it.
        colour_map: of the heat.
        beside: text of the same picture without heat, which then stands to the left of the heated one; None: one
            picture.

    Returns:
        RGB, uint8 (T, rows, columns, 3); (T, rows, 2 * columns, 3) with `beside`.
    """
    outcome, window = kept.outcome, CropWindow.of(kept.outcome)
    scan, hot = mask_of(outcome.keep, outcome.rows, outcome.columns), kept_mask(outcome)
    # Shown on a screen, a picture of twice the width is half as large: its letters are drawn larger.
    letters = letter_size(outcome.columns if beside is None else 2 * outcome.columns)
    halves = [blocks] if beside is None else [beside, blocks]
    canvas = np.concatenate([_written(half, scan, letters) for half in halves], axis=1)
    inside, table = window.cut(scan).astype(np.uint8), _blend_table(colour_map)
    frames = np.repeat(canvas[None], len(kept.frames), axis=0)
    for n, frame in enumerate(kept.frames):
        plain = np.repeat(frame, 3, axis=2) if frame.shape[2] == 1 else frame
        heated = plain if heat is None else _blended(frame, heat[n] * hot, table)
        for half, drawn in enumerate([heated] if beside is None else [plain, heated]):
            first = half * outcome.columns
            cv2.copyTo(drawn, inside, window.cut(frames[n, :, first : first + outcome.columns]))
    return frames


def _written(blocks: Sequence[Block], scan: Mask, letters: int) -> npt.NDArray[np.uint8]:
    """Our text on black: RGB, uint8 (rows, columns, 3), black over the scan area and two pixels around it."""
    taken = _grown(scan, 2)  # text never touches the scan area
    canvas = np.zeros((*scan.shape, 3), np.uint8)
    for picture, (x, y) in place(blocks, taken, letters):
        canvas[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    canvas[taken] = 0
    return canvas


def _blend_table(colour_map: ColourMap) -> npt.NDArray[np.uint8]:
    """What a grey level (second index) becomes under heat (first index): RGB and an empty byte, uint8 (256, 256, 4)."""
    level = np.arange(256, dtype=np.float32)
    alpha = (OPACITY / np.float32(255.0)) * level[:, None, None]
    blended = (1 - alpha) * level[None, :, None] + alpha * colours(colour_map)[:, None, :]
    return np.pad(np.rint(blended).astype(np.uint8), ((0, 0), (0, 0), (0, 1)))


def _blended(
    frame: npt.NDArray[np.uint8], strength: npt.NDArray[np.uint8], table: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Look every pixel of (h, w, 1 or 3) up in a table of `_blend_table`: RGB, uint8 (h, w, 3)."""
    row = strength.astype(np.uint16) << 8
    if frame.shape[2] == 3:
        return np.stack([table[..., c].ravel().take(row | frame[..., c]) for c in range(3)], axis=2)
    # All four bytes of an entry at once: a clip is drawn several times faster than colour by colour.
    found = table.view(np.uint32).ravel().take(row | frame[..., 0])
    return np.asarray(cv2.cvtColor(found.view(np.uint8).reshape(*found.shape, 4), cv2.COLOR_RGBA2RGB), np.uint8)


def _grown(mask: Mask, pixels: int) -> Mask:
    # The outside counts as set for an inverted mask's growth only when it is set: the frame's edge needs no margin.
    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(np.bool_)
