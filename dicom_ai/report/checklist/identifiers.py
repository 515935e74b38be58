"""Point 10: UIDs. Name-based, so that a retry repeats an object; one Device UID for one model card and back.

What this is not: a proof that the same analysis makes the same bytes; that takes making it twice.
"""

import re
from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from dicom_ai.instance import OUR_MANUFACTURER
from dicom_ai.report.checklist import items
from dicom_ai.report.checklist.complaint import Complaint

_FORM = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_NAMED = "2.25."
_CARD = re.compile(r"card=(?P<digest>[0-9a-f]+)")


def identified(ds: Dataset) -> Iterator[Complaint]:
    """Point 10 for one of our results."""
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        if not str(ds.get(keyword) or "").startswith(_NAMED):
            yield Complaint(10, f"{keyword} is not name-based")
    for element in ds.iterall():
        if element.VR == "UI":
            values = element.value if element.VM > 1 else [element.value]
            if any(len(str(uid)) > 64 or _FORM.fullmatch(str(uid)) is None for uid in values if uid):
                yield Complaint(10, f"{element.keyword or 'an element'} holds no valid UID")
    meta = getattr(ds, "file_meta", None)
    if meta is not None and (meta.get("MediaStorageSOPInstanceUID"), meta.get("MediaStorageSOPClassUID")) != (
        ds.get("SOPInstanceUID"),
        ds.get("SOPClassUID"),
    ):
        yield Complaint(10, "the File Meta Information names another object")
    if len(device_uids(ds)) > 1:
        yield Complaint(10, "one result names several Device UIDs of ours")


def device_uids(ds: Dataset) -> set[str]:
    """The Device UIDs under which this project appears in a result."""
    found = {str(item.UID) for item in items.named(ds, items.DEVICE_OBSERVER_UID) if item.get("UID")}
    for keyword in ("ContributingEquipmentSequence", "AuthorObserverSequence"):
        for item in ds.get(keyword) or []:
            if item.get("Manufacturer") == OUR_MANUFACTURER and item.get("DeviceUID"):
                found.add(str(item.DeviceUID))
    return found


def together(ours: Sequence[Dataset], sources: Sequence[Dataset]) -> Iterator[Complaint]:
    """Point 10 for a set: no UID twice, the study of the sources, one Device UID for one card and back."""
    uids = [str(ds.get("SOPInstanceUID")) for ds in ours]
    if len(uids) != len(set(uids)):
        yield Complaint(10, "two results share a SOP Instance UID")
    studies = {str(ds.get("StudyInstanceUID")) for ds in sources}
    if studies and any(str(ds.get("StudyInstanceUID")) not in studies for ds in ours):
        yield Complaint(10, "a result lies in a study that none of the sources is of")
    pairs = {(card, uid) for ds in ours for card in _cards(ds) for uid in device_uids(ds)}
    if len(pairs) != len({card for card, _ in pairs}) or len(pairs) != len({uid for _, uid in pairs}):
        yield Complaint(10, "Device UIDs and model cards do not belong to each other one to one")


def _cards(report: Dataset) -> set[str]:
    texts = (
        str(item.get("TextValue") or "")
        for group in items.groups(report)
        for item in items.named(group, items.ALGORITHM_PARAMETERS)
    )
    return {found["digest"] for text in texts if (found := _CARD.fullmatch(text))}
