"""Members, crops, scores, analyses and results in the ledger: what the workflow commits between two steps.

Every function works inside the caller's transaction and may be repeated after a crash: what stands already is
left as it is (crops, scores and analyses are functions of their keys).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select, update

from dicom_ai.finding import FrameScore
from dicom_ai.instance import Instance
from dicom_ai.kept import CropOutcome
from dicom_ai.store import events, tables


@dataclass(frozen=True)
class Member:
    """One object of a source set."""

    digest: str
    instance: Instance
    transfer_syntax_uid: str


@dataclass(frozen=True)
class SourceSet:
    """A closed source set: one study, one task, cumulative.

    Attributes:
        study: our own id of the study.
        members: in the scanner's order.
    """

    id: str
    study: str
    task: str
    revision: int
    predecessor: str | None
    members: tuple[Member, ...]


def source_set(connection: Connection, set_id: str) -> SourceSet:
    """Read a set with its members; KeyError when there is none of this id."""
    row = connection.execute(select(tables.sets).where(tables.sets.c.id == set_id)).mappings().one_or_none()
    if row is None:
        raise KeyError(set_id)
    joined = tables.members.join(tables.objects, tables.members.c.object == tables.objects.c.digest)
    found = connection.execute(
        select(tables.objects.c.digest, tables.objects.c.facts, tables.objects.c.transfer_syntax)
        .select_from(joined)
        .where(tables.members.c.set == set_id)
    )
    members = [Member(digest, Instance.from_facts(facts), syntax) for digest, facts, syntax in found]
    members.sort(key=lambda one: one.instance.place)
    return SourceSet(row["id"], row["study"], row["task"], row["revision"], row["predecessor"], tuple(members))


def crop_of(connection: Connection, digest: str) -> CropOutcome | None:
    """The committed crop of an object, None before it was cropped."""
    row = connection.execute(select(tables.crops.c.row).where(tables.crops.c.object == digest)).scalar_one_or_none()
    return CropOutcome.of(row) if row is not None else None


def outcome_digest(outcome: CropOutcome) -> str:
    """SHA-256 of the canonical crop row."""
    text = json.dumps(outcome.row(), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def save_crop(connection: Connection, digest: str, outcome: CropOutcome, now: datetime) -> None:
    """Commit what the crop decided; an object that was not cropped is quarantined with its reason."""
    row = outcome.row()
    values = {
        "object": digest,
        "outcome": outcome_digest(outcome),
        "status": outcome.status,
        "keep": row["keep"],
        "votes": row["votes"],
        "reason": outcome.reason,
        "row": row,
    }
    if _add(connection, tables.crops, {"object": digest}, values) and outcome.status != "cropped":
        quarantine(connection, digest, outcome.reason or "decode_failed", now)


def quarantine(connection: Connection, digest: str, reason: str, now: datetime) -> None:
    """Keep an object from analysis, with a reason a person can act on; its forwarding is not touched."""
    connection.execute(
        update(tables.objects).where(tables.objects.c.digest == digest).values(state="quarantined", reason=reason)
    )
    events.add(connection, now, "quarantined", {"object": digest, "reason": reason})


def scores_of(connection: Connection, digest: str, crop: str, card: str) -> tuple[FrameScore, ...] | None:
    """Committed frame scores of an object under a crop and a card, None before it was scored."""
    c = tables.scores.c
    query = select(c.frames).where(c.object == digest, c.crop == crop, c.card == card)
    rows = connection.execute(query).scalar_one_or_none()
    if rows is None:
        return None
    return tuple(FrameScore(number, tuple(probabilities), assess) for number, probabilities, assess in rows)


def save_scores(connection: Connection, digest: str, crop: str, card: str, frames: Sequence[FrameScore]) -> None:
    """Commit frame scores; they stand before a report is built."""
    values = [[f.frame_number, list(f.probabilities), f.assessability] for f in frames]
    key = {"object": digest, "crop": crop, "card": card}
    _add(connection, tables.scores, key, {**key, "frames": values})


@dataclass(frozen=True)
class Analysis:
    """What the ledger knows of a finished analysis."""

    key: str
    set_id: str
    created_at: datetime
    content: str  # JSON text of report.content.ReportContent


def save_analysis(
    connection: Connection, analysis: Analysis, *, card: str | None, captures: Sequence[Mapping[str, Any]]
) -> bool:
    """Commit an analysis with its captures' digests; False when it stood already.

    Args:
        connection: open write transaction.
        analysis: to commit.
        card: digest of the card that scored it, None when no model is installed.
        captures: mappings with uid, sop_class, digest of capture objects that lie in the store already.
    """
    values = {
        "key": analysis.key,
        "set": analysis.set_id,
        "card": card,
        "created_at": analysis.created_at,
        "content": json.loads(analysis.content),
    }
    if not _add(connection, tables.analyses, {"key": analysis.key}, values):
        return False
    for capture in captures:
        save_result(connection, analysis, kind="capture", result=capture)
    joined = select(tables.members.c.object).where(tables.members.c.set == analysis.set_id)
    connection.execute(
        update(tables.objects)
        .where(tables.objects.c.digest.in_(joined), tables.objects.c.state == "stored")
        .values(state="analysed")
    )
    events.add(connection, analysis.created_at, "analysed", {"set": analysis.set_id, "analysis": analysis.key})
    return True


def save_result(connection: Connection, analysis: Analysis, *, kind: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """Commit a result object (uid, sop_class, digest) that lies in the store already; give the one that stands."""
    values = {
        **result,
        "analysis": analysis.key,
        "kind": kind,
        "created_at": analysis.created_at,
    }
    _add(connection, tables.results, {"uid": result["uid"]}, values)
    c = tables.results.c
    query = select(c.uid, c.sop_class, c.digest).where(c.uid == result["uid"])
    return dict(connection.execute(query).mappings().one())


def analysis_of_set(connection: Connection, set_id: str) -> Analysis | None:
    """The newest analysis of a set, None when it has none."""
    query = (
        select(tables.analyses)
        .where(tables.analyses.c.set == set_id)
        .order_by(tables.analyses.c.created_at.desc())
        .limit(1)
    )
    return _analysis(connection.execute(query).mappings().one_or_none())


def analysis(connection: Connection, key: str) -> Analysis | None:
    """The analysis of this key."""
    query = select(tables.analyses).where(tables.analyses.c.key == key)
    return _analysis(connection.execute(query).mappings().one_or_none())


def results_of(connection: Connection, key: str, kind: str) -> list[dict[str, Any]]:
    """Result objects of an analysis, as mappings with uid, sop_class, digest, in order of their UIDs' creation."""
    c = tables.results.c
    query = select(c.uid, c.sop_class, c.digest).where(c.analysis == key, c.kind == kind)
    return [dict(row) for row in connection.execute(query).mappings()]


