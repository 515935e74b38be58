"""The content tree of the report (TID 1500): answers first, then the images, then the measurement groups (TID 1410).

`beginning` and `library` are what every form of the report has in common (`basic_text` is the other one).

Every container is SEPARATE: with CONTINUOUS, renderers print numbers without the names beside them. What this is
not: the header of the document (`structured`).
"""

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    ImageContentItem,
    LanguageOfContentItemAndDescendants,
    NumContentItem,
    ObserverContext,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from dicom_ai.instance import OUR_MANUFACTURER
from dicom_ai.report import code
from dicom_ai.report.code import Term, class_terms
from dicom_ai.report.content import ImageContent, ReportContent, Skipped
from dicom_ai.report.group import measurement_groups
from dicom_ai.report.header import MODEL_NAME
from dicom_ai.report.uid import device_uid
from dicom_ai.report.wording import comments, warning

_CONTAINS = RelationshipTypeValues.CONTAINS
_MODIFIES = RelationshipTypeValues.HAS_CONCEPT_MOD
_ACQUIRED = RelationshipTypeValues.HAS_ACQ_CONTEXT


def report_tree(content: ReportContent, sizes: dict[str, tuple[int, int]], places: list[str]) -> ContainerContentItem:
    """Build the root container.

    Args:
        content: of the report.
        sizes: (rows, columns) by SOP Instance UID of the images, analysed or not.
        places: where a reader finds each image (analysed ones first, then the skipped).

    Returns:
        The tree; every container SEPARATE, every SCOORD on one frame.
    """
    root = beginning(content, comments(content, places), template_id="1500")
    root.ContentSequence.append(library(content, sizes))
    if content.images:
        groups = _container(code.IMAGING_MEASUREMENTS)
        for number, image in enumerate(content.images, 1):
            for key_frame in image.key_frames:
                groups.ContentSequence.extend(measurement_groups(content, image, key_frame, number))
        root.ContentSequence.append(groups)
    separate(root)
    return root


def beginning(content: ReportContent, remarks: list[str], *, template_id: str | None) -> ContainerContentItem:
    """The root with language, observer, procedure and the answers; `remarks` stand under the answers."""
    root = ContainerContentItem(code.REPORT_TITLE.concept(), is_content_continuous=False, template_id=template_id)
    root.ContentSequence = ContentSequence()
    language = code.LANGUAGES[content.analysis.language].concept()
    root.ContentSequence.extend(LanguageOfContentItemAndDescendants(language))
    root.ContentSequence.extend(_observer(content))
    procedure = CodeContentItem(codes.DCM.ProcedureReported, code.PROCEDURE_REPORTED.concept(), _MODIFIES)
    root.ContentSequence.append(procedure)
    root.ContentSequence.append(_answers(content, remarks))
    return root


def _observer(content: ReportContent) -> ObserverContext:
    analysis = content.analysis
    device = DeviceObserverIdentifyingAttributes(
        uid=device_uid(analysis.namespace, analysis.model.card_digest),
        name=analysis.station,
        manufacturer_name=OUR_MANUFACTURER,
        model_name=f"{MODEL_NAME} {analysis.model.name} {analysis.model.version}",
        serial_number=analysis.serial,
    )
    return ObserverContext(codes.DCM.Device, device)


def _answers(content: ReportContent, remarks: list[str]) -> ContainerContentItem:
    language = content.analysis.language
    box = _container(code.QUALITATIVE_EVALUATIONS)
    box.ContentSequence.append(_comment(warning(content.analysis)))
    for finding in content.findings:
        name = class_terms(finding.class_id).finding.concept(language)
        state = code.STATES[finding.state].concept(language)
        box.ContentSequence.append(CodeContentItem(name, state, _CONTAINS))
    for line in remarks:
        box.ContentSequence.append(_comment(line))
    return box


def library(content: ReportContent, sizes: dict[str, tuple[int, int]] | None) -> ContainerContentItem:
    """The image library, one group. A viewer throws without one: with nothing analysed, it lists what was looked at.

    Args:
        content: of the report.
        sizes: as in `report_tree`; None leaves the numbers out, for a document that may hold none.
    """
    images: tuple[ImageContent | Skipped, ...] = content.images or content.skipped
    group = _container(code.IMAGE_LIBRARY_GROUP)
    for image in images:
        item = ImageContentItem(
            code.SOURCE.concept(), image.sop_class_uid, image.sop_instance_uid, relationship_type=_CONTAINS
        )
        item.ContentSequence = ContentSequence()
        modality = CodeContentItem(code.MODALITY.concept(), code.ULTRASOUND.concept(), _ACQUIRED)
        item.ContentSequence.append(modality)
        for name, value in _size(image, sizes):
            number = NumContentItem(name.concept(), value, code.PIXELS.concept(), relationship_type=_ACQUIRED)
            number.MeasuredValueSequence[0].NumericValue = str(value)
            item.ContentSequence.append(number)
        group.ContentSequence.append(item)
    box = _container(code.IMAGE_LIBRARY)
    box.ContentSequence.append(group)
    return box


def _size(image: ImageContent | Skipped, sizes: dict[str, tuple[int, int]] | None) -> list[tuple[Term, int]]:
    if sizes is None:
        return []
    rows, columns = sizes[image.sop_instance_uid]
    return [(code.PIXEL_ROWS, rows), (code.PIXEL_COLUMNS, columns)]


def _container(name: Term) -> ContainerContentItem:
    item = ContainerContentItem(name.concept(), is_content_continuous=False, relationship_type=_CONTAINS)
    item.ContentSequence = ContentSequence()
    return item


def _comment(text: str) -> TextContentItem:
    return TextContentItem(code.COMMENT.concept(), text, _CONTAINS)


def separate(item: Dataset) -> None:
    """Set every container below SEPARATE, the item too."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence", []):
        separate(child)
