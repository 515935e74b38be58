"""Reading a content tree without believing it: what is absent reads as empty, never as an exception.

Shapes: an item is a data set of a Content Sequence (PS3.3 C.17.3). What this is not: a judgement.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from pydicom.dataset import Dataset

from dicom_ai.report import code
from dicom_ai.report.code import Term

TRACKING_IDENTIFIER, TRACKING_UID = "112039", "112040"
FINDING_SITE = "363698007"
ALGORITHM_PARAMETERS = "111002"
LANGUAGE_ITEM = "121049"
DEVICE_OBSERVER_UID = "121012"

PROBABILITIES = {terms.probability.value: terms for terms in code.CLASSES.values()}
FINDINGS = {terms.finding.value: class_id for class_id, terms in code.CLASSES.items()}


def children(item: Dataset) -> Sequence[Dataset]:
    """The items directly below."""
    return list(item.get("ContentSequence") or [])


def walk(item: Dataset) -> Iterator[Dataset]:
    """The item and everything below it, in order."""
    yield item
    for child in children(item):
        yield from walk(child)


def name(item: Dataset) -> str:
    """Code value of the item's concept name, "" without one."""
    return _code(item, "ConceptNameCodeSequence")


def value(item: Dataset) -> str:
    """Code value that a CODE item states, "" without one."""
    return _code(item, "ConceptCodeSequence")


def named(item: Dataset, term: Term | str) -> list[Dataset]:
    """The direct children of this name."""
    wanted = term if isinstance(term, str) else term.value
    return [child for child in children(item) if name(child) == wanted]


def number(item: Dataset) -> float | None:
    """The finite number of a NUM item, None where there is none."""
    measured = item.get("MeasuredValueSequence")
    try:
        found = float(measured[0].NumericValue) if measured else None
    except (AttributeError, TypeError, ValueError):
        return None
    return found if found is not None and isfinite(found) else None


def groups(report: Dataset) -> list[Dataset]:
    """The measurement groups."""
    return [
        group
        for container in named(report, code.IMAGING_MEASUREMENTS)
        for group in named(container, code.MEASUREMENT_GROUP)
    ]


def library(report: Dataset) -> list[Dataset]:
    """The images of the first group of the image library: viewers read no other."""
    found = [group for box in named(report, code.IMAGE_LIBRARY) for group in named(box, code.IMAGE_LIBRARY_GROUP)]
    return [item for item in children(found[0]) if item.get("ValueType") == "IMAGE"] if found else []


def answers(report: Dataset) -> dict[str, str]:
    """Finding code -> code of its state, at study level, in the order of the document."""
    boxes = named(report, code.QUALITATIVE_EVALUATIONS)
    return {name(item): value(item) for box in boxes for item in children(box) if item.get("ValueType") == "CODE"}


def language(report: Dataset) -> str:
    """Language of the document, "en" or "zh", as its language item says; "" when it says neither."""
    stated = {value(item) for item in named(report, LANGUAGE_ITEM)}
    return next((key for key, term in code.LANGUAGES.items() if term.value in stated), "")


@dataclass(frozen=True)
class Place:
    """Where a group's finding is: image, frame (one-based, None for a still), x, y, x, y, ... in full-frame pixels."""

    image: str
    frame: int | None
    points: tuple[float, ...]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 around the points."""
        xs, ys = self.points[0::2], self.points[1::2]
        return min(xs), min(ys), max(xs), max(ys)


def place(group: Dataset) -> Place | None:
    """The place of a group that has exactly one region on exactly one image and at most one frame; else None."""
    regions = [item for item in children(group) if item.get("ValueType") == "SCOORD"]
    images = [item for region in regions for item in children(region) if item.get("ValueType") == "IMAGE"]
    if len(regions) != 1 or len(images) != 1 or not images[0].get("ReferencedSOPSequence"):
        return None
    frames = reference_frames(images[0])
    points = tuple(float(number) for number in regions[0].get("GraphicData") or [])
    if len(frames) > 1 or len(points) < 2:
        return None
    uid = str(images[0].ReferencedSOPSequence[0].get("ReferencedSOPInstanceUID") or "")
    return Place(uid, frames[0] if frames else None, points)


def reference_frames(item: Dataset) -> tuple[int, ...]:
    """Frame numbers that an IMAGE item, or an item of Source Image Sequence, names."""
    holder = (item.get("ReferencedSOPSequence") or [item])[0]
    frames = holder.get("ReferencedFrameNumber")
    if frames is None:
        return ()
    return tuple(int(f) for f in frames) if hasattr(frames, "__iter__") else (int(frames),)


def is_verified(report: Dataset) -> bool:
    """Whether a person verified the document: then it speaks of what was assessed, not of everything."""
    return bool(report.get("VerificationFlag") == "VERIFIED")


def _code(item: Dataset, keyword: str) -> str:
    sequence = item.get(keyword)
    return str(sequence[0].get("CodeValue") or "") if sequence else ""
