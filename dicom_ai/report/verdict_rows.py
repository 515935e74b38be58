"""A reader's verdict read back as rows: one per finding that was assessed or missed, each a label for training.

A finding that is not in the document was not assessed and makes no row: silence is no label. What the AI said is read
from its own report when that is at hand, because nobody can have altered it there. Documents of other makers are read
whatever their layout: groups anywhere in the tree, no device observer, an outline of any shape, none where the AI's
stands. What this is not: which documents count (a ledger knows that), or who may train with them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo

from pydicom.dataset import Dataset

from dicom_ai.instance import STRUCTURED_REPORTS
from dicom_ai.kept import Polygon
from dicom_ai.report import code, find
from dicom_ai.report.code import CLASSES
from dicom_ai.report.header import timezone_offset
from dicom_ai.report.outline import outline

MISSED = "MISSED"
"""Verdict of a row about a finding that the AI did not report."""

_THRESHOLD = re.compile(r"threshold\[(?P<code>[^\]]+)\]=(?P<percent>[0-9.]+) %")
_PLACES = ((0, 4), (4, 2), (6, 2), (8, 2), (10, 2), (12, 2))
_MOMENT = re.compile(r"(?P<digits>\d{14})(?:\.\d+)?(?P<offset>[+-]\d{4})?")


@dataclass(frozen=True)
class VerdictRow:
    """One label.

    Attributes:
        tracking_uid: of the finding.
        image, frame: SOP Instance UID and one-based frame number (None: a still, or a clip as a whole) it is on.
        class_id: what the AI found there; None: nothing, or the finding was missed.
        probability, threshold: of that class, 0..1.
        device_uid: of the model; "" when no report says it.
        verdict: ACCEPTED, MODIFIED, REJECTED or MISSED.
        reader_class: what the reader found there; None where the AI's stands or the finding was rejected.
        region: the reader's outline, full-frame pixels; None likewise.
        reason: text of the reader.
    """

    tracking_uid: str
    image: str
    frame: int | None
    class_id: str | None
    probability: float | None
    threshold: float | None
    device_uid: str
    verdict: str
    reader_class: str | None = None
    region: Polygon | None = None
    reason: str = ""


@dataclass(frozen=True)
class VerdictDocument:
    """A verified document about an AI report.

    Attributes:
        uid: SOP Instance UID.
        reports: SOP Instance UIDs of its predecessors.
        reader, organisation: who verified it last.
        verified_at: aware time of that.
    """

    uid: str
    study_uid: str
    reports: tuple[str, ...]
    reader: str
    organisation: str
    verified_at: datetime
    rows: tuple[VerdictRow, ...]


def predecessors(document: Dataset) -> tuple[str, ...]:
    """SOP Instance UIDs of the documents that this one follows."""
    return tuple(
        str(reference.get("ReferencedSOPInstanceUID") or "")
        for study in document.get("PredecessorDocumentsSequence") or []
        for series in study.get("ReferencedSeriesSequence") or []
        for reference in series.get("ReferencedSOPSequence") or []
    )


def is_verdict(document: Dataset) -> bool:
    """Whether a data set is verified, has a predecessor and speaks our codes or of our tracking UIDs."""
    return (
        document.get("SOPClassUID") in STRUCTURED_REPORTS
        and document.get("VerificationFlag") == "VERIFIED"
        and document.get("CompletionFlag") == "COMPLETE"
        and bool(document.get("VerifyingObserverSequence"))
        and bool(predecessors(document))
        and find.is_called(document, code.REPORT_TITLE)
    )


def read_verdict(document: Dataset, report: Dataset | None = None, *, zone: tzinfo) -> VerdictDocument:
    """Read a document for which `is_verdict` holds.

    Args:
        document: the verdict; made here or in another system.
        report: the AI report it is about, when at hand: what it says of the AI counts.
        zone: of the site, for a time whose zone the document does not state.

    Raises:
        ValueError: the document lacks what a verdict must have, or contradicts itself.
    """
    last, verified_at = _last_observer(document, zone)
    theirs = _by_uid(find.groups(report)) if report is not None else {}
    rows = [_row(group, theirs, document, report) for group in find.groups_anywhere(document)]
    known = [row for row in rows if row is not None]
    if len({row.tracking_uid for row in known}) != len(known):
        raise ValueError("a finding is assessed twice")
    return VerdictDocument(
        uid=str(document.SOPInstanceUID),
        study_uid=str(document.StudyInstanceUID),
        reports=predecessors(document),
        reader=str(last.get("VerifyingObserverName") or ""),
        organisation=str(last.get("VerifyingOrganization") or ""),
        verified_at=verified_at,
        rows=tuple(known),
    )


def prevailing(documents: Iterable[VerdictDocument]) -> Mapping[str, VerdictDocument]:
    """AI report -> the last verified document about it; earlier ones are replaced whole."""
    last: dict[str, VerdictDocument] = {}
    for document in sorted(documents, key=lambda one: (one.verified_at, one.uid)):
        last |= dict.fromkeys(document.reports, document)
    return last


def _row(group: Dataset, theirs: Mapping[str, Dataset], document: Dataset, report: Dataset | None) -> VerdictRow | None:
    uid = find.tracking_uid(group)
    said = (find.coded(group, code.AI_ASSESSMENT) or ("", ""))[0]
    is_ours = uid in theirs or (report is None and bool(find.below(group, code.ALGORITHM_PARAMETERS)))
    if not uid:
        if said:
            raise ValueError("a finding is assessed that has no tracking UID")
        return None  # a measurement of the reader's that is no finding of anything here
    if not is_ours:
        return None if said else _missed(group, uid)  # an assessment of nothing known speaks of another report
    if not said:
        return None  # repeated and not assessed
    if said not in code.ASSESSMENTS:
        raise ValueError("a finding has an assessment that is not in the code table")
    return _assessed(group, theirs.get(uid), said, report if report is not None else document)


def _missed(group: Dataset, uid: str) -> VerdictRow | None:
    """A finding of the reader's own; None when it is of no class of ours, or an algorithm's."""
    mine, scoord = find.class_found(group, code.FINDING), find.region_below(group)
    if mine is None or find.below(group, code.ALGORITHM_PARAMETERS):
        return None
    if scoord is None:
        raise ValueError("a finding of the reader's lies on no image")
    image, frame = find.source(scoord)
    reason = find.text(group, code.COMMENT)
    return VerdictRow(uid, image, frame, None, None, None, "", MISSED, mine, outline(scoord), reason)


def _assessed(group: Dataset, original: Dataset | None, said: str, of_report: Dataset) -> VerdictRow:
    """A finding of the AI's: `original` is its own group when the report is at hand, and then what it says counts."""
    before = find.region(original) if original is not None else None
    scoord = find.region_below(group) or before
    if scoord is None:
        raise ValueError("a finding lies on no image")
    image, frame = find.source(before if before is not None else scoord)
    _require_same(find.source(scoord), (image, frame))
    of_ai = original if original is not None else group
    mine = _class_said(group, original, said)
    found = find.class_found(of_ai, code.FINDING if original is not None else code.AI_FINDING)
    if original is None and found is None:
        found = mine
    return VerdictRow(
        tracking_uid=find.tracking_uid(group),
        image=image,
        frame=frame,
        class_id=found,
        probability=_probability(of_ai, found),
        threshold=_threshold(of_ai, found),
        device_uid=find.text(of_report, code.DEVICE_OBSERVER_UID, "UID"),
        verdict=said,
        reader_class=mine if said == "MODIFIED" and mine != found else None,
        region=_other_region(scoord, before) if said == "MODIFIED" else None,
        reason=find.text(group, code.COMMENT),
    )


