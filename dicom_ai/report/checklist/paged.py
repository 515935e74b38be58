"""Point 12 for the one-page forms of a report: a Secondary Capture without identity, an Encapsulated PDF with it.

What this is not: a look at what stands on the page; that is shown where its pixels are at hand.
"""

from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from dicom_ai.instance import OUR_MANUFACTURER
from dicom_ai.report.checklist.complaint import Complaint
from dicom_ai.report.pages import PAGE_TYPE, PAGES

_COMMON: dict[str, str | None] = {
    "Manufacturer": OUR_MANUFACTURER,
    "RecognizableVisualFeatures": "NO",
    "ContentQualification": "RESEARCH",
    "ConversionType": None,
    "SeriesNumber": None,
    "ContributingEquipmentSequence": None,
}
_DOCUMENT: dict[str, str | None] = {
    "Modality": "DOC",
    "BurnedInAnnotation": "YES",  # the patient stands on the page
    "VerificationFlag": "UNVERIFIED",
    "MIMETypeOfEncapsulatedDocument": "application/pdf",
    "DocumentTitle": None,
    "ConceptNameCodeSequence": None,
    "SourceInstanceSequence": None,
    "EncapsulatedDocument": None,
}
_CAPTURE: dict[str, str | None] = {
    "Modality": "OT",
    "BurnedInAnnotation": "NO",  # nothing on the page identifies anybody
    "PhotometricInterpretation": "RGB",
    "DerivationDescription": None,
    "ImageComments": None,
    "BodyPartExamined": None,  # without one, Laterality is required
    "SourceImageSequence": None,
    "ReferencedSeriesSequence": None,
}
_NEVER = ("SequenceOfUltrasoundRegions", "FrameOfReferenceUID", "PixelSpacing", "NumberOfFrames")
_SAME = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "AccessionNumber", "StudyID")


def is_page(ds: Dataset) -> bool:
    """Whether an object of ours is the page of a report."""
    kind = ds.get("SOPClassUID")
    return kind == EncapsulatedPDFStorage or (kind in PAGES and PAGE_TYPE in list(ds.get("ImageType") or []))


def page(ds: Dataset, others: Mapping[str, Dataset]) -> Iterator[Complaint]:
    """Point 12.

    Args:
        ds: header of a page.
        others: data sets by SOP Instance UID, its sources among them if it is to be compared with.
    """
    is_pdf = ds.get("SOPClassUID") == EncapsulatedPDFStorage
    for keyword, wanted in (_COMMON | (_DOCUMENT if is_pdf else _CAPTURE)).items():
        if not ds.get(keyword) or (wanted is not None and ds.get(keyword) != wanted):
            yield Complaint(12, f"{keyword} is absent, empty or not as it must be")
    stated = str(ds.get("SeriesDescription") or "")
    if not any(all(word in stated for word in words) for words in (("AI", "unverified"), ("AI", "未经审核"))):
        yield Complaint(12, "the series does not say that it is of an AI and unverified")
    if any(keyword in ds for keyword in _NEVER):
        yield Complaint(12, "a page carries geometry or frames")
    yield from _file(ds) if is_pdf else _image(ds)
    for keyword in ("SourceImageSequence", "SourceInstanceSequence"):
        for source in ds.get(keyword) or []:
            known = others.get(str(source.get("ReferencedSOPInstanceUID") or ""))
            if known is not None and any(_plain(ds, name) != _plain(known, name) for name in _SAME):
                yield Complaint(12, "a page is of another patient or study than its source")


def _file(ds: Dataset) -> Iterator[Complaint]:
    content = bytes(ds.get("EncapsulatedDocument") or b"")
    length = int(ds.get("EncapsulatedDocumentLength") or 0)
    if not content.startswith(b"%PDF-") or not content[:length].rstrip().endswith(b"%%EOF"):
        yield Complaint(12, "the document is no whole PDF")
    if not 0 <= len(content) - length <= 1:
        yield Complaint(12, "the document is not as long as it says")
    title = str(ds.get("DocumentTitle") or "")
    if any(value in title for value in (_plain(ds, "PatientID"), _plain(ds, "PatientName")) if value):
        yield Complaint(12, "the title of the document names the patient")


def _image(ds: Dataset) -> Iterator[Complaint]:
    if "PatientOrientation" not in ds or ds.PatientOrientation:
        yield Complaint(12, "PatientOrientation is not present and empty")
    if list(ds.get("ImageType") or [])[:2] != ["DERIVED", "SECONDARY"]:
        yield Complaint(12, "ImageType is not DERIVED and SECONDARY")
    if ds.get("LossyImageCompression") not in ("00", "01"):
        yield Complaint(12, "LossyImageCompression is absent")


def _plain(ds: Dataset, keyword: str) -> str:
    return str(ds.get(keyword) or "").rstrip("^= ")
