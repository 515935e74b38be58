"""Instance: the facts the stages need of one data set, read once. Identity is a value of its own.

What this is not: a data set. Nothing here decodes pixels or touches a disk.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from math import isfinite
from typing import Any

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.uid import UID

US_IMAGE = "1.2.840.10008.5.1.4.1.1.6.1"
US_MULTI_FRAME = "1.2.840.10008.5.1.4.1.1.3.1"
US_IMAGE_RETIRED = "1.2.840.10008.5.1.4.1.1.6"
US_MULTI_FRAME_RETIRED = "1.2.840.10008.5.1.4.1.1.3"
ULTRASOUND_CLASSES = frozenset({US_IMAGE, US_MULTI_FRAME, US_IMAGE_RETIRED, US_MULTI_FRAME_RETIRED})
"""PS3.4 B.5 and B.6: the only storage SOP classes that are ever analysed."""

MULTI_FRAME_CLASSES = frozenset({US_MULTI_FRAME, US_MULTI_FRAME_RETIRED})
"""Those of them in which Number of Frames must stand (PS3.3 C.7.6.6)."""

STRUCTURED_REPORTS = (
    "1.2.840.10008.5.1.4.1.1.88.22",
    "1.2.840.10008.5.1.4.1.1.88.33",
    "1.2.840.10008.5.1.4.1.1.88.34",
)
"""Enhanced, Comprehensive and Comprehensive 3D SR (PS3.4 B.5): what an AI report, and a verdict on one, may be."""

US_VOLUME = "1.2.840.10008.5.1.4.1.1.6.2"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # the class itself, and the multi-frame ones below it

BARRED = frozenset({"own_result", "not_ultrasound", "secondary_capture", "ultrasound_volume"})
"""What `Instance.barred` may say: nothing is wrong with such an object, it is only not ours to analyse."""

OUR_MANUFACTURER = "dicom-ai"
"""Manufacturer (0008,0070) of every object this project makes; the loop guard knows our results by it."""


@dataclass(frozen=True)
class Identity:
    """Who the patient is. Lives in the ledger table `identity` and in results only; repr shows nothing."""

    patient_id: str = field(repr=False)
    patient_name: str = field(repr=False)
    birth_date: str = field(repr=False)
    accession: str = field(repr=False)

    @classmethod
    def of(cls, ds: Dataset) -> "Identity":
        """Read the identity of a data set; absent attributes read as empty."""
        return cls(
            _text(ds, "PatientID"),
            _text(ds, "PatientName"),
            _text(ds, "PatientBirthDate"),
            _text(ds, "AccessionNumber"),
        )


@dataclass(frozen=True)
class Instance:
    """What the stages know of one object. UIDs are stripped of padding (spaces and NUL).

    Attributes:
        taken_at: acquisition, else content, else series or study date and time as the scanner wrote it, in its
            own zone (naive); None when no date is usable.
        frame_time_ms: FrameTime (0018,1063) of a clip, None when absent or zero.
        frames: NumberOfFrames, 1 for stills.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    series_instance_uid: str
    modality: str = ""
    manufacturer: str = ""
    model: str = ""
    body_part: str = ""
    study_description: str = ""
    series_description: str = ""
    procedure_code: str = ""
    rows: int = 0
    columns: int = 0
    frames: int = 1
    frame_time_ms: float | None = None
    taken_at: datetime | None = None
    is_own_result: bool = False
    series_number: int = 0
    instance_number: int = 0

    @classmethod
    def of(cls, ds: Dataset, transfer_syntax_uid: str) -> "Instance":
        """Read the facts of a data set (a header without pixels is enough)."""
        return cls(
            sop_instance_uid=_text(ds, "SOPInstanceUID"),
            sop_class_uid=_text(ds, "SOPClassUID"),
            transfer_syntax_uid=str(UID(transfer_syntax_uid)),
            study_instance_uid=_text(ds, "StudyInstanceUID"),
            series_instance_uid=_text(ds, "SeriesInstanceUID"),
            modality=_text(ds, "Modality"),
            manufacturer=_text(ds, "Manufacturer"),
            model=_text(ds, "ManufacturerModelName"),
            body_part=_text(ds, "BodyPartExamined"),
            study_description=_text(ds, "StudyDescription"),
            series_description=_text(ds, "SeriesDescription"),
            procedure_code=_procedure_code(ds),
            rows=_number(ds, "Rows"),
            columns=_number(ds, "Columns"),
            frames=max(1, _number(ds, "NumberOfFrames")),
            frame_time_ms=_frame_time(ds),
            taken_at=_taken_at(ds),
            series_number=_number(ds, "SeriesNumber"),
            instance_number=_number(ds, "InstanceNumber"),
            is_own_result=_text(ds, "Manufacturer") == OUR_MANUFACTURER and "DERIVED" in _text(ds, "ImageType"),
        )

    def facts(self) -> dict[str, Any]:
        """The instance as small JSON for the ledger, without text that people typed: it may name the patient.

        `from_facts` reads it back; the descriptions are for routing and have done their work by then.
        """
        taken_at = self.taken_at.isoformat() if self.taken_at else None
        return {**asdict(self), "taken_at": taken_at, "study_description": "", "series_description": ""}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Instance":
        """Read back what `facts` wrote."""
        taken_at = facts["taken_at"]
        return cls(**{**facts, "taken_at": datetime.fromisoformat(taken_at) if taken_at else None})

    @property
    def place(self) -> tuple[int, int, str]:
        """Where the object stands in its study, for sorting: as the scanner numbered it."""
        return self.series_number, self.instance_number, self.sop_instance_uid

    @property
    def is_ultrasound(self) -> bool:
        """Whether the object may be analysed at all: an ultrasound storage class and not our own result."""
        return self.barred is None

    @property
    def barred(self) -> str | None:
        """Why the object is forwarded but never analysed, a code of `reasons.REASONS`; None when it may be.

        A secondary capture of an ultrasound screen looks like one and has no regions; an ultrasound volume has no
        frame that a scanner showed.
        """
        if self.is_own_result:
            return "own_result"
        if self.sop_class_uid in ULTRASOUND_CLASSES:
            return None
        if self.sop_class_uid == US_VOLUME:
            return "ultrasound_volume"
        is_capture = f"{self.sop_class_uid}.".startswith(f"{_SECONDARY_CAPTURE}.")
        return "secondary_capture" if is_capture and self.modality == "US" else "not_ultrasound"


