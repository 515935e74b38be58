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

from sqlalchemy import Connection, select, update

from dicom_ai.finding import FrameScore
from dicom_ai.instance import Instance
from dicom_ai.kept import CropOutcome
from dicom_ai.store import events, tables
from dicom_ai.store.database import insert_once

STRUCTURED_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
"""What the SOP Class UIDs of structured reports begin with (PS3.4 B.5)."""


@dataclass(frozen=True)
class Member:
    """One object of a source set."""

    digest: str
    instance: Instance
    transfer_syntax_uid: str
    fault: str | None = None  # why it is quarantined


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
    found = connection.execute(select(tables.objects).select_from(joined).where(tables.members.c.set == set_id))
    members = [Member(one.digest, Instance.from_facts(one.facts), one.transfer_syntax, _fault(one)) for one in found]
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
    if insert_once(connection, tables.crops, {"object": digest}, values) and outcome.status != "cropped":
        quarantine(connection, digest, outcome.reason or "decode_failed", now)


def quarantine(connection: Connection, digest: str, reason: str, now: datetime) -> None:
    """Keep an object from analysis, with a reason a person can act on; its forwarding is not touched."""
    c = tables.objects.c
    mine = (c.digest == digest) & c.state.not_in(tables.NOT_STANDING)  # one that was replaced meanwhile stays so
    if connection.execute(update(tables.objects).where(mine).values(state="quarantined", reason=reason)).rowcount:
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
    insert_once(connection, tables.scores, key, {**key, "frames": values})


@dataclass(frozen=True)
class Analysis:
    """What the ledger knows of a finished analysis."""

    key: str
    set_id: str
    created_at: datetime
    content: str  # JSON text of report.content.ReportContent


def save_analysis(
    connection: Connection,
    analysis: Analysis,
    *,
    card: str | None,
    captures: Sequence[Mapping[str, Any]],
    kind: str = "analysed",
) -> bool:
    """Commit an analysis with its captures' digests; False when it stood already.

    Args:
        connection: open write transaction.
        analysis: to commit.
        card: digest of the card that scored it, None when no model is installed.
        captures: mappings with uid, sop_class, digest of capture objects that lie in the store already.
        kind: of the event; "not_analysed" when the report says why there are no findings.
    """
    values = {
        "key": analysis.key,
        "set": analysis.set_id,
        "card": card,
        "created_at": analysis.created_at,
        "content": json.loads(analysis.content),
    }
    if not insert_once(connection, tables.analyses, {"key": analysis.key}, values):
        return False
    for capture in captures:
        save_result(connection, analysis, kind="capture", result=capture)
    joined = select(tables.members.c.object).where(tables.members.c.set == analysis.set_id)
    connection.execute(
        update(tables.objects)
        .where(tables.objects.c.digest.in_(joined), tables.objects.c.state == "stored")
        .values(state="analysed", reason=None)
    )
    events.add(connection, analysis.created_at, kind, {"set": analysis.set_id, "analysis": analysis.key})
    return True


def save_result(connection: Connection, analysis: Analysis, *, kind: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """Commit a result object (uid, sop_class, digest) that lies in the store already; give the one that stands."""
    values = {
        **result,
        "analysis": analysis.key,
        "kind": kind,
        "created_at": analysis.created_at,
    }
    insert_once(connection, tables.results, {"uid": result["uid"]}, values)
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
    """Result objects of an analysis, as mappings with uid, sop_class, digest, always in the same order."""
    c = tables.results.c
    query = select(c.uid, c.sop_class, c.digest).where(c.analysis == key, c.kind == kind)
    query = query.order_by(c.created_at, c.uid)  # PostgreSQL promises none
    return [dict(row) for row in connection.execute(query).mappings()]


def predecessor_report(connection: Connection, set_id: str | None, sop_class: str) -> dict[str, Any] | None:
    """The newest report of the set or of those before it (uid, sop_class, digest), None when there is none.

    A set whose analysis failed has none, and the one before it still has. Where a set's report was made in several
    SOP classes the one in `sop_class` counts; pages and PDFs are no documents that another one can name.
    """
    c = tables.sets.c
    while set_id is not None:
        before = analysis_of_set(connection, set_id)
        made = results_of(connection, before.key, "report") if before is not None else []
        reports = [one for one in made if one["sop_class"].startswith(STRUCTURED_REPORTS)]
        if reports:
            return next((one for one in reports if one["sop_class"] == sop_class), reports[0])
        set_id = connection.execute(select(c.predecessor).where(c.id == set_id)).scalar_one()
    return None


def end_set(connection: Connection, found: SourceSet, reason: str, now: datetime) -> None:
    """End a set without findings; what has neither an answer nor a reason yet is quarantined with this one.

    A task that is switched off says nothing against an object: it stays as it is, with that reason.
    """
    c = tables.objects.c
    for member in found.members:
        stored = (c.digest == member.digest) & (c.state == "stored")
        if reason == "disabled":
            connection.execute(update(tables.objects).where(stored).values(reason=reason))
        elif connection.scalar(select(c.digest).where(stored)) is not None:
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


def answered(connection: Connection, set_id: str, now: datetime) -> bool:
    """Write down that nothing is left to be done for a set; False when it was written down already."""
    mine = (tables.sets.c.id == set_id) & tables.sets.c.answered_at.is_(None)
    return bool(connection.execute(update(tables.sets).where(mine).values(answered_at=now)).rowcount)


def _fault(row: Any) -> str | None:
    return row.reason if row.state == "quarantined" else None


def _analysis(row: Any) -> Analysis | None:
    if row is None:
        return None
    content = json.dumps(row["content"], ensure_ascii=False)
    return Analysis(row["key"], row["set"], row["created_at"], content)


def earlier_sets(connection: Connection, found: SourceSet) -> list[str]:
    """Ids of the earlier revisions of a set, the newest first."""
    c = tables.sets.c
    query = select(c.id).where(c.study == found.study, c.task == found.task, c.revision < found.revision)
    return list(connection.scalars(query.order_by(c.revision.desc())))
