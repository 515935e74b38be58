"""The part of a header that SR and captures share: times, series, equipment, who processed what.

What this is not: patient and study (`patient_study`), content or pixels.
"""

from datetime import datetime, timedelta, timezone
from io import BytesIO

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID

from dicom_ai.instance import OUR_MANUFACTURER
from dicom_ai.report.code import ACQUISITION_EQUIPMENT, PROCESSING_EQUIPMENT, Term
from dicom_ai.report.content import Analysis
from dicom_ai.report.patient_study import decoded
from dicom_ai.report.uid import device_uid

SERIES_NUMBER_SR = 9001
SERIES_NUMBER_CAPTURES = 9002
SERIES_NUMBER_VERDICT = 9003
SERIES_NUMBER_RECALL = 9004
SERIES_NUMBER_PAGE = 9005
SERIES_NUMBER_PDF = 9006
_SCANNER = ("Manufacturer", "ManufacturerModelName", "InstitutionName", "StationName", "DeviceSerialNumber")
MODEL_NAME = "dicom-ai"
"""Manufacturer's Model Name of this project's results; the network is named in Software Versions and content."""


def content_moment(analysis: Analysis, source: Dataset) -> datetime:
    """When the content was made, in the zone that the source's own dates and times are in.

    Args:
        analysis: its `content_time` is naive (then already in that zone) or has an offset.
        source: header; its TimezoneOffsetFromUTC decides when it states one.
    """
    return in_zone_of(source, datetime.fromisoformat(analysis.content_time))


def in_zone_of(source: Dataset, moment: datetime) -> datetime:
    """A moment as the clock of the source's zone shows it, naive; unchanged when naive or the zone is not stated."""
    offset = timezone_offset(source)
    if moment.tzinfo is not None and offset:
        sign = -1 if offset[0] == "-" else 1
        moment = moment.astimezone(timezone(sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))))
    return moment.replace(tzinfo=None)


def timezone_offset(source: Dataset) -> str:
    """TimezoneOffsetFromUTC as +HHMM or -HHMM; "" when absent or not usable."""
    stated = str(decoded(source, ("TimezoneOffsetFromUTC",)).get("TimezoneOffsetFromUTC") or "").strip()
    return stated if len(stated) == 5 and stated[0] in "+-" and stated[1:].isdigit() else ""


def set_times(ds: Dataset, analysis: Analysis, source: Dataset) -> None:
    """Instance creation, series and content date and time, and the zone if the source states one."""
    moment = content_moment(analysis, source)
    date, time = f"{moment:%Y%m%d}", f"{moment:%H%M%S}"
    ds.InstanceCreationDate = ds.SeriesDate = ds.ContentDate = date
    ds.InstanceCreationTime = ds.SeriesTime = ds.ContentTime = time
    if timezone_offset(source):
        ds.TimezoneOffsetFromUTC = timezone_offset(source)


def set_equipment(ds: Dataset, analysis: Analysis) -> None:
    """General Equipment: this project at this site, never the scanner."""
    ds.Manufacturer = OUR_MANUFACTURER
    ds.ManufacturerModelName = MODEL_NAME
    ds.StationName = analysis.station
    ds.DeviceSerialNumber = analysis.serial
    ds.SoftwareVersions = [analysis.software_version, f"{analysis.model.name} {analysis.model.version}"[:64]]
    ds.ContentQualification = "RESEARCH"


def scanner(source: Dataset) -> Dataset | None:
    """The Contributing Equipment item of the scanner; None when the source does not name its maker."""
    stated = decoded(source, (*_SCANNER, "SoftwareVersions"))
    if not stated.get("Manufacturer"):
        return None
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(ACQUISITION_EQUIPMENT)]
    for keyword in _SCANNER:
        if stated.get(keyword):
            longest = 16 if keyword == "StationName" else 64
            setattr(item, keyword, str(stated.get(keyword))[:longest])
    if stated.get("SoftwareVersions"):
        item.SoftwareVersions = stated.SoftwareVersions
    item.ContributionDescription = "Acquisition equipment of the source images"
    return item


def algorithm(analysis: Analysis, source: Dataset) -> Dataset:
    """The Contributing Equipment item of the model: IHE AIR asks for its Device UID in every result."""
    model = analysis.model
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(PROCESSING_EQUIPMENT)]
    item.Manufacturer = OUR_MANUFACTURER
    item.ManufacturerModelName = model.name[:64]
    item.StationName = analysis.station
    item.DeviceSerialNumber = analysis.serial
    item.SoftwareVersions = [model.version, analysis.software_version]
    item.DeviceUID = device_uid(analysis.namespace, model.card_digest)
    item.ContributionDateTime = f"{content_moment(analysis, source):%Y%m%d%H%M%S}"
    item.ContributionDescription = f"Classification, {model.task}, grade {model.grade}"
    return item


def code_item(term: Term, language: str = "en") -> Dataset:
    """A code as an item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = term.value, term.scheme, term.meaning(language)
    return item


def file_meta(ds: Dataset, transfer_syntax: str) -> FileMetaDataset:
    """File Meta Information of a data set that has its SOP class and instance UID."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    meta.ImplementationVersionName = "DICOM_AI"
    return meta


def part10(ds: Dataset) -> bytes:
    """A result as the bytes of a DICOM file; equal data sets give equal bytes."""
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()
