"""A Structured Report as lines of text: what a person sees who has no viewer.

Reads any SR content tree (PS3.3 C.17.3). What this is not: a validator; what is missing is not complained about.
"""

from collections.abc import Iterator

from pydicom.dataset import Dataset

QUALITATIVE_EVALUATIONS = "C0034375"


_FOR_MACHINES = frozenset({"111001", "111002", "111003", "111000", "112040", "121139", "110910", "110911"})
"""Algorithm items, tracking UIDs, modality and image size: repeated in every group, for programs."""


def report_lines(report: Dataset, *, brief: bool = False) -> list[str]:
    """The content tree, one item a line, indented by depth.

    Args:
        report: data set of an SR.
        brief: leave out what is repeated in every group for programs.
    """
    return list(_lines(report, 0, brief=brief))


def report_rows(report: Dataset) -> list[tuple[str, str, str]]:
    """(class, state, highest probability over the frames) as the report states them, in its order."""
    highest: dict[str, float] = {}
    for item in _all(report):
        if item.get("ValueType") != "NUM":
            continue
        for concept in (child for child in item.get("ContentSequence") or [] if child.get("ValueType") == "CODE"):
            code = str(concept.ConceptCodeSequence[0].CodeValue)
            highest[code] = max(highest.get(code, 0.0), _number(item))
    rows = []
    for container in _all(report):
        if _code(container) != QUALITATIVE_EVALUATIONS:
            continue
        for item in container.ContentSequence:
            if item.ValueType == "CODE":
                found = highest.get(_code(item))
                rows.append((_name(item), _value(item), "" if found is None else f"{found:.2f} %"))
    return rows


def stated(item: Dataset) -> tuple[str, str]:
    """Name and value of an item as people read them; "" for what it has not."""
    return _name(item), _value(item)


def _lines(item: Dataset, depth: int, *, brief: bool) -> Iterator[str]:
    if brief and _code(item) in _FOR_MACHINES:
        return
    name, value = _name(item), _value(item)
    yield "  " * depth + (f"{name}: {value}" if name and value else name or value)
    for child in item.get("ContentSequence") or []:
        yield from _lines(child, depth + 1, brief=brief)


def _all(item: Dataset) -> Iterator[Dataset]:
    yield item
    for child in item.get("ContentSequence") or []:
        yield from _all(child)


def _code(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else ""


def _name(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeMeaning) if names else ""


def _number(item: Dataset) -> float:
    measured = item.get("MeasuredValueSequence")
    return float(measured[0].NumericValue) if measured else 0.0


def _value(item: Dataset) -> str:
    kind = item.get("ValueType")
    if kind == "CODE":
        return str(item.ConceptCodeSequence[0].CodeMeaning)
    if kind == "TEXT":
        return str(item.TextValue)
    if kind == "PNAME":
        return str(item.PersonName)
    if kind == "UIDREF":
        return str(item.UID)
    if kind == "NUM" and item.get("MeasuredValueSequence"):
        measured = item.MeasuredValueSequence[0]
        return f"{float(measured.NumericValue):.2f} {measured.MeasurementUnitsCodeSequence[0].CodeValue}"
    if kind == "IMAGE":
        reference = item.ReferencedSOPSequence[0]
        frame = reference.get("ReferencedFrameNumber")
        return f"image {reference.ReferencedSOPInstanceUID}" + (f" frame {frame}" if frame else "")
    if kind == "SCOORD":
        return f"{item.GraphicType}, {len(item.GraphicData) // 2} points"
    return ""
