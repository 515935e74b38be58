"""Point 9: every code of a result is one that people have reviewed, under the meaning they reviewed.

No validator checks that a code means what it says. What this is not: a look at codes copied from the source
(procedure, patient, study): those are the scanner's.
"""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from dicom_ai.report import code
from dicom_ai.report.checklist import items
from dicom_ai.report.checklist.complaint import Complaint
from dicom_ai.report.code import Term

TEMPLATE: tuple[Term, ...] = (
    Term("121049", "DCM", "Language of Content Item and Descendants", ""),
    Term("121005", "DCM", "Observer Type", ""),
    Term("121006", "DCM", "Person", ""),
    Term("121007", "DCM", "Device", ""),
    Term("121008", "DCM", "Person Observer Name", ""),
    Term("121009", "DCM", "Person Observer's Organization Name", ""),
    Term("121010", "DCM", "Person Observer's Role in the Organization", ""),
    Term("121011", "DCM", "Person Observer's Role in this Procedure", ""),
    Term("121012", "DCM", "Device Observer UID", ""),
    Term("121013", "DCM", "Device Observer Name", ""),
    Term("121014", "DCM", "Device Observer Manufacturer", ""),
    Term("121015", "DCM", "Device Observer Model Name", ""),
    Term("121016", "DCM", "Device Observer Serial Number", ""),
    Term("121017", "DCM", "Device Observer Physical Location During Observation", ""),
    Term("121058", "DCM", "Procedure reported", ""),
    Term("112039", "DCM", "Tracking Identifier", ""),
    Term("112040", "DCM", "Tracking Unique Identifier", ""),
    Term("363698007", "SCT", "Finding Site", ""),
    Term("272741003", "SCT", "Laterality", ""),
    Term("111000", "DCM", "Algorithm Family", ""),
    Term("111001", "DCM", "Algorithm Name", ""),
    Term("111002", "DCM", "Algorithm Parameters", ""),
    Term("111003", "DCM", "Algorithm Version", ""),
    Term("111030", "DCM", "Image Region", ""),
)
"""Names that the templates (PS3.16 TID 1001, 1002, 1204, 1410, 1500, 4019) give their own rows."""

_LENGTHS = {"CodeValue": 16, "CodingSchemeDesignator": 16, "CodeMeaning": 64}
_OF_THE_SOURCE = frozenset(
    {
        "ProcedureCodeSequence", "ReasonForPerformedProcedureCodeSequence", "PatientBreedCodeSequence",
        "DeidentificationMethodCodeSequence", "ReferringPhysicianIdentificationSequence",
        "IssuerOfPatientIDQualifiersSequence", "IssuerOfAccessionNumberSequence", "IssuerOfAdmissionIDSequence",
        "OtherPatientIDsSequence", "BreedRegistrationSequence", "VerifyingObserverSequence",
    }
)  # fmt: skip


def reviewed(ds: Dataset) -> Iterator[Complaint]:
    """Point 9 for one of our results."""
    known: dict[tuple[str, str], set[str]] = {}
    for term in (*code.TERMS, *TEMPLATE):
        known.setdefault((term.value, term.scheme), set()).update({term.en, term.zh} - {""})
    schemes = set()
    for item in _codes(ds):
        pair = (str(item.get("CodeValue") or ""), str(item.get("CodingSchemeDesignator") or ""))
        schemes.add(pair[1])
        if pair not in known:
            yield Complaint(9, "a code is not in the reviewed table")
        elif str(item.get("CodeMeaning") or "") not in known[pair]:
            yield Complaint(9, "a code stands under a meaning that nobody reviewed")
        if any(len(str(item.get(keyword) or "")) > longest for keyword, longest in _LENGTHS.items()):
            yield Complaint(9, "a code is longer than old archives take")
    yield from _identified(ds, schemes)
    yield from _in_language(ds)


def _identified(ds: Dataset, schemes: set[str]) -> Iterator[Complaint]:
    stated = {str(i.get("CodingSchemeDesignator")) for i in ds.get("CodingSchemeIdentificationSequence") or []}
    if any(scheme.startswith("99") and scheme not in stated for scheme in schemes):
        yield Complaint(9, "a private coding scheme is not identified in the document")


def _in_language(report: Dataset) -> Iterator[Complaint]:
    language = items.language(report)
    for group in (report, *items.groups(report)) if language else ():
        for item in items.children(group):
            terms = items.PROBABILITIES.get(items.name(item))
            if terms is not None and _meaning(item) != terms.probability.meaning(language):
                yield Complaint(9, "a number is named in another language than the document's")
    for box in items.named(report, code.QUALITATIVE_EVALUATIONS) if language else ():
        for item in items.children(box):
            if items.name(item) in items.FINDINGS:
                finding = code.class_terms(items.FINDINGS[items.name(item)]).finding
                if _meaning(item) != finding.meaning(language):
                    yield Complaint(9, "an answer is named in another language than the document's")


def _meaning(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].get("CodeMeaning") or "")


def _codes(ds: Dataset) -> Iterator[Dataset]:
    for element in ds:
        if element.VR != "SQ" or element.keyword in _OF_THE_SOURCE:
            continue
        for item in element.value:
            if "CodingSchemeDesignator" in item and "CodeMeaning" in item:
                yield item
            yield from _codes(item)
