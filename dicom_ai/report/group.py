"""Measurement groups of one frame (TID 1410): what the model saw and how sure it was, then each region it found.

What this is not: the study's answer (`tree`). Each group has its own tracking UID, one region and one source frame.
"""

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    ContentItem,
    ContentSequence,
    FindingSite,
    GraphicTypeValues,
    ImageContentItem,
    ImageRegion,
    Measurement,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    RelationshipTypeValues,
    SourceImageForRegion,
    TrackingIdentifier,
)
from pydicom.uid import SecondaryCaptureImageStorage

from dicom_ai.instance import US_IMAGE
from dicom_ai.kept import Box, Polygon
from dicom_ai.report import code
from dicom_ai.report.code import class_terms
from dicom_ai.report.content import Analysis, CaptureLink, ImageContent, KeyFrame, ReportContent, shown_classes
from dicom_ai.report.uid import result_uid
from dicom_ai.report.wording import say


def measurement_groups(content: ReportContent, image: ImageContent, frame: KeyFrame, number: int) -> list[ContentItem]:
    """Build the group of a frame and one group per region found in it.

    Args:
        content: of the report.
        image: the analysed image.
        frame: one of its key frames.
        number: of the image in the report, from 1.
    """
    language, findings = content.analysis.language, content.findings
    where = where_in(number, frame, language)
    probabilities = dict(zip((f.class_id for f in findings), frame.probabilities, strict=True))
    shown = shown_classes(frame.probabilities, findings) if image.is_assessable else ()
    build = _Builder(content.analysis, image, frame)
    # A viewer reads the region of every group unguarded, so the frame's own group names the rectangle that the
    # model was shown.
    numbers = [_probability(class_id, p, language) for class_id, p in probabilities.items()]
    groups = [build.group((where, ""), shown[0] if shown else None, numbers, _rectangle(image.box))]
    count: dict[str, int] = {}
    for class_id, polygon in frame.regions:
        count[class_id] = k = count.get(class_id, 0) + 1
        label = say("track_region", language, where=where, name=class_terms(class_id).name(language), k=k)
        certainty = _in_percent(code.CERTAINTY.concept(), probabilities[class_id])
        groups.append(build.group((label, f"{class_id} {k}"), class_id, [certainty], polygon))
    return groups


def where_in(number: int, frame: KeyFrame, language: str) -> str:
    """What people call a frame: the number of its image in the report, and of the frame in a clip."""
    if frame.frame_number is None:
        return say("track", language, n=number)
    return say("track_frame", language, n=number, frame=frame.frame_number)


class _Builder:
    """Builds the groups of one frame."""

    def __init__(self, analysis: Analysis, image: ImageContent, frame: KeyFrame) -> None:
        self.analysis, self.image, self.frame = analysis, image, frame

    def group(
        self, tracking: tuple[str, str], class_id: str | None, numbers: list[Measurement], polygon: Polygon
    ) -> ContentItem:
        """One group: (readable identifier, what tells it from the others of the frame), class, numbers, region."""
        language, frame = self.analysis.language, self.frame
        label, what = tracking
        kind = f"tracking {self.image.sop_instance_uid} {frame.frame_number or 0} {what}"
        # Without the SOP class: the same finding keeps its UID whichever form the destination takes.
        uid = result_uid(self.analysis.namespace, self.analysis.key, kind, "", 0)
        site = class_terms(class_id).site if class_id else code.TASK_SITES[self.analysis.model.task]
        template = PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(uid=uid, identifier=label),
            referenced_region=self._region(polygon),
            finding_type=class_terms(class_id).finding.concept(language) if class_id else None,
            finding_sites=[FindingSite(site.concept(language))],
            algorithm_id=_algorithm(self.analysis),
            measurements=numbers,
        )
        item: ContentItem = template[0]  # type: ignore[assignment]
        link = illustrating(self.image, self.frame, class_id)
        if link is not None:
            item.ContentSequence.append(illustration(link, self.frame))
        return item

    def _region(self, polygon: Polygon) -> ImageRegion:
        points = np.asarray(polygon, dtype=np.float64)
        low, high = points.min(axis=0), points.max(axis=0)
        if (low < 0).any() or (high > (self.image.columns, self.image.rows)).any():
            raise ValueError("a region lies outside its image")
        if (points[0] != points[-1]).any():
            points = np.vstack([points, points[:1]])
        number = self.frame.frame_number
        if number is not None and not 1 <= number <= self.image.frames:
            raise ValueError("a key frame lies outside its clip")
        # Exactly one frame: viewers read the first of a list only.
        source = SourceImageForRegion(US_IMAGE, self.image.sop_instance_uid, None if number is None else [number])
        region = ImageRegion(GraphicTypeValues.POLYLINE, points, source)
        # Set afterwards: the builder refuses the retired ultrasound classes.
        region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPClassUID = self.image.sop_class_uid
        return region


