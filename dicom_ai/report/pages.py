"""The one-page forms of a report: a Secondary Capture of the page without identity, an Encapsulated PDF with it.

Both name their sources, say that nobody verified them, and come out as the same bytes each time. What this is not:
the layout of the page (`one_page`), or a document that a machine can read: those are the structured forms.
"""

from collections.abc import Callable, Sequence
from io import BytesIO

from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_ai.instance import OUR_MANUFACTURER
from dicom_ai.report.code import REPORT_TITLE, SOURCE_FOR_PROCESSING, TASK_BODY_PARTS
from dicom_ai.report.content import Analysis, ReportContent
from dicom_ai.report.header import (
    MODEL_NAME,
    SERIES_NUMBER_PAGE,
    SERIES_NUMBER_PDF,
    algorithm,
    code_item,
    content_moment,
    file_meta,
    scanner,
    set_equipment,
    set_times,
)
from dicom_ai.report.letters import Picture
from dicom_ai.report.one_page import Shown, one_page, worth_showing
from dicom_ai.report.patient_study import copy_patient_and_study
from dicom_ai.report.sheet import DOTS_PER_INCH
from dicom_ai.report.stills import frame_of
from dicom_ai.report.structured import headers_of
from dicom_ai.report.uid import result_uid
from dicom_ai.report.wording import say

PAGES: tuple[str, ...] = (SecondaryCaptureImageStorage, EncapsulatedPDFStorage)
"""SOP classes that `report_page` builds."""

PAGE_TYPE = "REPORT_PAGE"
"""Fourth value of Image Type: tells the page of a report from a heatmap of one image."""

_QUALITY = 92
Captures = Callable[[str], Dataset]
"""Gives the capture of a SOP Instance UID, with its pixel data."""


def page_uid(analysis: Analysis, sop_class: str) -> str:
    """SOP Instance UID of the page of an analysis in one of `PAGES`."""
    return result_uid(analysis.namespace, analysis.key, "page", sop_class, 0)


def report_page(content: ReportContent, evidence: Sequence[Dataset], captures: Captures, *, sop_class: str) -> Dataset:
    """Build a one-page form of the report.

    Args:
        content: what it says.
        evidence: headers of every image that `content` names; one study.
        captures: gives the captures whose frames are shown.
        sop_class: one of `PAGES`.

    Returns:
        A data set with File Meta Information, Explicit VR Little Endian.

    Raises:
        InputError: the headers are of more than one patient or study, or the identity cannot be read.
        ValueError: a header is missing, or a capture has not the frame it should have.
    """
    headers = headers_of(content, evidence)
    analysis, source = content.analysis, headers[0]
    ds = Dataset()
    copy_patient_and_study(source, ds)
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, page_uid(analysis, sop_class)
    set_times(ds, analysis, source)
    set_equipment(ds, analysis)
    ds.SeriesDescription = say("sr_series", analysis.language, task=say(analysis.model.task, analysis.language))
    ds.InstanceNumber = analysis.revision
    ds.ConversionType = "WSD"
    equipment = [scanner(source), algorithm(analysis, source)]
    ds.ContributingEquipmentSequence = [item for item in equipment if item is not None]
    used = [(captures(link.reference.sop_instance_uid), at, text) for link, at, text in worth_showing(content)]
    shown = [Shown(frame_of(capture, index), caption) for capture, index, caption in used]
    if sop_class == EncapsulatedPDFStorage:
        _document(ds, content, headers, one_page(content, headers, shown, ds))
    else:
        _capture(ds, content, headers, one_page(content, headers, shown, None))
        _lossy(ds, [capture for capture, _, _ in used])
    ds.file_meta = file_meta(ds, ExplicitVRLittleEndian)
    ds.preamble = b"\0" * 128
    return ds


