"""Point 11: who stands behind the document, and which one it follows. PS3.3 C.17.2.

What this is not: a check that a predecessor exists in an archive; only of those in the set it is known.
"""

from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset

from dicom_ai.report.checklist import items
from dicom_ai.report.checklist.complaint import Complaint
from dicom_ai.report.wording import say


def flagged(report: Dataset, others: Mapping[str, Dataset]) -> Iterator[Complaint]:
    """Point 11.

    Args:
        report: the document.
        others: data sets by SOP Instance UID, predecessors among them.
    """
    verified, observers = report.get("VerificationFlag"), report.get("VerifyingObserverSequence") or []
    if verified not in ("VERIFIED", "UNVERIFIED"):
        yield Complaint(11, "the document does not say whether it is verified")
    if verified == "UNVERIFIED" and observers:
        yield Complaint(11, "an unverified document names somebody who verified it")
    if verified == "VERIFIED":
        if report.get("CompletionFlag") != "COMPLETE":
            yield Complaint(11, "a verified document is not complete")
        if not observers or not all(
            o.get("VerifyingObserverName") and o.get("VerificationDateTime") for o in observers
        ):
            yield Complaint(11, "a verified document does not say who verified it and when")
        if not report.get("PredecessorDocumentsSequence"):
            yield Complaint(11, "a verdict does not say which report it is about")
    else:
        yield from _warned(report)
    yield from _follows(report, others)


def _warned(report: Dataset) -> Iterator[Complaint]:
    if report.get("PreliminaryFlag") != "PRELIMINARY":
        yield Complaint(11, "an unverified document is not marked as preliminary")
    if report.get("CompletionFlag") not in ("COMPLETE", "PARTIAL") or not report.get("CompletionFlagDescription"):
        yield Complaint(11, "the document does not say how complete it is")
    if report.get("ContentQualification") != "RESEARCH":
        yield Complaint(11, "Content Qualification is not RESEARCH")
    stated = str(report.get("SeriesDescription") or "")
    if not any(all(word in stated for word in words) for words in (("AI", "unverified"), ("AI", "未经审核"))):
        yield Complaint(11, "the series does not say that it is of an AI and unverified")
    nothing = say("nothing", items.language(report) or "en")
    if report.get("CompletionFlag") == "COMPLETE" and any(
        nothing in str(item.get("TextValue") or "") for item in items.walk(report)
    ):
        yield Complaint(11, "a document calls itself complete and says that nothing could be assessed")


def _follows(report: Dataset, others: Mapping[str, Dataset]) -> Iterator[Complaint]:
    for study in report.get("PredecessorDocumentsSequence") or []:
        if study.get("StudyInstanceUID") != report.get("StudyInstanceUID"):
            yield Complaint(11, "a predecessor is of another study")
        for series in study.get("ReferencedSeriesSequence") or []:
            for reference in series.get("ReferencedSOPSequence") or []:
                uid = str(reference.get("ReferencedSOPInstanceUID") or "")
                if uid == str(report.get("SOPInstanceUID")):
                    yield Complaint(11, "a document is its own predecessor")
                before = others.get(uid)
                stated = (reference.get("ReferencedSOPClassUID"), series.get("SeriesInstanceUID"))
                if before is not None and stated != (before.get("SOPClassUID"), before.get("SeriesInstanceUID")):
                    yield Complaint(11, "a predecessor is named with another class or series than it has")
