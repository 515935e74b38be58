"""Results on their way out: queued once for every destination, held with a reason, superseded by a later revision.

Only the newest revision of a study's results ever waits: when one is queued, what earlier ones have not delivered
yet is given up as `superseded`, and an earlier one that comes late is not queued at all. So the last report a
destination receives is always the newest there is. What this is not: objects of an analysis (`analyses`), or the jobs
that carry them (`outbox`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, select, update

from dicom_ai.store import events, tables
from dicom_ai.store.alarms import end_alarms
from dicom_ai.store.analyses import Analysis, SourceSet, earlier_sets, results_of
from dicom_ai.store.database import insert_once
from dicom_ai.store.outbox import DEAD, FINAL_REASONS, HELD, QUEUED

_NOT_DELIVERED = (QUEUED, HELD, DEAD)


@dataclass(frozen=True)
class Standing:
    """How results stand in the outbox: the state of their deliveries and the reason where they are not queued."""

    state: str = QUEUED
    reason: str | None = None


def queue(
    connection: Connection, analysis: Analysis, study: str, destination: str, *, standing: Standing, now: datetime
) -> None:
    """Put the report and the captures of an analysis into the outbox of one destination, once."""
    row = {"study": study, "destination": destination, "analysis": analysis.key, "queued_at": now}
    row |= {"state": standing.state, "reason": standing.reason}
    key = {"destination": destination, "analysis": analysis.key, "kind": "report"}
    if standing.reason != "no_model":  # what the grade rule held may go now: the site changed and somebody asked again
        c = tables.deliveries.c
        held = (c.analysis == analysis.key) & (c.destination == destination) & (c.state == HELD)
        connection.execute(update(tables.deliveries).where(held & (c.reason == "no_model")).values(**row))
    is_new = insert_once(connection, tables.deliveries, key, {**row, "kind": "report"})
    for capture in results_of(connection, analysis.key, "capture"):
        key = {"destination": destination, "result": capture["uid"]}
        insert_once(connection, tables.deliveries, key, {**row, "kind": "capture", "result": capture["uid"]})
    if standing.state == HELD and is_new:
        ids = {"analysis": analysis.key, "destination": destination, "reason": standing.reason}
        events.add(connection, now, "held", ids)


def lock(connection: Connection, study: str) -> None:
    """Let nobody else queue results of this study until this transaction ends (PostgreSQL)."""
    connection.execute(select(tables.studies.c.id).where(tables.studies.c.id == study).with_for_update())


def is_superseded(connection: Connection, found: SourceSet) -> bool:
    """Whether results of a later revision of this set were queued already."""
    c = tables.sets.c
    later = (c.study == found.study) & (c.task == found.task) & (c.revision > found.revision)
    is_analysed = exists().where(tables.analyses.c.set == c.id)
    return connection.scalar(select(c.id).where(later, c.answered_at.is_not(None), is_analysed).limit(1)) is not None


def supersede(connection: Connection, found: SourceSet, key: str, now: datetime) -> int:
    """Give up what earlier revisions of this set have not delivered yet; return how much that was.

    Results of the analysis `key`, which answers for this set, stay: a revision over the same objects has the same.
    """
    c = tables.deliveries.c
    of_earlier = select(tables.analyses.c.key).where(tables.analyses.c.set.in_(earlier_sets(connection, found)))
    is_final = c.reason.in_(FINAL_REASONS)
    waiting = (
        c.analysis.in_(of_earlier)
        & (c.analysis != key)
        & c.state.in_(_NOT_DELIVERED)
        & (c.reason.is_(None) | ~is_final)
    )
    given_up = connection.execute(
        update(tables.deliveries).where(waiting).values(state=DEAD, reason="superseded", next_at=None).returning(c.id)
    ).all()
    for (delivery,) in given_up:
        end_alarms(connection, now, delivery=delivery)
    if given_up:
        events.add(connection, now, "superseded", {"set": found.id, "study": found.study, "count": len(given_up)})
    return len(given_up)


def grade_of(connection: Connection, key: str) -> str:
    """The grade of the model that an analysis names; "demonstration" when it names none."""
    content: Mapping[str, Any] | None = connection.scalar(
        select(tables.analyses.c.content).where(tables.analyses.c.key == key)
    )
    try:
        return str((content or {})["analysis"]["model"]["grade"])
    except (KeyError, TypeError):
        return "demonstration"


def attach_report(connection: Connection, delivery_id: int, uid: str | None) -> None:
    """Say which report object a delivery carries; it stays the same on every retry, until that form is refused.

    None: every form was refused, and another try begins with the best one again.
    """
    connection.execute(update(tables.deliveries).where(tables.deliveries.c.id == delivery_id).values(result=uid))


def report_begun(connection: Connection, uid: str | None) -> dict[str, Any] | None:
    """The report object (uid, sop_class, digest) that a delivery carries already, None when it carries none."""
    c = tables.results.c
    row = connection.execute(select(c.uid, c.sop_class, c.digest).where(c.uid == uid)).mappings().one_or_none()
    return dict(row) if row is not None else None


def stored_digest(connection: Connection, *, digest: str | None, result: str | None) -> str:
    """Digest of the file a delivery means: the object itself, or the result of this UID."""
    if digest is not None:
        return digest
    query = select(tables.results.c.digest).where(tables.results.c.uid == result)
    return str(connection.execute(query).scalar_one())
