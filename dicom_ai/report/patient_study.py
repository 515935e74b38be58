"""The Patient, General Study and Patient Study modules of a source header, copied whole into a result.

SR and captures use this one function, so that an archive finds no difference between them and the source. Type 2
attributes that the source lacks are written empty. What this is not: a place where identity is kept; it goes from
one data set into another and nowhere else.
"""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from datetime import datetime

from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from dicom_ai.charset import TEXT_VRS, terms_of, text_of
from dicom_ai.errors import UnreadableIdentity

CHARACTER_SET = "ISO_IR 192"

_STRICT = ("AS", "CS", "DS", "IS")
_CHARACTER_SET_TAG = Tag("SpecificCharacterSet")
_IDENTIFYING = ("PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID")
"""Text by which a PACS or a reader takes a result for a patient's; other text is left out when it cannot be read."""

# PS3.3 C.7.1.1, C.7.2.1, C.7.2.2 and the clinical trial modules beside them.
_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
_TYPE_3 = (
    "ReferencedPatientSequence", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TypeOfPatientID",
    "PatientBirthTime",
    "OtherPatientIDsSequence", "OtherPatientNames", "EthnicGroup", "PatientComments",
    "PatientSpeciesDescription", "PatientBreedCodeSequence", "BreedRegistrationSequence",
    "PatientBreedDescription", "ResponsiblePerson", "ResponsiblePersonRole", "ResponsibleOrganization",
    "QualityControlSubject", "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "StudyDescription", "ReferencedStudySequence", "ReferringPhysicianIdentificationSequence",
    "ConsultingPhysicianName",
    "IssuerOfAccessionNumberSequence", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy",
    "ProcedureCodeSequence", "ReasonForPerformedProcedureCodeSequence",
    "PatientAge", "PatientSize", "PatientWeight", "PatientBodyMassIndex", "AdmissionID", "IssuerOfAdmissionIDSequence",
    "AdmittingDiagnosesDescription", "Occupation", "MedicalAlerts", "Allergies", "SmokingStatus", "PregnancyStatus",
    "LastMenstrualDate", "PatientState", "AdditionalPatientHistory", "PatientSexNeutered", "ServiceEpisodeID",
    "ServiceEpisodeDescription",
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName", "ClinicalTrialSiteID",
    "ClinicalTrialSiteName", "ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID",
    "ClinicalTrialTimePointDescription",
)  # fmt: skip
_TYPE_2C_ANIMAL = (
    "PatientBreedDescription", "PatientBreedCodeSequence", "BreedRegistrationSequence", "ResponsiblePerson",
    "ResponsibleOrganization", "PatientSexNeutered",
)  # fmt: skip


def copy_patient_and_study(source: Dataset, target: Dataset) -> None:
    """Write the patient and study of `source` into `target`, as Unicode; `source` is left alone.

    Args:
        source: header of an instance of the study; any character set.
        target: gets Study Instance UID, Specific Character Set and the attributes above.

    Raises:
        UnreadableIdentity: see `require_readable`.
    """
    require_readable(source)
    header = decoded(source, (*_TYPE_2, *_TYPE_3))
    target.SpecificCharacterSet = CHARACTER_SET
    target.StudyInstanceUID = source.StudyInstanceUID
    for keyword in (*_TYPE_2, *(k for k in _TYPE_3 if k in header)):
        if keyword not in header or header[keyword].VR != "SQ" or header[keyword].value:
            value = _plain(header, keyword)
            if _is_writable(keyword, value):
                setattr(target, keyword, value)
    target.PatientSex = target.get("PatientSex", "")
    if target.PatientSex not in ("M", "F", "O"):
        target.PatientSex = ""  # an enumerated value; some scanners write U or a word
    if target.get("PatientIdentityRemoved") == "YES" and not (
        target.get("DeidentificationMethod") or target.get("DeidentificationMethodCodeSequence")
    ):
        target.DeidentificationMethod = "Not stated by the source"
    if target.get("PatientSpeciesDescription"):
        for keyword in _TYPE_2C_ANIMAL:
            if keyword not in target:
                setattr(target, keyword, [] if keyword.endswith("Sequence") else "")


