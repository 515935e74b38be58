"""A case becomes pictures and report content: one capture per image and class shown, then what the report says.

The glue between scores and the report stage. What this is not: the report itself; its SOP class is chosen by the
destination, and `structured` builds it from the content made here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.dataset import Dataset

from dicom_ai.analysis import Analyst, Case, Examined, Heat
from dicom_ai.finding import ImageScore, image_score, study_findings
from dicom_ai.headers import header
from dicom_ai.kept import Kept
from dicom_ai.mapping import CropWindow
from dicom_ai.report.capture import Shown, capture
from dicom_ai.report.content import (
    CaptureLink,
    ImageContent,
    KeyFrame,
    Reference,
    ReportContent,
    Skipped,
    heat_classes,
    key_frames,
    shown_classes,
)
from dicom_ai.report.header import part10
from dicom_ai.report.legend import legend, plain_legend
from dicom_ai.report.overlay import full_frames
from dicom_ai.report.patient_study import require_readable
from dicom_ai.report.region import contours

Pixels = Callable[[Examined], tuple[Kept, Heat]]
"""Gives the kept pixels and the heat of a member, from wherever they are."""


@dataclass(frozen=True)
class Picture:
    """A finished capture: its UIDs and the bytes of its Part 10 file."""

    uid: str
    sop_class: str
    part10: bytes
    ds: Dataset


class Reporter:
    """Makes the pictures of a case one after another, then the content that refers to them."""

    def __init__(self, analyst: Analyst, case: Case, model: str) -> None:
        """Pool the scores; nothing is drawn yet."""
        self._case, self._model = case, model
        self._rules = analyst.installed(model).rules
        self._analysis = analyst.head(case, model)
        scored = [(one, self._score(one)) for one in case.members if one.frames]
        self._scored = scored
        self._findings = study_findings([score for _, score in scored], self._rules)
        self._images: list[ImageContent] = []

    @property
    def key(self) -> str:
        """The analysis key."""
        return self._analysis.key

    def pictures(self, pixels: Pixels, path: Callable[[str], Path]) -> Iterator[Picture]:
        """Draw the captures; one image's pixels are in memory at a time.

        Args:
            pixels: gives kept pixels and heat of a member.
            path: gives the stored file of a digest.

        Raises:
            UnreadableIdentity: of a member; then nothing may be reported of the case.
        """
        for one in self._case.members:  # also of those without a picture: the report carries one of these identities
            require_readable(header(path(one.digest)))
        index = 0
        self._images.clear()
        for member, score in self._scored:
            source = header(path(member.digest))
            kept, heat = pixels(member)
            links = []
            for class_id in heat_classes(score, self._findings, self._rules):
                picture = self._picture(source, kept, heat, (score, class_id, index))
                index += 1
                yield picture
                links.append(self._link(picture, kept, member, class_id))
            self._images.append(self._content(member, score, kept, heat, tuple(links)))

    def content(self) -> ReportContent:
        """What the report says; call it when `pictures` is exhausted."""
        skipped = tuple(
            Skipped(one.instance.sop_class_uid, one.instance.sop_instance_uid, one.outcome.reason or "decode_failed")
            for one in self._case.members
            if not one.frames
        )
        return ReportContent(self._analysis, self._findings, tuple(self._images), skipped)

    def _score(self, member: Examined) -> ImageScore:
        return image_score(member.instance.sop_instance_uid, member.frames, self._rules)

    def _picture(self, source: Dataset, kept: Kept, heat: Heat, what: tuple[ImageScore, str | None, int]) -> Picture:
        score, class_id, index = what
        blocks = legend(
            self._analysis,
            self._findings,
            score.probabilities,
            class_id=class_id,
            is_assessable=score.is_assessable,
        )
        warm = heat.get(self._rules.class_ids.index(class_id)) if class_id else None
        rendering = self._analysis.rendering
        beside = plain_legend(self._analysis) if rendering.is_beside(class_id) else None
        frames = full_frames(kept, warm, blocks, colour_map=rendering.colours, beside=beside)
        shown = Shown(frames, kept.frame_numbers, class_id, index, CropWindow.of(kept.outcome).box)
        ds = capture(self._analysis, source, shown)
        return Picture(str(ds.SOPInstanceUID), str(ds.SOPClassUID), part10(ds), ds)

    def _link(self, picture: Picture, kept: Kept, member: Examined, class_id: str | None) -> CaptureLink:
        reference = Reference(picture.sop_class, picture.uid, str(picture.ds.SeriesInstanceUID))
        return CaptureLink(reference, class_id, kept.frame_numbers if member.outcome.frames > 1 else ())

    def _content(
        self, member: Examined, score: ImageScore, kept: Kept, heat: Heat, links: tuple[CaptureLink, ...]
    ) -> ImageContent:
        outcome, instance = member.outcome, member.instance
        if outcome.box is None:
            raise ValueError("a cropped outcome has a box")
        numbers = key_frames(score, self._findings, self._rules)
        frames = tuple(self._key_frame(score, number, kept, heat) for number in numbers)
        if outcome.frames == 1:
            frames = tuple(replace(frame, frame_number=None) for frame in frames)
        return ImageContent(
            sop_class_uid=instance.sop_class_uid,
            sop_instance_uid=instance.sop_instance_uid,
            frames=outcome.frames,
            analysed_frames=len(member.frames),
            rows=outcome.rows,
            columns=outcome.columns,
            box=outcome.box,
            is_assessable=score.is_assessable,
            probabilities=score.probabilities,
            key_frames=frames,
            captures=links,
        )

    def _key_frame(self, score: ImageScore, number: int, kept: Kept, heat: Heat) -> KeyFrame:
        position = kept.frame_numbers.index(number)
        probabilities = score.frames[position].probabilities
        shown = shown_classes(probabilities, self._findings) if score.is_assessable else ()
        box = kept.outcome.box
        regions = [
            (class_id, polygon)
            for class_id in shown
            if class_id != "normal"  # has no place in the picture
            and box is not None
            and (warm := heat.get(self._rules.class_ids.index(class_id))) is not None
            for polygon in contours(warm[position], box)
        ]
        return KeyFrame(number, probabilities, tuple(regions))
