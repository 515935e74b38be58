"""A decision and decoded frames to kept pixels: a new array of zeros into which only kept pixels are copied.

Nothing of the source survives by being overlooked, because nothing is edited: a pixel is taken over bit by bit where
it is kept and nowhere else. What this is not: an encoder, or a second opinion; `outcome.keep` alone says which pixels
travel.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.kept import Box, CropOutcome, Kept, Mask
from dicom_ai.mapping import CropWindow, kept_mask


def kept(
    frames: Iterable[npt.NDArray[np.uint8]],
    frame_numbers: Sequence[int],
    outcome: CropOutcome,
    mask: Mask | None = None,
) -> Kept:
    """Copy the pixels whose centre lies inside `outcome.keep` and outside `outcome.blanked`.

    Args:
        frames: uint8 (H, W, C) each, C 1 or 3, full frames of the source in the order of `frame_numbers`; consumed
            one at a time.
        frame_numbers: one-based, as many as there are frames.
        outcome: status "cropped".
        mask: bool (H, W), `mask_of(outcome.keep)`, if it was made already.

    Returns:
        The kept pixels, cut to `outcome.box`, zero elsewhere.

    Raises:
        ValueError: the outcome keeps nothing, or the frames do not fit it.
    """
    if outcome.status != "cropped" or outcome.box is None:
        raise ValueError("only a cropped outcome has pixels")
    window = CropWindow.of(outcome)
    keep = kept_mask(outcome, mask).view(np.uint8) * np.uint8(255)
    out, wide = None, keep
    for index, (_, frame) in enumerate(zip(frame_numbers, frames, strict=True)):
        if frame.shape[:2] != (outcome.rows, outcome.columns):
            raise ValueError("a frame differs in size from the outcome")
        if out is None:
            out = np.zeros((len(frame_numbers), *window.size, frame.shape[2]), np.uint8)
            wide = np.asarray(cv2.merge([keep] * frame.shape[2]), np.uint8).reshape(out.shape[1:])
        np.bitwise_and(window.cut(frame), wide, out=out[index])
    if out is None:
        raise ValueError("no frame")
    return Kept(out, tuple(frame_numbers), outcome)


def full_frame(kept: Kept, index: int) -> npt.NDArray[np.uint8]:
    """One kept frame at the size and place it had on the screen: uint8 (rows, columns, C), black outside the shape."""
    outcome = kept.outcome
    screen: npt.NDArray[np.uint8] = CropWindow.of(outcome).placed(kept.frames[index], outcome.rows, outcome.columns)
    return screen


def blanked(kept: Kept, boxes: Sequence[Box], votes: dict[str, Any]) -> Kept:
    """The same pixels with further boxes (full-frame pixels, half open) set to zero in place, and the votes so far."""
    outcome = replace(kept.outcome, blanked=(*kept.outcome.blanked, *boxes), votes=votes)
    for frame in kept.frames:
        CropWindow.of(outcome).blank(frame, boxes)
    return Kept(kept.frames, kept.frame_numbers, outcome)