def decoded(source: Dataset, keywords: Sequence[str]) -> Dataset:
    """The attributes `keywords` as far as `source` has them, text as str, so that a target encodes it anew.

    Text without a reading in the source's character set is left out, and with it the sequence it stands in.
    """
    header = Dataset()
    with warnings.catch_warnings():
        # What an old scanner wrote against the rules is mended in `_plain`; a warning would help nobody here.
        warnings.simplefilter("ignore")
        terms = _terms(source, ())
        for keyword in keywords:
            if keyword in source:
                with suppress(ValueError):
                    header.add(_unicode(source, Tag(keyword), terms))
    return header


def require_readable(source: Dataset) -> None:
    """Make sure that who the patient is can be carried into a result unchanged.

    Raises:
        UnreadableIdentity: an identifying text has no reading in the character set that the source states. No result
            may be made: it would name another patient, or none.
    """
    known = decoded(source, _IDENTIFYING)
    if any(keyword in source and keyword not in known for keyword in _IDENTIFYING):
        raise UnreadableIdentity


def _terms(ds: Dataset, inherited: Sequence[str]) -> Sequence[str]:
    return terms_of(ds.SpecificCharacterSet) if "SpecificCharacterSet" in ds else inherited


def _unicode(ds: Dataset, tag: BaseTag, terms: Sequence[str]) -> DataElement:
    """One element with its text decoded, items of sequences too; ValueError where text has no reading."""
    raw: object = ds.get_item(tag)
    if isinstance(raw, RawDataElement):
        vr = dictionary_VR(tag) if raw.VR in (None, "UN") else str(raw.VR)
        if vr in TEXT_VRS:
            return DataElement(tag, vr, text_of(raw.value or b"", terms, vr))
    element = deepcopy(ds[tag])
    if element.VR == "SQ":
        element.value = [_item(item, terms) for item in element.value]
    elif element.VR in TEXT_VRS and element.value:  # set or decoded by somebody: no bytes are left to look at
        values = element.value if element.VM > 1 else [element.value]
        text = "\\".join(str(value) for value in values)
        return DataElement(tag, element.VR, text_of(text.encode(), ("ISO_IR 192",), element.VR))
    return element


def _item(item: Dataset, terms: Sequence[str]) -> Dataset:
    """An item in Unicode, without what only its maker understands."""
    plain = Dataset()
    terms = _terms(item, terms)
    for tag in item.keys():  # noqa: SIM118 - iterating a data set itself would decode it
        if not tag.is_private and tag != _CHARACTER_SET_TAG:
            plain.add(_unicode(item, tag, terms))
    return plain


def _plain(header: Dataset, keyword: str) -> object:
    if keyword not in header:
        return ""
    element = header[keyword]
    if element.VR == "DA":
        return _valid(str(element.value or "").replace(".", "").strip(), "%Y%m%d")
    if element.VR == "TM":
        digits, dot, fraction = str(element.value or "").replace(":", "").strip().partition(".")
        valid = _valid(digits, "%H%M%S"[: len(digits)])
        return f"{valid}.{fraction[:6]}" if valid and dot and fraction.isdigit() else valid
    return element.value if element.value is not None else ""


def _is_writable(keyword: str, value: object) -> bool:
    """Whether a number, age or code is one; what a scanner wrote against its VR would make our results invalid."""
    vr = dictionary_VR(keyword)
    if vr not in _STRICT:
        return True
    try:
        DataElement(keyword, vr, value, validation_mode=config.RAISE)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def _valid(digits: str, form: str) -> str:
    """A date or time of ACR-NEMA days loses its dots and colons; what is none at all is left out."""
    try:
        datetime.strptime(digits, form)  # noqa: DTZ007 - only read to see whether it is one
    except ValueError:
        return ""
    return digits
