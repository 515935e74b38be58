"""The note that takes a wrong AI result back: a Key Object Selection titled Rejected for Patient Safety Reasons.

Its form is that of IHE Imaging Object Change Management (title of CID 7011, TID 2010): it names every object that must
not be used any more. Whether a PACS hides or deletes them, or only shows the note, is up to that PACS. The same input
makes the same bytes. What this is not: a deletion, or a word about the original images.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sr import ObserverContext, PersonObserverIdentifyingAttributes
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

from dicom_ai import __version__
from dicom_ai.instance import OUR_MANUFACTURER
from dicom_ai.report import code
from dicom_ai.report.header import MODEL_NAME, SERIES_NUMBER_RECALL, file_meta, in_zone_of, timezone_offset
from dicom_ai.report.patient_study import CHARACTER_SET, copy_patient_and_study
from dicom_ai.report.uid import result_uid
from dicom_ai.report.wording import say


@dataclass(frozen=True)
class Recall:
    """Who takes a result back, why and when.

    Attributes:
        by: Person Name (PS3.5 6.2).
        why: sentence for readers; shown in the PACS.
        time: ISO 8601 date and time; naive is in the zone of the result.
        language: "en" or "zh".
    """

    by: str
    why: str
    time: str
    language: str = "en"


def rejection_note(results: Sequence[Dataset], recall: Recall, *, namespace: str) -> Dataset:
    """Build the note.

    Args:
        results: headers of the objects to take back (reports and captures of one analysis), at least one.
        recall: who, why, when.
        namespace: of the site, for UIDs.

    Returns:
        A data set with File Meta Information, Explicit VR Little Endian.

    Raises:
        ValueError: there is nothing to take back, it is not ours or of several studies, or no reason is given.
        UnreadableIdentity: the patient cannot be named.
    """
    _require_sense(results, recall)
    results = sorted(results, key=lambda one: (one.Modality != "SR", str(one.SOPInstanceUID)))
    source, key = results[0], _key(results, recall)
    built = KeyObjectSelectionDocument(
        evidence=[_stand_in(one) for one in results],
        content=KeyObjectSelection(
            code.REJECTED_FOR_SAFETY.concept(recall.language),
            [_stand_in(one) for one in results],
            observer_person_context=ObserverContext(codes.DCM.Person, PersonObserverIdentifyingAttributes(recall.by)),
            description=say("recall", recall.language, why=recall.why.strip()),
        ),
        series_instance_uid=result_uid(namespace, key, "recall-series", "", 0),
        series_number=SERIES_NUMBER_RECALL,
        sop_instance_uid=result_uid(namespace, key, "recall", "", 0),
        instance_number=1,
        manufacturer=OUR_MANUFACTURER,
        specific_character_set=CHARACTER_SET,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    # A plain data set: the builder's class keeps a second copy of the tree that later steps would not reach.
    note = Dataset()
    note.update(built)
    _finish(note, source, recall)
    note.file_meta = file_meta(note, ExplicitVRLittleEndian)
    note.preamble = b"\0" * 128
    return note


def _require_sense(results: Sequence[Dataset], recall: Recall) -> None:
    if not results:
        raise ValueError("there is nothing to recall")
    if any(one.get("Manufacturer") != OUR_MANUFACTURER for one in results):
        raise ValueError("only results of this project can be recalled")
    if len({str(one.StudyInstanceUID) for one in results}) > 1:
        raise ValueError("the results to recall are of several studies")
    if not recall.why.strip() or not recall.by.strip("^= "):
        raise ValueError("a recall says who takes the result back, and why")


def _key(results: Sequence[Dataset], recall: Recall) -> str:
    what = [__version__, [str(one.SOPInstanceUID) for one in results], asdict(recall)]
    return hashlib.sha256(json.dumps(what, ensure_ascii=False).encode()).hexdigest()


def _stand_in(result: Dataset) -> Dataset:
    """What the builder needs of a header; the identity is set afterwards, by the one function that copies it."""
    item = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(item, keyword, str(result.get(keyword)))
    for keyword in ("Rows", "Columns"):
        if keyword in result:
            setattr(item, keyword, result.get(keyword))
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
        setattr(item, keyword, "")
    for keyword in ("AccessionNumber", "StudyID", "StudyDate", "StudyTime"):
        setattr(item, keyword, "")
    return item


def _finish(note: Dataset, source: Dataset, recall: Recall) -> None:
    copy_patient_and_study(source, note)
    moment = in_zone_of(source, datetime.fromisoformat(recall.time))
    note.InstanceCreationDate = note.SeriesDate = note.ContentDate = f"{moment:%Y%m%d}"
    note.InstanceCreationTime = note.SeriesTime = note.ContentTime = f"{moment:%H%M%S}"
    if timezone_offset(source):
        note.TimezoneOffsetFromUTC = timezone_offset(source)
    note.SeriesDescription = say("recall_series", recall.language)
    note.ManufacturerModelName = MODEL_NAME
    for keyword in ("StationName", "DeviceSerialNumber"):
        if source.get(keyword):
            setattr(note, keyword, source.get(keyword))
    note.SoftwareVersions = __version__
    note.ContinuityOfContent = "SEPARATE"
    for item in note.ContentSequence:
        if item.ValueType in {"IMAGE", "COMPOSITE"}:
            del item.ConceptNameCodeSequence  # TID 2010 forbids a purpose of reference; the library writes "Source"
    if "ContributingEquipmentSequence" in note:
        del note.ContributingEquipmentSequence  # the library names itself with the hour it reads from the clock
