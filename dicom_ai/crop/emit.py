"""A decision and decoded frames to kept pixels: a new array of zeros into which only kept pixels are copied.

Nothing of the source survives by being overlooked, because nothing is edited. What this is not: an encoder, or a
second opinion; `outcome.keep` alone says which pixels travel.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dicom_ai.kept import Box, CropOutcome, Kept, mask_of


def kept(frames: Iterable[npt.NDArray[np.uint8]], frame_numbers: Sequence[int], outcome: CropOutcome) -> Kept:
    """Copy the pixels whose centre lies inside `outcome.keep` and outside `outcome.blanked`.

    Args:
        frames: uint8 (H, W, C) each, C 1 or 3, full frames of the source in the order of `frame_numbers`; consumed
            one at a time.
        frame_numbers: one-based, as many as there are frames.
        outcome: status "cropped".

    Returns:
        The kept pixels, cut to `outcome.box`, zero elsewhere.

    Raises:
        ValueError: the outcome keeps nothing, or the frames do not fit it.
    """
    if outcome.status != "cropped" or outcome.box is None:
        raise ValueError("only a cropped outcome has pixels")
    x0, y0, x1, y1 = outcome.box
    mask = mask_of(outcome.keep, outcome.rows, outcome.columns)
    for left, top, right, bottom in outcome.blanked:
        mask[top:bottom, left:right] = False
    mask = mask[y0:y1, x0:x1]
    out: npt.NDArray[np.uint8] | None = None
    for index, (_, frame) in enumerate(zip(frame_numbers, frames, strict=True)):
        if frame.shape[:2] != (outcome.rows, outcome.columns):
            raise ValueError("a frame differs in size from the outcome")
        if out is None:
            out = np.zeros((len(frame_numbers), y1 - y0, x1 - x0, frame.shape[2]), np.uint8)
        out[index][mask] = frame[y0:y1, x0:x1][mask]
    if out is None:
        raise ValueError("no frame")
    return Kept(out, tuple(frame_numbers), outcome)


def full_frame(kept: Kept, index: int) -> npt.NDArray[np.uint8]:
    """One kept frame at the size and place it had on the screen: uint8 (rows, columns, C), black outside the shape."""
    outcome = kept.outcome
    if outcome.box is None:
        raise ValueError("only a cropped outcome has pixels")
    x0, y0, x1, y1 = outcome.box
    screen = np.zeros((outcome.rows, outcome.columns, kept.frames.shape[3]), np.uint8)
    screen[y0:y1, x0:x1] = kept.frames[index]
    return screen


def blanked(kept: Kept, boxes: Sequence[Box], votes: dict[str, Any]) -> Kept:
    """The same pixels with further boxes (full-frame pixels, half open) set to zero in place, and the votes so far."""
    outcome = replace(kept.outcome, blanked=(*kept.outcome.blanked, *boxes), votes=votes)
    if outcome.box is None:
        raise ValueError("only a cropped outcome has pixels")
    x, y = outcome.box[:2]
    for x0, y0, x1, y1 in boxes:
        kept.frames[:, max(0, y0 - y) : max(0, y1 - y), max(0, x0 - x) : max(0, x1 - x)] = 0
    return Kept(kept.frames, kept.frame_numbers, outcome)
