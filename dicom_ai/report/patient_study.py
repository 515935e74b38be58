"""The Patient, General Study and Patient Study modules of a source header, copied whole into a result.

SR and captures use this one function, so that an archive finds no difference between them and the source. Type 2
attributes that the source lacks are written empty. What this is not: a place where identity is kept; it goes from
one data set into another and nowhere else.
"""

import re
import warnings
from collections.abc import Sequence
from copy import deepcopy
from datetime import datetime

from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

CHARACTER_SET = "ISO_IR 192"

_TEXT = ("PN", "LO", "LT", "SH", "ST", "UC", "UT")  # what Specific Character Set governs
_STRICT = ("AS", "CS", "DS", "IS")
_ESCAPE = re.compile(r"\x1b(?:\$[()]?|[()-])[@-~]")

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
    """
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
    """The attributes `keywords` as far as `source` has them, text as str, so that a target encodes it anew."""
    header = Dataset()
    with warnings.catch_warnings():
        # What an old scanner wrote against the rules is mended in `_plain`; a warning would help nobody here.
        warnings.simplefilter("ignore")
        if "SpecificCharacterSet" in source:
            header.SpecificCharacterSet = source.SpecificCharacterSet
        for keyword in keywords:
            if keyword in source:
                header.add(deepcopy(source[keyword]))
        header.decode()
        for element in header:
            if element.VR in _TEXT:
                element.value = _without_escapes(element)
    return header


def _without_escapes(element: DataElement) -> object:
    """Text without ISO 2022 escape sequences.

    pydicom decodes the characters behind some of them (ISO 2022 IR 58, Chinese) and leaves the sequence itself, which
    no reader of Unicode knows.
    """
    if element.VM > 1:
        return [_ESCAPE.sub("", str(value)) for value in element.value]
    return _ESCAPE.sub("", str(element.value)) if element.value else element.value


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