def illustrating(image: ImageContent, frame: KeyFrame, class_id: str | None) -> CaptureLink | None:
    """The capture that shows a class on a frame, else another one of that frame; None when there is none."""
    shows = [link for link in image.captures if not link.frame_numbers or frame.frame_number in link.frame_numbers]
    return min(shows, key=lambda link: link.class_id != class_id, default=None)


def illustration(link: CaptureLink, frame: KeyFrame) -> ImageContentItem:
    """The reference to a capture: to its frame where it is a clip, to all of it where it is a still."""
    is_clip = link.reference.sop_class_uid != SecondaryCaptureImageStorage and frame.frame_number is not None
    frames = [link.frame_numbers.index(frame.frame_number) + 1] if is_clip else None
    return ImageContentItem(
        name=code.ILLUSTRATION.concept(),
        referenced_sop_class_uid=link.reference.sop_class_uid,
        referenced_sop_instance_uid=link.reference.sop_instance_uid,
        referenced_frame_numbers=frames,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )


def _algorithm(analysis: Analysis) -> AlgorithmIdentification:
    """TID 4019. Each parameter stays short: long ones are moved to an annex by text renderers."""
    model = analysis.model
    thresholds = [f"threshold[{c.value}]={100 * c.threshold:.2f} %" for c in model.classes]
    parameters = [
        f"weights={model.weights_digest[:16]}",
        f"card={model.card_digest[:16]}",
        *thresholds,
        f"crop={model.crop}",
        f"input={model.input_size}x{model.input_size} {model.resize}",
        f"frame_to_clip={model.frame_to_clip}",
        f"clip_to_study={model.clip_to_study}",
        f"assessable_from={model.assessable_from:.4f}",
    ]
    return AlgorithmIdentification(
        name=model.name,
        version=model.version,
        parameters=parameters,
        family=code.ARTIFICIAL_INTELLIGENCE.concept(),
    )


def _probability(class_id: str, probability: float, language: str) -> Measurement:
    terms = class_terms(class_id)
    measurement = _in_percent(terms.probability.concept(language), probability)
    finding = CodeContentItem(
        code.FINDING.concept(), terms.finding.concept(language), RelationshipTypeValues.HAS_CONCEPT_MOD
    )
    if "ContentSequence" not in measurement[0]:
        measurement[0].ContentSequence = ContentSequence()
    measurement[0].ContentSequence.append(finding)
    return measurement


def _in_percent(name: CodedConcept, probability: float) -> Measurement:
    value = round(100 * float(probability), 2)
    if not 0 <= value <= 100:
        raise ValueError("a probability is not within 0..1")
    measurement = Measurement(name, value, code.PERCENT.concept())
    # Always two decimals, as a text renderer prints what is written.
    measurement[0].MeasuredValueSequence[0].NumericValue = f"{value:.2f}"
    return measurement


def _rectangle(box: Box) -> Polygon:
    x0, y0, x1, y1 = (float(v) for v in box)
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0))
