"""The report as a DICOM Structured Report, with measurements or as Basic Text: content and source headers become one
data set, the same bytes each time.

highdicom builds it; what highdicom reads from the clock, leaves out or cannot copy is set afterwards. The SOP class
is chosen before, by what the destination accepts. What this is not: a document that anybody verified.
"""

from collections.abc import Sequence

from highdicom.sr import Comprehensive3DSR, ComprehensiveSR, ContainerContentItem, EnhancedSR
from pydicom.dataset import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
)

from dicom_ai.errors import InputError
from dicom_ai.instance import OUR_MANUFACTURER, US_IMAGE
from dicom_ai.report import code
from dicom_ai.report.basic_text import basic_tree
from dicom_ai.report.content import Analysis, Reference, ReportContent
from dicom_ai.report.header import (
    MODEL_NAME,
    SERIES_NUMBER_SR,
    algorithm,
    content_moment,
    file_meta,
    scanner,
    set_equipment,
    set_times,
)
from dicom_ai.report.patient_study import CHARACTER_SET, copy_patient_and_study, decoded
from dicom_ai.report.tree import report_tree
from dicom_ai.report.uid import device_uid, result_uid
from dicom_ai.report.wording import completion, say

SR_CLASSES: tuple[str, ...] = (Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage)
"""In the order they are offered to a destination; the tree is the same in each."""

DOCUMENTS: tuple[str, ...] = (*SR_CLASSES, BasicTextSRStorage)
"""Every SOP class that `structured_report` builds."""

_BUILDERS: dict[str, type[Comprehensive3DSR | ComprehensiveSR | EnhancedSR]] = {
    Comprehensive3DSRStorage: Comprehensive3DSR,
    ComprehensiveSRStorage: ComprehensiveSR,
    EnhancedSRStorage: EnhancedSR,
    BasicTextSRStorage: EnhancedSR,  # the library has none for text; the header is the same, the tree holds only text
}


def report_uid(analysis: Analysis, sop_class: str, variant: str = "") -> str:
    """SOP Instance UID of the report of an analysis in one of `DOCUMENTS`.

    Args:
        analysis: whose report it is.
        sop_class: of the document.
        variant: what sets it apart from the report that refers to everything that was made; "" for that one.
    """
    return result_uid(analysis.namespace, analysis.key, f"sr {variant}".strip(), sop_class, 0)


