"""Point 8: probabilities in %, each class once, and in agreement with the answers, the findings and the text.

A document's parts are compared with one another: swapped numbers, a class under another's name and an answer that its
numbers do not carry are found. What this is not: a comparison with the model's output; that takes the scores.
"""

import re
from collections.abc import Iterator

from pydicom.dataset import Dataset

from dicom_ai.finding import State
from dicom_ai.report import code
from dicom_ai.report.checklist import items
from dicom_ai.report.checklist.complaint import Complaint
from dicom_ai.report.code import class_terms
from dicom_ai.report.wording import say

_ROUNDED = 0.011
_SUM = 0.1
_THRESHOLD = re.compile(r"threshold\[(?P<code>[^\]]+)\]=(?P<percent>\d+(\.\d+)?) %")
_MARK = 98765.43
"""Stands for a number while a sentence becomes a pattern."""
_PRESENT, _ABSENT = code.STATES[State.PRESENT].value, code.STATES[State.ABSENT].value


def counted(report: Dataset) -> Iterator[Complaint]:
    """Point 8."""
    answers = items.answers(report)
    by_frame: dict[tuple[str, int | None], dict[str, float]] = {}
    for number, group in enumerate(items.groups(report), 1):
        yield from _numbers(group, number)
        stated = _stated(group)
        if stated and not items.is_verified(report):
            yield from _whole(group, stated, answers, number)
        place = items.place(group)
        if place is not None:
            frame = (place.image, place.frame)
            if stated:
                by_frame.setdefault(frame, stated)
            yield from _certainty(group, by_frame.get(frame, {}), number)
    if not items.is_verified(report):
        yield from _carried(report, answers, by_frame)
        yield from _told(report, answers)


def _numbers(group: Dataset, number: int) -> Iterator[Complaint]:
    for item in items.children(group):
        if item.get("ValueType") != "NUM":
            continue
        value, measured = items.number(item), item.get("MeasuredValueSequence") or [Dataset()]
        if value is None or not 0 <= value <= 100:
            yield Complaint(8, f"a number of group {number} is absent or not within 0..100")
        unit = (measured[0].get("MeasurementUnitsCodeSequence") or [Dataset()])[0]
        if unit.get("CodeValue") != code.PERCENT.value:
            yield Complaint(8, f"a number of group {number} is not in %")
        if re.fullmatch(r"\d+\.\d\d", str(measured[0].get("NumericValue", ""))) is None:
            yield Complaint(8, f"a number of group {number} has not two decimals")
        terms = items.PROBABILITIES.get(items.name(item))
        meant = [items.value(child) for child in items.named(item, code.FINDING)]
        if terms is not None and meant != [terms.finding.value]:
            yield Complaint(8, f"a probability of group {number} is named after one class and coded as another")


def _stated(group: Dataset) -> dict[str, float]:
    """Finding code -> probability in % of the group; a class stated twice is in point 8 anyway."""
    found = {}
    for item in items.children(group):
        terms, value = items.PROBABILITIES.get(items.name(item)), items.number(item)
        if terms is not None and value is not None:
            found[terms.finding.value] = value
    return found


def _whole(group: Dataset, stated: dict[str, float], answers: dict[str, str], number: int) -> Iterator[Complaint]:
    names = [items.name(item) for item in items.children(group) if items.name(item) in items.PROBABILITIES]
    if len(names) != len(set(names)) or set(stated) != set(answers):
        yield Complaint(8, f"group {number} has not each class of the study exactly once")
    if code.NORMAL.value in stated and abs(sum(stated.values()) - 100) > _SUM:
        yield Complaint(8, f"the probabilities of group {number} exclude one another and do not sum to 100 %")
    thresholds = _thresholds(group)
    over = [(p, c) for c, p in stated.items() if answers.get(c) == _PRESENT and p >= thresholds.get(c, 0.0)]
    found = [items.value(item) for item in items.named(group, code.FINDING)]
    if found and (not over or stated.get(found[0], -1.0) < max(over)[0]):
        yield Complaint(8, f"the finding of group {number} is not its most probable class that is present")
    yield from _site(group, found, number)


def _certainty(group: Dataset, stated: dict[str, float], number: int) -> Iterator[Complaint]:
    for item in items.named(group, code.CERTAINTY):
        found = [items.value(child) for child in items.named(group, code.FINDING)]
        value = items.number(item)
        if not found:
            yield Complaint(8, f"group {number} is certain of nothing")
        elif value is not None and found[0] in stated and abs(value - stated[found[0]]) > _ROUNDED:
            yield Complaint(8, f"the certainty of group {number} is not the probability of its class on that frame")
        yield from _site(group, found, number)


def _site(group: Dataset, found: list[str], number: int) -> Iterator[Complaint]:
    for item in items.named(group, items.FINDING_SITE):
        if found and found[0] in items.FINDINGS:
            site = class_terms(items.FINDINGS[found[0]]).site.value
            if items.value(item) != site:
                yield Complaint(8, f"the finding of group {number} does not belong to its site")


def _carried(
    report: Dataset, answers: dict[str, str], by_frame: dict[tuple[str, int | None], dict[str, float]]
) -> Iterator[Complaint]:
    """What is present has a frame that says so; where every image is a still, what is absent has none."""
    thresholds = {c: t for group in items.groups(report) for c, t in _thresholds(group).items()}
    only_stills = bool(by_frame) and all(frame is None for _, frame in by_frame)
    is_sigmoid = code.NORMAL.value not in answers
    for finding, state in answers.items():
        best = max((stated.get(finding, 0.0) for stated in by_frame.values()), default=0.0)
        at_least = thresholds.get(finding)
        if at_least is None:
            continue
        if state == _PRESENT and best < at_least - _ROUNDED:
            yield Complaint(8, "a class is present and no frame reaches its threshold")
        # An image that is not assessable may say anything; then the document is not complete.
        comparable = only_stills and is_sigmoid and report.get("CompletionFlag") == "COMPLETE"
        if state == _ABSENT and comparable and best > at_least + _ROUNDED and _is_whole(report):
            yield Complaint(8, "a class is absent and an image reaches its threshold")


def _is_whole(report: Dataset) -> bool:
    unassessable = say("unassessable", items.language(report) or "en").strip("; ；")
    return not any(unassessable in str(item.get("TextValue") or "") for item in items.walk(report))


def _told(report: Dataset, answers: dict[str, str]) -> Iterator[Complaint]:
    """The sentence for people says of every class the same as the codes."""
    language = items.language(report) or "en"
    text = " ".join(str(item.get("TextValue") or "") for item in items.walk(report))
    for finding, state in answers.items():
        if finding not in items.FINDINGS:
            continue
        term = next((term for term in code.STATES.values() if term.value == state), None)
        name = class_terms(items.FINDINGS[finding]).name(language)
        meant = term.meaning(language).lower() if term is not None else ""
        said = say("answer", language, name=name, state=meant, percent=_MARK, threshold=_MARK)
        pattern = re.escape(said).replace(re.escape(f"{_MARK:.2f}"), r"(\d+\.\d\d)")
        found = re.search(pattern, text)
        if found is None:
            yield Complaint(8, "the text does not say of a class what its code says")
        elif state == _PRESENT and float(found[1]) < float(found[2]) - _ROUNDED:
            yield Complaint(8, "the text calls a class present below its threshold")


def _thresholds(group: Dataset) -> dict[str, float]:
    texts = (str(item.get("TextValue") or "") for item in items.named(group, items.ALGORITHM_PARAMETERS))
    return {m["code"]: float(m["percent"]) for text in texts if (m := _THRESHOLD.fullmatch(text))}
