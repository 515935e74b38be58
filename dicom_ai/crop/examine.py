"""One data set through the crop, top to bottom: gate, witnesses, decision, text, emission.

What this is not: the process it runs in (`child`), or any of the judgements themselves.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pydicom.dataset import Dataset

from dicom_ai.crop.catalogue import Layout, layouts_of
from dicom_ai.crop.colour import Frame
from dicom_ai.crop.decision import decide, needs_pixels
from dicom_ai.crop.emit import blanked, kept
from dicom_ai.crop.evidence import Grey, brightest_channel, evidence_of
from dicom_ai.crop.frames import VIDEO, iter_frames
from dicom_ai.crop.gate import admit, require_screen
from dicom_ai.crop.policy import USUAL, Policy
from dicom_ai.crop.region import region_vote
from dicom_ai.crop.steady import steadiness
from dicom_ai.crop.support import Support, picture_support
from dicom_ai.crop.text import TextCheck
from dicom_ai.crop.touching import without_strokes
from dicom_ai.crop.words import identity_words
from dicom_ai.errors import UnsupportedPixels
from dicom_ai.instance import Instance
from dicom_ai.kept import Box, CropOutcome, Kept, mask_of, sampled_frames

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
    admit(ds, instance)
    vote, known = region_vote(ds), layouts_of(ds, asked.layouts) or (None,)
    size, frames = (instance.rows, instance.columns), instance.frames
    if not _is_known(ds, known[0], asked.policy):
        votes = {"regions": vote.row(), "layout": None, "support": None}
        return CropOutcome("quarantined", "unknown_model", *size, frames, votes=votes), None
    if not needs_pixels(vote, known[0]):  # decided without decoding a pixel
        return decide(vote, known[0], None, size=size, frames=frames), None
    numbers = sampled_frames(frames, asked.frame_limit)
    is_small = len(numbers) * instance.rows * instance.columns * int(ds.get("SamplesPerPixel") or 3) <= HELD_BYTES
    look, held = _Look(frames), {}
    screens = _Screens(ds, vote.boxes, heard)
    for number, frame in screens.decoded({*look.numbers, *(numbers if is_small else ())}):
        look.at(number, frame)
        if is_small and number in numbers:
            held[number] = frame
    support = look.support()
    single = look.single(support)
    outcomes = [decide(vote, one, support, size=size, frames=frames, single=single) for one in known]
    outcome = next((one for one in outcomes if one.status == "cropped"), outcomes[0])
    if outcome.status != "cropped":
        return outcome, None
    keep = mask_of(outcome.keep, *size)
    outcome, keep = without_strokes(outcome, keep, look.brightest, look.steps(support))
    if outcome.status != "cropped":
        return outcome, None
    check = TextCheck(keep, identity_words(ds))
    source = held.values() if is_small else (frame for _, frame in screens.decoded(numbers))
    pixels = kept(_watched(source, check), numbers, outcome, keep)
    return _without_text(pixels, check, asked.policy)


def _is_known(ds: Dataset, layout: Layout | None, policy: Policy) -> bool:
    """Whether anything may be decided for this device without a person; one that names itself nowhere is nobody's."""
    if layout is not None:
        return True
    is_named = any(str(ds.get(keyword) or "").strip(" \0") for keyword in ("Manufacturer", "ManufacturerModelName"))
    return is_named and policy.unlisted == "witnesses"


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


class _Screens:
    """The frames of one object, each looked at as a screen before anything else sees it."""

    def __init__(self, ds: Dataset, boxes: Sequence[Box], heard: Callable[[], bool]) -> None:
        self._ds, self._boxes, self._heard = ds, boxes, heard

    def decoded(self, numbers: Iterable[int]) -> Iterator[tuple[int, Frame]]:
        """Frames with their one-based numbers, ascending; a video in which damage was concealed ends as an error."""
        self._heard()  # what was said of the object before does not count
        wanted = sorted(numbers)
        for number, frame in zip(wanted, iter_frames(self._ds, wanted), strict=True):
            require_screen(frame, self._boxes)
            yield number, frame
        if self._ds.file_meta.TransferSyntaxUID in VIDEO and self._heard():
            raise UnsupportedPixels("the video decoder found damage")


class _Look:
    """The picture over time, and how far the first, middle and last frame of a clip show it on their own."""

    def __init__(self, frames: int) -> None:
        self.numbers = sorted({round(at) for at in np.linspace(1, frames, LOOKED_AT)})
        self._on_their_own = {1, self.numbers[len(self.numbers) // 2], frames} if frames > 1 else set()
        self._own: list[Frame] = []
        self._first: Frame | None = None
        self._most: Frame | None = None

    def at(self, number: int, frame: Frame) -> None:
        """Take in one frame, if it is one of those looked at."""
        if number not in self.numbers:
            return
        if number in self._on_their_own:
            self._own.append(frame)
        if self._first is None:
            self._first = frame
        elif self._most is None:
            self._most = np.maximum(self._first, frame)
        else:  # channel by channel: a third of the time that the brightest channel of every frame would take
            np.maximum(self._most, frame, out=self._most)

    @cached_property
    def brightest(self) -> Grey:
        """The brightest value of each pixel, in any channel, over the frames looked at."""
        most = self._first if self._most is None else self._most
        assert most is not None  # noqa: S101 - the first frame is always looked at
        return brightest_channel(most)

    def steps(self, support: Support | None) -> Grey:
        """The range of grey levels in the blocks of `brightest`."""
        return evidence_of(self.brightest).steps if support is None else support.steps

    def support(self) -> Support | None:
        """The picture in the brightest value of each pixel."""
        return picture_support(self.brightest)

    def single(self, support: Support | None) -> list[float]:
        """How far each of the frames on their own agrees with the picture over time, 0..1."""
        return [] if support is None else [steadiness(frame, support) for frame in self._own]