def _document(ds: Dataset, content: ReportContent, headers: Sequence[Dataset], page: Picture) -> None:
    """Encapsulated Document Series and Encapsulated Document (PS3.3 C.24.1, C.24.2)."""
    analysis = content.analysis
    ds.SeriesInstanceUID = result_uid(analysis.namespace, analysis.key, "pdf-series", "", 0)
    ds.SeriesNumber = SERIES_NUMBER_PDF
    ds.Modality = "DOC"
    ds.AcquisitionDateTime = ""  # of a document whose images have one each
    ds.BurnedInAnnotation = "YES"  # the patient stands on the page
    ds.RecognizableVisualFeatures = "NO"
    ds.DocumentTitle = ds.SeriesDescription
    ds.ConceptNameCodeSequence = [code_item(REPORT_TITLE, analysis.language)]
    ds.VerificationFlag = "UNVERIFIED"
    ds.SourceInstanceSequence = [_reference(header) for header in headers]
    ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    written = pdf(page, analysis, headers[0])
    ds.EncapsulatedDocumentLength = len(written)
    ds.EncapsulatedDocument = written + b"\0" * (len(written) % 2)


def pdf(page: Picture, analysis: Analysis, source: Dataset) -> bytes:
    """A page, RGB uint8 (rows, columns, 3), as a PDF of one page whose times are those of the content."""
    buffer, made = BytesIO(), content_moment(analysis, source).timetuple()
    title = say("sr_series", analysis.language, task=say(analysis.model.task, analysis.language))
    Image.fromarray(page).save(
        buffer,
        "PDF",
        resolution=float(DOTS_PER_INCH),
        quality=_QUALITY,
        subsampling=0,
        title=title,
        author=MODEL_NAME,
        creationDate=made,
        modDate=made,
    )
    return buffer.getvalue()


def _capture(ds: Dataset, content: ReportContent, headers: Sequence[Dataset], page: Picture) -> None:
    """General Series, SC Equipment, General Image and Image Pixel (PS3.3 A.8.1)."""
    analysis = content.analysis
    ds.SeriesInstanceUID = result_uid(analysis.namespace, analysis.key, "page-series", "", 0)
    ds.SeriesNumber = SERIES_NUMBER_PAGE
    ds.Modality = "OT"
    ds.BodyPartExamined = TASK_BODY_PARTS[analysis.model.task]
    ds.SecondaryCaptureDeviceManufacturer = OUR_MANUFACTURER
    ds.SecondaryCaptureDeviceManufacturerModelName = MODEL_NAME
    ds.SecondaryCaptureDeviceSoftwareVersions = analysis.software_version
    ds.DateOfSecondaryCapture, ds.TimeOfSecondaryCapture = ds.ContentDate, ds.ContentTime
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER", PAGE_TYPE]
    ds.PatientOrientation = ""
    ds.DerivationDescription = say("complete", analysis.language)
    ds.ImageComments = say("band", analysis.language)
    ds.BurnedInAnnotation = "NO"  # nothing on this page identifies anybody
    ds.RecognizableVisualFeatures = "NO"
    ds.SourceImageSequence = []
    for header in headers:
        item = _reference(header)
        item.PurposeOfReferenceCodeSequence = [code_item(SOURCE_FOR_PROCESSING)]
        ds.SourceImageSequence.append(item)
    ds.ReferencedSeriesSequence = _by_series(headers)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.Rows, ds.Columns = page.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = page.tobytes()
    ds["PixelData"].VR = "OB"


def _lossy(ds: Dataset, captures: Sequence[Dataset]) -> None:
    """A page with a picture that has lost something says so, with the history of the first such picture."""
    lossy = next((one for one in captures if one.get("LossyImageCompression") == "01"), None)
    ds.LossyImageCompression = "00" if lossy is None else "01"
    for keyword in ("LossyImageCompressionMethod", "LossyImageCompressionRatio"):
        if lossy is not None and lossy.get(keyword):
            setattr(ds, keyword, lossy.get(keyword))


def _reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return item


def _by_series(headers: Sequence[Dataset]) -> list[Dataset]:
    found: dict[str, Dataset] = {}
    for header in headers:
        uid = str(header.SeriesInstanceUID)
        if uid not in found:
            found[uid] = Dataset()
            found[uid].SeriesInstanceUID, found[uid].ReferencedInstanceSequence = uid, []
        found[uid].ReferencedInstanceSequence.append(_reference(header))
    return list(found.values())
