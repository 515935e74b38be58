"""Frames that somebody else has cropped -> kept pixels: the folder's word is one witness, the pixels are the other.

| picture in the pixels | kept | text within what is kept |
|---|---|---|
| none | nothing | |
| found, agrees with the whole frame as stated region | its shape, less the crop's margin | refuses the clip |
| found, cut by the edges of the frame or filling it | the whole frame, as the folder declares | refuses the clip |

Publishers leave digits of a depth scale or a round mark beside the picture; these go with what is not kept.
What this is not: a crop of screens. Those come as DICOM and go through the service's own.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from dicom_ai.crop.decision import decide
from dicom_ai.crop.emit import kept
from dicom_ai.crop.policy import Policy
from dicom_ai.crop.region import RegionVote
from dicom_ai.crop.support import picture_support
from dicom_ai.crop.text import TextCheck
from dicom_ai.kept import CropOutcome, mask_of
from train.folder import Rgb

_NEVER = Policy(blank="never")  # black boxes are for the patient's own study; a training set can do without the picture


class Refused(Exception):
    """Nothing is kept; its argument is the reason, never a name."""


def cropped(frames: Sequence[Rgb], *, is_looked_at: bool = False) -> list[Rgb]:
    """The kept pixels of every frame, in order: uint8 (h, w, 3), black outside the shape.

    Args:
        frames: uint8 (H, W, 3) of one clip; those of one size are judged together.
        is_looked_at: a person has looked at this clip and found no text.

    Raises:
        Refused: "text_on_tissue" or "no_picture".
    """
    sizes: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, frame in enumerate(frames):
        sizes[frame.shape].append(number)
    done: dict[int, Rgb] = {}
    for numbers in sizes.values():
        part = [frames[number] for number in numbers]
        outcome = _outcome(part)
        if not is_looked_at:
            _require_no_text(part, outcome)
        pixels = kept(part, range(1, len(part) + 1), outcome)
        done |= dict(zip(numbers, pixels.frames, strict=True))
    return [done[number] for number in range(len(frames))]


def _outcome(frames: Sequence[Rgb]) -> CropOutcome:
    rows, columns = frames[0].shape[:2]
    support = picture_support(np.max([frame.max(axis=2) for frame in frames], axis=0))
    stated = RegionVote(((0, 0, columns, rows),), None, 1)
    outcome = decide(stated, None, support, size=(rows, columns), frames=len(frames))
    if outcome.status == "cropped":
        return outcome
    if outcome.reason != "witnesses_disagree":
        raise Refused(outcome.reason or "no_picture")
    whole = ((0.0, 0.0), (float(columns), 0.0), (float(columns), float(rows)), (0.0, float(rows)))
    box = (0, 0, columns, rows)
    return CropOutcome("cropped", None, rows, columns, len(frames), keep=(whole,), box=box, votes=outcome.votes)


def _require_no_text(frames: Sequence[Rgb], outcome: CropOutcome) -> None:
    check = TextCheck(mask_of(outcome.keep, outcome.rows, outcome.columns), ())
    for frame in frames:
        check.look(frame)
    if check.vote(_NEVER).reason is not None:
        raise Refused("text_on_tissue")