def _text(ds: Dataset, keyword: str) -> str:
    try:
        value = ds.get(keyword)
    except (ValueError, TypeError, OverflowError, NotImplementedError, BytesLengthException):
        return ""  # pydicom converts on access; a value it cannot convert is no fact
    if value is None:
        return ""
    if isinstance(value, (MultiValue, list)):
        value = "\\".join(str(part) for part in value)
    return str(value).strip(" \0")


def _float(ds: Dataset, keyword: str) -> float:
    try:
        value = float(_text(ds, keyword) or 0)
    except ValueError:
        return 0.0
    return value if isfinite(value) else 0.0


def _number(ds: Dataset, keyword: str) -> int:
    value = _float(ds, keyword)  # some writers put "3.0" into an Integer String
    return int(value) if value.is_integer() else 0


def _frame_time(ds: Dataset) -> float | None:
    value = _float(ds, "FrameTime")
    return value if value > 0 else None


def _procedure_code(ds: Dataset) -> str:
    items = ds.get("ProcedureCodeSequence") or []
    return _text(items[0], "CodeValue") if items else ""


def _taken_at(ds: Dataset) -> datetime | None:
    stamp = _text(ds, "AcquisitionDateTime")
    pairs = [(stamp[:8], stamp[8:].split("+")[0].split("-")[0])] if stamp else []
    pairs += [
        (_text(ds, f"{kind}Date"), _text(ds, f"{kind}Time")) for kind in ("Acquisition", "Content", "Series", "Study")
    ]
    for date, time in pairs:
        day = date.replace(".", "")
        if len(day) != 8:  # strptime would read seven digits as another day
            continue
        digits = day + (time.replace(":", "").split(".")[0] + "000000")[:6]
        try:
            return datetime.strptime(digits, "%Y%m%d%H%M%S")  # noqa: DTZ007 - the scanner's own zone, see Attributes
        except ValueError:
            continue
    return None
