"""An object that arrived, held against what was asked for: whole, of this study, series and patient, and wanted.

What this is not: a look at pixels. Only whether all bytes are there is seen.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.tag import BaseTag

from dicom_ai.archive.answers import text
from dicom_ai.archive.filters import Filters
from dicom_ai.inflate import DEFLATED
from dicom_ai.instance import MULTI_FRAME_CLASSES, ULTRASOUND_CLASSES

WORDS = {
    "unreadable": "The bytes are not a readable DICOM data set",
    "deflated": "Its data set is deflated: a few kilobytes may unfold to gigabytes",
    "truncated": "The data set breaks off, or its pixels are missing",
    "sop_mismatch": "The data set names another object than the message around it",
    "not_asked": "Nobody asked for this object",
    "other_study": "It is of another study than was asked for",
    "other_series": "It is of another series than the archive listed it in",
    "other_patient": "It is of another patient than the archive listed the study for",
    "other_modality": "The archive listed what another modality made",
    "other_level": "The archive answered at another level",
    "other_date": "It is of a day that was not asked for",
    "other_accession": "It has an accession number that was not asked for",
    "not_wanted": "It is of another kind, device, station or description",
    "no_uid": "The archive listed something without a valid UID",
    "repeated": "The archive listed the same twice",
    "cut_short": "The archive listed fewer objects than it says there are",
    "conflict": "Another object of the same UID, with other content, is in the set",
    "no_patient": "The archive names no patient for the study, so no object can be held against one",
    "mixed_patient": "The archive names two patients for one study",
    "not_sent": "The archive listed it and did not send it",
    "failed": "The archive failed whenever it was asked",
}
"""What may be said of an object, an answer or a study that did not come into the set, in words for people."""

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_PADDING = BaseTag(0xFFFCFFFC)  # Data Set Trailing Padding
_SENTINEL = b"dicom-ai whole\0\0"
_IMPLICIT, _BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"


@dataclass(frozen=True)
class Meant:
    """What was asked for.

    Attributes:
        study: Study Instance UID.
        is_his: whether a Patient ID is the one that the archive listed the study for.
        images: SOP Instance UID -> (Series Instance UID, SOP Class UID or "").
        filters: what is wanted at all.
    """

    study: str
    is_his: Callable[[str], bool] = field(repr=False)
    images: dict[str, tuple[str, str]]
    filters: Filters


def refusal(path: Path, meant: Meant, said: str = "") -> tuple[str, str]:
    """Why an object may not come into the set.

    Args:
        path: Part 10 file.
        meant: what was asked for.
        said: SOP Instance UID of the message around it, "" where there was none.

    Returns:
        Its SOP Instance UID ("" where it names none), and a word of `WORDS`, or "" for an object that may.
    """
    try:
        if str(read_file_meta_info(path).get("TransferSyntaxUID")) == DEFLATED:
            return said, "deflated"
        ds, is_all = read_whole(path)
    except Exception:  # noqa: BLE001 - whatever a foreign data set makes the parser raise
        return "", "unreadable"
    uid = text(ds, "SOPInstanceUID")
    return uid, _misplaced(ds, meant, said) or meant.filters.outside(ds) or ("" if is_all else "truncated")


def _misplaced(ds: Dataset, meant: Meant, said: str) -> str:
    uid = text(ds, "SOPInstanceUID")
    if not uid or said not in ("", uid):
        return "sop_mismatch"
    if text(ds, "StudyInstanceUID") != meant.study:
        return "other_study"
    if uid not in meant.images:
        return "not_asked"
    series, sop_class = meant.images[uid]
    if not meant.is_his(text(ds, "PatientID")):
        return "other_patient"
    if text(ds, "SeriesInstanceUID") != series:
        return "other_series"
    return "" if sop_class in ("", text(ds, "SOPClassUID")) else "sop_mismatch"


def read_whole(path: Path) -> tuple[Dataset, bool]:
    """Read a Part 10 file, not a deflated one, to its last byte.

    A last element of our own is read behind it: it comes out as it went in only where nothing before it breaks off.

    Returns:
        The data set, pixels undecoded; whether it is whole, and an image has its pixels.
    """
    content = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings quote element values
        syntax = str(read_file_meta_info(path).TransferSyntaxUID)
        ds = dcmread(BytesIO(content + _tail(syntax)))
        last = ds.get_item(_PADDING)
        is_all = getattr(last, "value", None) == _SENTINEL
        ds.pop(_PADDING, None)
        return ds, is_all and _has_pixels(ds)


def _has_pixels(ds: Dataset) -> bool:
    if text(ds, "SOPClassUID") not in ULTRASOUND_CLASSES:
        return True
    if not any(keyword in ds for keyword in _PIXELS):
        return False
    if ds.file_meta.TransferSyntaxUID.is_compressed or "PixelData" not in ds:
        return True
    frames = int(ds.get("NumberOfFrames") or 1) if ds.SOPClassUID in MULTI_FRAME_CLASSES else 1
    subsampled = 2 if str(ds.PhotometricInterpretation) == "YBR_FULL_422" else ds.SamplesPerPixel
    bits = ds.Rows * ds.Columns * subsampled * ds.BitsAllocated * frames
    return bool(len(ds.get_item("PixelData").value) * 8 >= bits)


def _tail(syntax: str) -> bytes:
    order, length = ("big" if syntax == _BIG else "little"), len(_SENTINEL)
    tag = b"\xff\xfc\xff\xfc" if syntax == _BIG else b"\xfc\xff\xfc\xff"
    vr = b"" if syntax == _IMPLICIT else b"OB\0\0"
    return tag + vr + length.to_bytes(4, order) + _SENTINEL  # type: ignore[arg-type]
