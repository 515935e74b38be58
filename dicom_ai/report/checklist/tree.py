"""Points 4 and 6: the document as people and viewers read it. What this is not: numbers, places or codes."""

from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset

from dicom_ai.instance import MULTI_FRAME_CLASSES
from dicom_ai.report import code
from dicom_ai.report.checklist import items
from dicom_ai.report.checklist.complaint import Complaint
from dicom_ai.report.wording import say


def readable(report: Dataset) -> Iterator[Complaint]:
    """Point 4: the warning first, every class answered, every number beside its name."""
    for item in items.walk(report):
        if item.get("ValueType") == "CONTAINER" and item.get("ContinuityOfContent") != "SEPARATE":
            yield Complaint(4, "a container is not SEPARATE: text renderers print its numbers without their names")
    if items.is_verified(report):
        return
    order = [items.name(item) for item in items.children(report)]
    boxes = items.named(report, code.QUALITATIVE_EVALUATIONS)
    if len(boxes) != 1:
        yield Complaint(4, "there is not exactly one container of qualitative evaluations")
        return
    if code.IMAGE_LIBRARY.value in order and order.index(code.QUALITATIVE_EVALUATIONS.value) > order.index(
        code.IMAGE_LIBRARY.value
    ):
        yield Complaint(4, "the answers stand after the image library")
    first = next(iter(items.children(boxes[0])), Dataset())
    warning = say("warning", items.language(report) or "en")
    if not str(first.get("TextValue") or "").startswith(warning):
        yield Complaint(4, "the answers do not begin with the warning")
    yield from _answered(items.answers(report))


def _answered(stated: dict[str, str]) -> Iterator[Complaint]:
    if not stated:
        yield Complaint(4, "no class is answered")
    for finding, state in stated.items():
        if finding not in items.FINDINGS:
            yield Complaint(4, "an answer is about no class that is known")
        if state not in {term.value for term in code.STATES.values()}:
            yield Complaint(4, "a class is neither Present nor Absent nor Indeterminate")


def viewable(report: Dataset, others: Mapping[str, Dataset]) -> Iterator[Complaint]:
    """Point 6: what viewers read without looking whether it is there.

    Args:
        report: the document.
        others: data sets by SOP Instance UID; sources among them say how many frames they have.
    """
    if items.name(report) != code.REPORT_TITLE.value:
        yield Complaint(6, "the root is not an Imaging Measurement Report")
    for item in items.walk(report):
        if not items.name(item) and item.get("RelationshipType") not in ("SELECTED FROM", None):
            yield Complaint(6, "an item has no concept name")
    listed = {_uid(item) for item in items.library(report)}
    if not listed:
        yield Complaint(6, "the image library is absent or its first group is empty")
    seen: set[str] = set()
    for number, group in enumerate(items.groups(report), 1):
        yield from _group(group, number, listed, others)
        for item in items.named(group, items.TRACKING_UID):
            if str(item.get("UID")) in seen:
                yield Complaint(6, f"group {number} shares its tracking UID with another group")
            seen.add(str(item.get("UID")))


def _group(group: Dataset, number: int, listed: set[str], others: Mapping[str, Dataset]) -> Iterator[Complaint]:
    for wanted in (items.TRACKING_IDENTIFIER, items.TRACKING_UID):
        if len(items.named(group, wanted)) != 1:
            yield Complaint(6, f"group {number} has not exactly one tracking identifier and one tracking UID")
    place = items.place(group)
    if place is None:
        yield Complaint(6, f"group {number} has not exactly one region on one frame")
        return
    if place.image not in listed:
        yield Complaint(6, f"group {number} is about an image that the first group of the library does not list")
    # A clip of one frame needs no number: the reference applies to all frames (PS3.3 C.17.3, Table 10-3).
    has_one = place.image in others and int(others[place.image].get("NumberOfFrames") or 1) == 1
    if (place.frame is not None) != _is_clip(group) and not (place.frame is None and has_one):
        yield Complaint(6, f"group {number} names a frame of a still, or none of a clip")


def _is_clip(group: Dataset) -> bool:
    references = (
        source.ReferencedSOPSequence[0]
        for region in items.children(group)
        if region.get("ValueType") == "SCOORD"
        for source in items.children(region)
    )
    return any(reference.get("ReferencedSOPClassUID") in MULTI_FRAME_CLASSES for reference in references)


def _uid(image: Dataset) -> str:
    reference = image.get("ReferencedSOPSequence")
    return str(reference[0].get("ReferencedSOPInstanceUID") or "") if reference else ""
