"""What a reader says of the findings of an AI report, and the measurement groups (TID 1410) that carry it.

An assessed group is the AI's own, repeated under its tracking UID, with the reader's word before everything else. A
number of the AI never stands under a finding of the reader's without the name of what it is the probability of. What
this is not: the document around the groups (`verdict`).
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import numpy as np
from highdicom.sr import (
    CodeContentItem,
    ContentSequence,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    NumContentItem,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    RelationshipTypeValues,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset

from dicom_ai.instance import MULTI_FRAME_CLASSES, US_IMAGE
from dicom_ai.kept import Polygon
from dicom_ai.report import code, find
from dicom_ai.report.code import CLASSES, Term
from dicom_ai.report.wording import say

Verdict = Literal["ACCEPTED", "MODIFIED", "REJECTED"]
_CONTAINS = RelationshipTypeValues.CONTAINS
_MODIFIES = RelationshipTypeValues.HAS_CONCEPT_MOD
_BEFORE_THE_WORD = ("112039", "112040")


@dataclass(frozen=True)
class Assessment:
    """What a reader says of one group of an AI report.

    Attributes:
        tracking_uid: of the group.
        class_id: the reader's class, of MODIFIED only; None: the AI's stands.
        region: the reader's outline, of MODIFIED only, full-frame pixels; None: the AI's stands.
        reason: text of the reader, may be empty.
    """

    tracking_uid: str
    verdict: Verdict
    class_id: str | None = None
    region: Polygon | None = None
    reason: str = ""


@dataclass(frozen=True)
class Missed:
    """A finding that the AI did not report.

    Attributes:
        image: SOP Instance UID of an image of the report.
        frame_number: one-based, None for a still.
        region: outline, full-frame pixels.
    """

    image: str
    frame_number: int | None
    class_id: str
    region: Polygon
    reason: str = ""


@dataclass(frozen=True)
class Library:
    """The images of a report: SOP Instance UID -> SOP class, and -> (rows, columns)."""

    classes: Mapping[str, str]
    sizes: Mapping[str, tuple[int, int]]

    @classmethod
    def of(cls, report: Dataset) -> "Library":
        """Read it from a report."""
        classes, sizes = {}, {}
        for item in find.walk(report):
            if item.get("ValueType") == "IMAGE" and find.below(item, code.PIXEL_ROWS):
                reference = item.ReferencedSOPSequence[0]
                uid = str(reference.ReferencedSOPInstanceUID)
                classes[uid] = str(reference.ReferencedSOPClassUID)
                sizes[uid] = _pixels(item, code.PIXEL_ROWS), _pixels(item, code.PIXEL_COLUMNS)
        return cls(classes, sizes)


def assessed_group(group: Dataset, said: Assessment, library: Library, language: str) -> Dataset:
    """The AI's group with the reader's word in it.

    Args:
        group: of the AI report; left alone.
        said: about this group.
        library: of the report.
        language: "en" or "zh".

    Raises:
        ValueError: the assessment contradicts itself, names no class of ours, or its region leaves the image.
    """
    _require_sense(said)
    group = deepcopy(group)
    assessment = code.ASSESSMENTS[said.verdict].concept(language)
    word: list[Dataset] = [CodeContentItem(code.AI_ASSESSMENT.concept(language), assessment, _CONTAINS)]
    if said.class_id is not None:
        word += _another_class(group, said.class_id, language)
    if said.region is not None:
        _another_region(group, said.region, library)
    word += _reason(said.reason)
    items = find.children(group)
    at = sum(item.ConceptNameCodeSequence[0].CodeValue in _BEFORE_THE_WORD for item in items)
    group.ContentSequence = [*items[:at], *word, *items[at:]]
    return group


def missed_group(missed: Missed, number: int, uid: str, library: Library, language: str) -> Dataset:
    """A group of the reader's own: no number and no algorithm stands in it.

    Args:
        missed: what it is.
        number: from 1, in the document.
        uid: its tracking UID.
        library: of the report.
        language: "en" or "zh".

    Raises:
        ValueError: the image is none of the report's, the class none of ours, or the region leaves the image.
    """
    if missed.image not in library.sizes:
        raise ValueError("a missed finding is on an image that the AI report does not name")
    terms = _terms(missed.class_id)
    points = _closed(missed.region, library.sizes[missed.image])
    is_clip = library.classes[missed.image] in MULTI_FRAME_CLASSES
    if is_clip != (missed.frame_number is not None and missed.frame_number >= 1):
        raise ValueError("a missed finding on a clip names its frame, from 1; one on a still names none")
    frames = None if missed.frame_number is None else [missed.frame_number]
    region = ImageRegion(GraphicTypeValues.POLYLINE, points, SourceImageForRegion(US_IMAGE, missed.image, frames))
    # Set afterwards: the builder refuses the retired ultrasound classes.
    region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPClassUID = library.classes[missed.image]
    label = say("missed", language, name=terms.name(language), k=number)
    template = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=uid, identifier=label),
        referenced_region=region,
        finding_type=terms.finding.concept(language),
        finding_sites=[FindingSite(terms.site.concept(language))],
    )
    item: Dataset = template[0]
    item.ContinuityOfContent = "SEPARATE"
    item.ContentSequence.extend(_reason(missed.reason))
    return item


def _require_sense(said: Assessment) -> None:
    has_own = said.class_id is not None or said.region is not None
    if said.verdict not in code.ASSESSMENTS:
        raise ValueError(f"{said.verdict} is no verdict")
    if has_own != (said.verdict == "MODIFIED"):
        raise ValueError("a modified finding names the reader's class or region, and no other does")


def _another_class(group: Dataset, class_id: str, language: str) -> list[Dataset]:
    """Put the reader's class in the place of the AI's; give the item that still names the AI's."""
    terms, theirs = _terms(class_id), find.class_found(group, code.FINDING)
    if theirs == class_id:
        raise ValueError("the reader's class is the AI's; accept the finding, or change its region")
    mine = CodeContentItem(code.FINDING.concept(), terms.finding.concept(language), _CONTAINS)
    left = [item for item in find.children(group) if not find.is_called(item, code.FINDING)]
    at = 1 + max(i for i, item in enumerate(left) if item.ConceptNameCodeSequence[0].CodeValue in _BEFORE_THE_WORD)
    group.ContentSequence = [*left[:at], mine, *(_said_of(item, theirs, language) for item in left[at:])]
    for site in find.below(group, code.FINDING_SITE):
        site.ConceptCodeSequence = [terms.site.concept(language)]
    if theirs is None:
        return []
    named = CLASSES[theirs].finding.concept(language)
    return [CodeContentItem(code.AI_FINDING.concept(language), named, _CONTAINS)]