def _class_said(group: Dataset, original: Dataset | None, said: str) -> str | None:
    """The class that the group names now; what the reader says of a finding must fit what is named in it."""
    mine, word = find.class_found(group, code.FINDING), find.coded(group, code.FINDING)
    if original is None or word is None or word == find.coded(original, code.FINDING):
        return mine
    if said != "MODIFIED" or mine is None:
        raise ValueError("a finding is another one than the AI's without being modified, or is of no class of ours")
    return mine


def _require_same(said: tuple[str, int | None], before: tuple[str, int | None]) -> None:
    """A document may leave out where the AI's finding lies, or number the one frame of a still; not say otherwise."""
    is_other_frame = None not in (said[1], before[1]) and said[1] != before[1]
    if said[0] not in ("", before[0]) or is_other_frame:
        raise ValueError("a finding is assessed in another place than it was found in")


def _other_region(scoord: Dataset, before: Dataset | None) -> Polygon | None:
    """The outline of a modified finding if it is the reader's; of a document alone nobody can tell, so it is given."""
    polygon = outline(scoord)
    if polygon is None:
        raise ValueError("a modified region is a point")
    return None if before is not None and find.polygon(before) == polygon else polygon


def _by_uid(groups: Sequence[Dataset]) -> dict[str, Dataset]:
    return {find.tracking_uid(group): group for group in groups}


def _probability(group: Dataset, class_id: str | None) -> float | None:
    """0..1: the number named after the class, else the certainty of the group's own finding."""
    if class_id is None:
        return None
    for term in (CLASSES[class_id].probability, code.CERTAINTY):
        for item in find.below(group, term):
            if item.get("MeasuredValueSequence"):
                return round(float(item.MeasuredValueSequence[0].NumericValue) / 100, 4)
    return None


def _threshold(group: Dataset, class_id: str | None) -> float | None:
    """0..1, from the algorithm's parameters."""
    if class_id is None:
        return None
    for item in find.below(group, code.ALGORITHM_PARAMETERS):
        found = _THRESHOLD.fullmatch(str(item.get("TextValue") or ""))
        if found and found["code"] == CLASSES[class_id].finding.value:
            return round(float(found["percent"]) / 100, 4)
    return None


def _last_observer(document: Dataset, zone: tzinfo) -> tuple[Dataset, datetime]:
    """The last one to verify, and when."""
    stated = timezone_offset(document)
    found = [(_moment(item, stated, zone), item) for item in document.VerifyingObserverSequence]
    when, item = max(found, key=lambda pair: pair[0])
    return item, when


def _moment(item: Dataset, stated: str, zone: tzinfo) -> datetime:
    found = _MOMENT.fullmatch(str(item.get("VerificationDateTime") or "").strip())
    if found is None:
        raise ValueError("a verdict does not say when it was verified")
    digits = found["digits"]  # by position: strptime would read a thirteenth month as the first
    year, month, day, hour, minute, second = (int(digits[at : at + n]) for at, n in _PLACES)
    moment = datetime(year, month, day, hour, minute, min(second, 59))  # noqa: DTZ001 - its zone follows
    offset = found["offset"] or stated
    if not offset:
        return moment.replace(tzinfo=zone)
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    return moment.replace(tzinfo=timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes)))
