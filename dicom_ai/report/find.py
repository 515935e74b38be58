"""Items of a Structured Report found by what they are called; the same words for who writes a tree and who reads one.

Reads any content tree (PS3.3 C.17.3), foreign ones too: what is not there is an empty answer. What this is not: a
validator, or text for people (`text`).
"""

from collections.abc import Iterator

from pydicom.dataset import Dataset

from dicom_ai.kept import Polygon
from dicom_ai.report import code
from dicom_ai.report.code import Term, class_of


def walk(item: Dataset) -> Iterator[Dataset]:
    """The item and all below it, in order."""
    yield item
    for child in children(item):
        yield from walk(child)


def children(item: Dataset) -> list[Dataset]:
    """The items directly below."""
    return list(item.get("ContentSequence") or [])


def is_called(item: Dataset, term: Term) -> bool:
    """Whether the item's concept name is `term`, by value and scheme."""
    return _is(item.get("ConceptNameCodeSequence"), term)


def below(item: Dataset, term: Term) -> list[Dataset]:
    """Children called `term`."""
    return [child for child in children(item) if is_called(child, term)]


def groups(report: Dataset) -> list[Dataset]:
    """The measurement groups of a report, in order."""
    boxes = below(report, code.IMAGING_MEASUREMENTS)
    return [group for box in boxes for group in below(box, code.MEASUREMENT_GROUP)]


def groups_anywhere(report: Dataset) -> list[Dataset]:
    """Measurement groups wherever a document of another maker has them, in order."""
    return [
        item
        for item in walk(report)
        if item.get("ValueType") == "CONTAINER" and is_called(item, code.MEASUREMENT_GROUP)
    ]


def text(item: Dataset, term: Term, keyword: str = "TextValue") -> str:
    """Text, or the value of another keyword, of the first child called `term`; "" when there is none."""
    found = below(item, term)
    return str(found[0].get(keyword) or "").strip() if found else ""


def tracking_uid(group: Dataset) -> str:
    """Tracking UID of a group."""
    return text(group, code.TRACKING_UID, "UID")


def coded(item: Dataset, term: Term) -> tuple[str, str] | None:
    """(value, scheme) that the first CODE child called `term` has; None when there is none."""
    for child in below(item, term):
        found = child.get("ConceptCodeSequence")
        if found:
            return str(found[0].get("CodeValue") or ""), str(found[0].get("CodingSchemeDesignator") or "")
    return None


def class_found(item: Dataset, term: Term) -> str | None:
    """Our class that the first CODE child called `term` names; None when there is none, or it is not ours."""
    found = coded(item, term)
    return class_of(*found) if found is not None else None


def region(group: Dataset) -> Dataset | None:
    """The SCOORD of a group."""
    return next((child for child in children(group) if child.get("ValueType") == "SCOORD"), None)


def region_below(group: Dataset) -> Dataset | None:
    """The SCOORD of a group, its own or else the first of an item below, as it hangs under a measurement by some."""
    return region(group) or next((item for item in walk(group) if item.get("ValueType") == "SCOORD"), None)


def polygon(scoord: Dataset) -> Polygon:
    """Vertices of a SCOORD, (column, row) in pixels of the full frame."""
    values = [float(value) for value in scoord.get("GraphicData") or []]
    return tuple(zip(values[::2], values[1::2], strict=True))


def source(scoord: Dataset) -> tuple[str, int | None]:
    """(SOP Instance UID, frame number from 1 or None) that a SCOORD is selected from; ("", None) when unsaid."""
    for child in children(scoord):
        for reference in child.get("ReferencedSOPSequence") or []:
            frame = reference.get("ReferencedFrameNumber")
            number = frame if frame is None or isinstance(frame, (int, str)) else frame[0]
            return str(reference.get("ReferencedSOPInstanceUID") or ""), None if number is None else int(number)
    return "", None


def language(report: Dataset) -> str:
    """The language that the report states: "zh", or else "en"."""
    stated = coded(report, code.LANGUAGE) or ("", "")
    return "zh" if stated[0].startswith("zh") else "en"


def _is(sequence: object, term: Term) -> bool:
    item = sequence[0] if sequence else None  # type: ignore[index]
    return item is not None and (item.get("CodeValue"), item.get("CodingSchemeDesignator")) == (term.value, term.scheme)