def structured_report(
    content: ReportContent,
    evidence: Sequence[Dataset],
    captures: Sequence[Dataset],
    *,
    sop_class: str,
    variant: str = "",
) -> Dataset:
    """Build the report.

    Args:
        content: what it says.
        evidence: headers (no pixels needed) of every image that `content` names, analysed or skipped; one study.
        captures: headers of the captures that `content` names.
        sop_class: one of `DOCUMENTS`.
        variant: of `report_uid`.

    Returns:
        A data set with File Meta Information, Explicit VR Little Endian.

    Raises:
        InputError: the headers are of more than one patient or study.
        CardMismatch: a class of the model is not the one of the reviewed code table.
        ValueError: a header is missing, or a region or frame lies outside its image.
    """
    analysis = content.analysis
    for stated in analysis.model.classes:
        code.class_terms(stated.id, stated.value, stated.scheme)
    headers = headers_of(content, evidence)
    shown = [link.reference.sop_instance_uid for image in content.images for link in image.captures]
    pictures = _found(shown, captures)
    built = _BUILDERS[sop_class](
        evidence=[_stand_in(h) for h in (*headers, *pictures)],
        content=_tree(content, headers, sop_class),
        series_instance_uid=result_uid(analysis.namespace, analysis.key, "sr-series", "", 0),
        series_number=SERIES_NUMBER_SR,
        sop_instance_uid=report_uid(analysis, sop_class, variant),
        instance_number=analysis.revision,
        manufacturer=OUR_MANUFACTURER,
        is_complete=content.is_complete,
        specific_character_set=CHARACTER_SET,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    # A plain data set: the builder's class keeps a second copy of the tree that later steps would not reach.
    report = Dataset()
    report.update(built)
    report.SOPClassUID = sop_class
    _finish(report, content, [*headers, *pictures])
    report.file_meta = file_meta(report, ExplicitVRLittleEndian)
    report.preamble = b"\0" * 128
    return report


def _tree(content: ReportContent, headers: Sequence[Dataset], sop_class: str) -> ContainerContentItem:
    places = [place_of(h, content.analysis.language) for h in headers]
    if sop_class == BasicTextSRStorage:
        return basic_tree(content, places)
    sizes = {str(h.SOPInstanceUID): (int(h.get("Rows") or 0), int(h.get("Columns") or 0)) for h in headers}
    return report_tree(content, sizes, places)


def headers_of(content: ReportContent, evidence: Sequence[Dataset]) -> list[Dataset]:
    """The headers of the images that `content` names, in its order, so that the order of the argument does not matter.

    Raises:
        InputError: they are of more than one patient or study.
        ValueError: one is missing, or the content names none.
    """
    named = [image.sop_instance_uid for image in content.images] + [s.sop_instance_uid for s in content.skipped]
    headers = _found(named, evidence)
    if not headers:
        raise ValueError("a report needs at least one image, analysed or skipped")
    if (
        len({str(decoded(h, ("PatientID",)).get("PatientID") or "") for h in headers}) > 1
        or len({h.StudyInstanceUID for h in headers}) > 1
    ):
        raise InputError("the images are not of one patient and one study", reason="mixed_patient")
    return headers


def _found(uids: Sequence[str], headers: Sequence[Dataset]) -> list[Dataset]:
    by_uid = {str(h.SOPInstanceUID): h for h in headers}
    missing = [uid for uid in uids if uid not in by_uid]
    if missing:
        raise ValueError(f"{len(missing)} of {len(uids)} headers are missing")
    return [by_uid[uid] for uid in uids]


def place_of(header: Dataset, language: str) -> str:
    """Where a reader finds an image: its numbers, in words."""
    numbers = {"series": header.get("SeriesNumber"), "instance": header.get("InstanceNumber")}
    return say("place", language, **{name: "?" if n in (None, "") else n for name, n in numbers.items()})


def _stand_in(header: Dataset) -> Dataset:
    """What the builder needs of a header.

    It knows no retired ultrasound class, refuses values some scanners write and copies the identity its own way;
    all three are set afterwards.
    """
    item = Dataset()
    item.SOPClassUID = US_IMAGE
    item.SOPInstanceUID = str(header.SOPInstanceUID)
    item.StudyInstanceUID = str(header.StudyInstanceUID)
    item.SeriesInstanceUID = str(header.SeriesInstanceUID)
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
        setattr(item, keyword, "")
    for keyword in ("AccessionNumber", "StudyID", "StudyDate", "StudyTime"):
        setattr(item, keyword, "")
    return item


def _finish(report: Dataset, content: ReportContent, referenced: Sequence[Dataset]) -> None:
    """Set what the builder left out, took from the clock or from the stand-ins."""
    analysis, source = content.analysis, referenced[0]
    copy_patient_and_study(source, report)
    set_times(report, analysis, source)
    set_equipment(report, analysis)
    report.SeriesDescription = say("sr_series", analysis.language, task=say(analysis.model.task, analysis.language))
    report.CompletionFlagDescription = completion(content)
    procedure = code.PERFORMED_PROCEDURES[analysis.model.task]
    report.PerformedProcedureCodeSequence = [procedure.concept()]
    classes = {str(h.SOPInstanceUID): h.SOPClassUID for h in referenced}
    for study in report.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                item.ReferencedSOPClassUID = classes[item.ReferencedSOPInstanceUID]
    report.AuthorObserverSequence = [_author(analysis)]
    report.CodingSchemeIdentificationSequence = [_scheme()]
    library = report.ContributingEquipmentSequence[-1]
    library.ContributionDateTime = f"{content_moment(analysis, source):%Y%m%d%H%M%S}"
    equipment = [scanner(source), library, algorithm(analysis, source)]
    report.ContributingEquipmentSequence = [item for item in equipment if item is not None]
    if content.predecessor is not None:
        report.PredecessorDocumentsSequence = [_predecessor(content.predecessor, str(source.StudyInstanceUID))]


def _author(analysis: Analysis) -> Dataset:
    item = Dataset()
    item.ObserverType = "DEV"
    item.StationName = analysis.station
    item.DeviceUID = device_uid(analysis.namespace, analysis.model.card_digest)
    item.Manufacturer = OUR_MANUFACTURER
    item.ManufacturerModelName = MODEL_NAME
    item.InstitutionName = ""
    item.InstitutionCodeSequence = []
    return item


def _scheme() -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator = code.SCHEME
    item.CodingSchemeName = code.SCHEME_NAME
    item.CodingSchemeResponsibleOrganization = code.SCHEME_ORGANISATION
    return item


def _predecessor(predecessor: Reference, study_uid: str) -> Dataset:
    instance = Dataset()
    instance.ReferencedSOPClassUID = predecessor.sop_class_uid
    instance.ReferencedSOPInstanceUID = predecessor.sop_instance_uid
    series = Dataset()
    series.SeriesInstanceUID = predecessor.series_instance_uid
    series.ReferencedSOPSequence = [instance]
    study = Dataset()
    study.StudyInstanceUID = study_uid
    study.ReferencedSeriesSequence = [series]
    return study