def _said_of(item: Dataset, class_id: str | None, language: str) -> Dataset:
    """The certainty of the AI's finding becomes the probability of its class by name; other items stay."""
    if class_id is None or not find.is_called(item, code.CERTAINTY):
        return item
    terms = CLASSES[class_id]
    value = item.MeasuredValueSequence[0].NumericValue
    number = NumContentItem(
        terms.probability.concept(language), float(value), code.PERCENT.concept(), relationship_type=_CONTAINS
    )
    number.MeasuredValueSequence[0].NumericValue = str(value)
    number.ContentSequence = ContentSequence(
        [CodeContentItem(code.FINDING.concept(), terms.finding.concept(language), _MODIFIES)]
    )
    return number


def _another_region(group: Dataset, region: Polygon, library: Library) -> None:
    scoord = find.region(group)
    if scoord is None or (size := library.sizes.get(find.source(scoord)[0])) is None:
        raise ValueError("the region of this group lies on no image of the report")
    scoord.GraphicType = "POLYLINE"
    scoord.GraphicData = [float(value) for value in _closed(region, size).ravel()]


def _closed(region: Polygon, size: tuple[int, int]) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    points = np.asarray(region, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
        raise ValueError("a region has at least three points")
    if (points < 0).any() or (points > (size[1], size[0])).any():
        raise ValueError(f"a region lies outside its image of {size[1]} columns and {size[0]} rows")
    return points if (points[0] == points[-1]).all() else np.vstack([points, points[:1]])


def _terms(class_id: str) -> code.ClassTerms:
    if class_id not in CLASSES:
        raise ValueError(f"{class_id} is no class; there are {', '.join(CLASSES)}")
    return CLASSES[class_id]


def _reason(text: str) -> list[Dataset]:
    return [TextContentItem(code.COMMENT.concept(), text.strip(), _CONTAINS)] if text.strip() else []


def _pixels(item: Dataset, term: Term) -> int:
    return int(float(find.below(item, term)[0].MeasuredValueSequence[0].NumericValue))
