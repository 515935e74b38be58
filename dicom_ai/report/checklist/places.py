"""Point 7: regions closed and inside; the frame of a group is the one its label, its region and its capture name.

What this is not: a proof that a region lies on the finding; that takes a picture of known content.
"""

import re
from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset

from dicom_ai.report import code
from dicom_ai.report.checklist import items
from dicom_ai.report.checklist.complaint import Complaint
from dicom_ai.report.checklist.items import Place
from dicom_ai.report.wording import say

_SLACK = 0.01
_CROP = re.compile(r"\[crop x (\d+)\.\.(\d+) y (\d+)\.\.(\d+) of (\d+) x (\d+)\]")
"""What the Derivation Description of a capture ends with, in every language."""


def placed(report: Dataset, others: Mapping[str, Dataset]) -> Iterator[Complaint]:
    """Point 7.

    Args:
        report: the document.
        others: data sets by SOP Instance UID; sources and captures among them are compared with.
    """
    sizes = dict(_sizes(report, others))
    shown: dict[tuple[str, int | None], Place] = {}
    for number, group in enumerate(items.groups(report), 1):
        place = items.place(group)
        if place is None:
            continue  # point 6
        yield from _region(place, sizes.get(place.image), number)
        yield from _illustration(group, place, others, number)
        if items.is_verified(report):
            continue  # a reader's region is bound by nothing but its frame
        frame = (place.image, place.frame)
        if _has_probabilities(group):
            shown.setdefault(frame, place)
        elif frame in shown and not _within(place.box, shown[frame].box):
            yield Complaint(7, f"the region of group {number} leaves what the model was shown")
        if not _is_labelled(report, group, place):
            yield Complaint(7, f"the label of group {number} names another image or frame than its region lies on")
        yield from _cropped(group, place, others, number)


def _region(place: Place, size: tuple[int, int] | None, number: int) -> Iterator[Complaint]:
    if len(place.points) % 2 or len(place.points) < 8 or place.points[:2] != place.points[-2:]:
        yield Complaint(7, f"the region of group {number} is not a closed polygon")
    if size is None:
        yield Complaint(7, f"the library does not say how large the image of group {number} is")
    elif not _within(place.box, (0.0, 0.0, float(size[1]), float(size[0]))):
        yield Complaint(7, f"the region of group {number} leaves its frame")


def _illustration(group: Dataset, place: Place, others: Mapping[str, Dataset], number: int) -> Iterator[Complaint]:
    for link in items.named(group, code.ILLUSTRATION):
        uid = str(link.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        if uid not in others:
            continue
        capture = others[uid]
        source = (capture.get("SourceImageSequence") or [Dataset()])[0]
        if str(source.get("ReferencedSOPInstanceUID")) != place.image:
            yield Complaint(7, f"the capture of group {number} was made of another image")
        frames, asked = items.reference_frames(source), items.reference_frames(link)
        at = asked[0] if asked else 1  # a still of a clip has one frame and is referred to without its number
        meant = frames[at - 1] if 0 < at <= len(frames) and (asked or len(frames) == 1) else None
        if place.frame is not None and meant != place.frame:
            yield Complaint(7, f"the capture of group {number} shows another frame than its region lies on")


def _cropped(group: Dataset, place: Place, others: Mapping[str, Dataset], number: int) -> Iterator[Complaint]:
    for link in items.named(group, code.ILLUSTRATION) if _has_probabilities(group) else ():
        capture = others.get(str(link.ReferencedSOPSequence[0].ReferencedSOPInstanceUID), Dataset())
        crop = _CROP.search(str(capture.get("DerivationDescription") or ""))
        if crop is not None:
            x0, x1, y0, y1 = (float(n) for n in crop.groups()[:4])
            if max(abs(a - b) for a, b in zip(place.box, (x0, y0, x1, y1), strict=True)) > _SLACK:
                yield Complaint(7, f"the rectangle of group {number} is not the crop that its capture was made of")


def _sizes(report: Dataset, others: Mapping[str, Dataset]) -> Iterator[tuple[str, tuple[int, int]]]:
    for image in items.library(report):
        uid = str(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        stated = [items.number(n) for term in (code.PIXEL_ROWS, code.PIXEL_COLUMNS) for n in items.named(image, term)]
        if uid in others and others[uid].get("Rows"):
            yield uid, (int(others[uid].Rows), int(others[uid].Columns))
        elif len(stated) == 2 and stated[0] is not None and stated[1] is not None:
            yield uid, (int(stated[0]), int(stated[1]))


def _has_probabilities(group: Dataset) -> bool:
    return any(items.name(item) in items.PROBABILITIES for item in items.children(group))


def _is_labelled(report: Dataset, group: Dataset, place: Place) -> bool:
    """Whether the tracking identifier begins with the image's number in the library, and the frame of a clip."""
    label = " ".join(str(item.get("TextValue") or "") for item in items.named(group, items.TRACKING_IDENTIFIER))
    listed = [str(image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for image in items.library(report)]
    if place.image not in listed:
        return True  # point 6
    kind = "track" if place.frame is None else "track_frame"
    said = say(kind, items.language(report) or "en", n=listed.index(place.image) + 1, frame=place.frame)
    return label.startswith(said) and not label[len(said) :][:1].isdigit()


def _within(inner: tuple[float, ...], outer: tuple[float, ...]) -> bool:
    low = inner[0] >= outer[0] - _SLACK and inner[1] >= outer[1] - _SLACK
    return low and inner[2] <= outer[2] + _SLACK and inner[3] <= outer[3] + _SLACK
