"""One data set through the crop, top to bottom: gate, witnesses, decision, text, emission.

What this is not: the process it runs in (`child`), or any of the judgements themselves.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicom_ai.crop.catalogue import Layout, layout_of
from dicom_ai.crop.colour import Frame
from dicom_ai.crop.decision import decide
from dicom_ai.crop.emit import blanked, kept
from dicom_ai.crop.frames import PLUGINS, VIDEO, iter_frames
from dicom_ai.crop.policy import USUAL, Policy
from dicom_ai.crop.region import region_vote
from dicom_ai.crop.support import Support, picture_support
from dicom_ai.crop.text import TextCheck
from dicom_ai.crop.words import identity_words
from dicom_ai.errors import NotAnalysable, UnsupportedPixels
from dicom_ai.instance import Instance
from dicom_ai.kept import CropOutcome, Kept, mask_of, sampled_frames

LOOKED_AT = 24
"""Most frames of a clip in which the picture is looked for: enough to light every part of a moving picture."""

HELD_BYTES = 64 << 20
"""Frames to keep are held from the look at the picture, so that nothing is decoded twice, up to this much."""


@dataclass(frozen=True)
class Asked:
    """What is wanted of one object.

    Attributes:
        frame_limit: most frames to keep, >= 1.
        policy: of the site.
        layouts: entries of the catalogue that people approved, the latest first.
    """

    frame_limit: int
    policy: Policy = USUAL
    layouts: tuple[Layout, ...] = ()


def examine(
    ds: Dataset, instance: Instance, asked: Asked, heard: Callable[[], bool]
) -> tuple[CropOutcome, Kept | None]:
    """Decide and crop.

    Args:
        ds: with PixelData (bytes or an open stream at its first byte) and file meta information.
        instance: the facts of `ds`.
        asked: what is wanted.
        heard: whether a video decoder complained since it was last asked.

    Returns:
        The outcome, and the kept pixels when its status is "cropped".

    Raises:
        NotAnalysable: its reason says why nothing could be decided.
    """
    _admit(ds, instance)
    vote, layout = region_vote(ds), layout_of(ds, asked.layouts)
    size, frames = (instance.rows, instance.columns), instance.frames
    if vote.reason is not None:  # decided without decoding a pixel
        return decide(vote, layout, None, size=size, frames=frames), None
    numbers = sampled_frames(frames, asked.frame_limit)
    is_small = len(numbers) * instance.rows * instance.columns * int(ds.get("SamplesPerPixel") or 3) <= HELD_BYTES
    look, held = _Look(frames), {}
    for number, frame in _decoded(ds, {*look.numbers, *(numbers if is_small else ())}, heard):
        look.at(number, frame)
        if is_small and number in numbers:
            held[number] = frame
    outcome = decide(vote, layout, look.support(), size=size, frames=frames, single=look.single)
    if outcome.status != "cropped":
        return outcome, None
    check = TextCheck(mask_of(outcome.keep, *size), identity_words(ds))
    source = held.values() if is_small else (frame for _, frame in _decoded(ds, numbers, heard))
    pixels = kept(_watched(source, check), numbers, outcome)
    return _without_text(pixels, check, asked.policy)


def _admit(ds: Dataset, instance: Instance) -> None:
    if instance.is_own_result:
        raise NotAnalysable(reason="own_result")
    if not instance.is_ultrasound:
        raise NotAnalysable(reason="not_ultrasound")
    if ds.file_meta.TransferSyntaxUID not in PLUGINS:
        raise UnsupportedPixels(reason="unsupported_syntax")
    if not instance.rows or not instance.columns or "PixelData" not in ds:
        raise UnsupportedPixels("no pixels")


def _watched(frames: Iterable[Frame], check: TextCheck) -> Iterator[Frame]:
    for frame in frames:
        check.look(frame)
        yield frame


def _without_text(pixels: Kept, check: TextCheck, policy: Policy) -> tuple[CropOutcome, Kept | None]:
    """The kept pixels with the boxes painted black that the text check allows, or the refusal it asks for."""
    found, outcome = check.vote(policy), pixels.outcome
    votes = (outcome.votes or {}) | {"text": found.seen}
    if found.reason is not None:
        size = outcome.rows, outcome.columns, outcome.frames
        return CropOutcome("quarantined", found.reason, *size, votes=votes), None
    done = blanked(pixels, found.blanked, votes)
    return done.outcome, done


def _decoded(ds: Dataset, numbers: Iterable[int], heard: Callable[[], bool]) -> Iterator[tuple[int, Frame]]:
    """Frames with their one-based numbers, ascending; a video in which damage was concealed ends as an error."""
    heard()  # what was said of the object before does not count
    wanted = sorted(numbers)
    yield from zip(wanted, iter_frames(ds, wanted), strict=True)
    if ds.file_meta.TransferSyntaxUID in VIDEO and heard():
        raise UnsupportedPixels("the video decoder found damage")


class _Look:
    """The picture over time, and for a clip in its first, middle and last frame on their own."""

    def __init__(self, frames: int) -> None:
        self.numbers = sorted({round(at) for at in np.linspace(1, frames, LOOKED_AT)})
        self.single: list[Support | None] = []
        self._on_their_own = {1, self.numbers[len(self.numbers) // 2], frames} if frames > 1 else set()
        self._brightest: npt.NDArray[np.uint8] | None = None

    def at(self, number: int, frame: Frame) -> None:
        """Take in one frame, if it is one of those looked at."""
        if number not in self.numbers:
            return
        grey = np.ascontiguousarray(frame.max(axis=2))
        self._brightest = grey if self._brightest is None else np.maximum(self._brightest, grey)
        if number in self._on_their_own:
            self.single.append(picture_support(grey))

    def support(self) -> Support | None:
        """The picture in the brightest value of each pixel."""
        return None if self._brightest is None else picture_support(self._brightest)