def predecessor_report(connection: Connection, set_id: str | None, sop_class: str) -> dict[str, Any] | None:
    """The newest report of the set or of those before it (uid, sop_class, digest), None when there is none.

    A set whose analysis failed has none, and the one before it still has. Where a set's report was made in several
    SOP classes the one in `sop_class` counts.
    """
    c = tables.sets.c
    while set_id is not None:
        before = analysis_of_set(connection, set_id)
        reports = results_of(connection, before.key, "report") if before is not None else []
        if reports:
            return next((one for one in reports if one["sop_class"] == sop_class), reports[0])
        set_id = connection.execute(select(c.predecessor).where(c.id == set_id)).scalar_one()
    return None


def attach_report(connection: Connection, delivery_id: int, uid: str) -> None:
    """Say which report object a delivery carries; it stays the same on every retry."""
    connection.execute(update(tables.deliveries).where(tables.deliveries.c.id == delivery_id).values(result=uid))


def stored_digest(connection: Connection, *, digest: str | None, result: str | None) -> str:
    """Digest of the file a delivery means: the object itself, or the result of this UID."""
    if digest is not None:
        return digest
    query = select(tables.results.c.digest).where(tables.results.c.uid == result)
    return str(connection.execute(query).scalar_one())


def end_set(connection: Connection, found: SourceSet, reason: str, now: datetime) -> None:
    """End a set without an analysis; what has neither an answer nor a reason yet is quarantined with this one."""
    c = tables.objects.c
    for member in found.members:
        if connection.scalar(select(c.state).where(c.digest == member.digest)) == "stored":
            quarantine(connection, member.digest, reason, now)
    if answered(connection, found.id, now):
        events.add(connection, now, "set_ended", {"set": found.id, "reason": reason})


def unanswered_sets(connection: Connection) -> list[str]:
    """Ids of the closed sets that are nobody's predecessor and have neither queued results nor a recorded end."""
    superseded = select(tables.sets.c.predecessor).where(tables.sets.c.predecessor.is_not(None))
    query = select(tables.sets.c.id).where(
        tables.sets.c.state == "closed",
        tables.sets.c.answered_at.is_(None),
        tables.sets.c.id.not_in(superseded),
    )
    return list(connection.scalars(query))


def queue_results(
    connection: Connection, analysis: Analysis, study: str, destination: str, *, held: bool, now: datetime
) -> None:
    """Queue the report and the captures of an analysis for one destination; `held` when its grade forbids it."""
    state = {"state": "held", "reason": "no_model"} if held else {"state": "queued", "reason": None}
    row = {"study": study, "destination": destination, "analysis": analysis.key, "queued_at": now, **state}
    key = {"destination": destination, "analysis": analysis.key, "kind": "report"}
    is_new = _add(connection, tables.deliveries, key, {**row, "kind": "report"})
    for capture in results_of(connection, analysis.key, "capture"):
        key = {"destination": destination, "result": capture["uid"]}
        _add(connection, tables.deliveries, key, {**row, "kind": "capture", "result": capture["uid"]})
    if held and is_new:
        ids = {"analysis": analysis.key, "destination": destination, "reason": "no_model"}
        events.add(connection, now, "held", ids)


def answered(connection: Connection, set_id: str, now: datetime) -> bool:
    """Write down that nothing is left to be done for a set; False when it was written down already."""
    mine = (tables.sets.c.id == set_id) & tables.sets.c.answered_at.is_(None)
    return bool(connection.execute(update(tables.sets).where(mine).values(answered_at=now)).rowcount)


def _analysis(row: Any) -> Analysis | None:
    if row is None:
        return None
    content = json.dumps(row["content"], ensure_ascii=False)
    return Analysis(row["key"], row["set"], row["created_at"], content)


def _add(connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Insert unless a row of this key stands; write transactions are serial, so look-then-insert is safe here."""
    where = [table.c[name] == value for name, value in key.items()]
    if connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one():
        return False
    connection.execute(insert(table).values(**values))
    return True
