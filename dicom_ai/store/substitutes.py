"""Stills that stand in for a clip's capture at a destination that refuses the clip, and what a destination has got.

The row of the clip ends as `other_form` in the transaction that queues its stills, so that exactly one of the two is
on its way at any moment. What this is not: the pictures (`report.stills`), or the jobs that carry them (`outbox`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from dicom_ai.store import events, tables
from dicom_ai.store.analyses import Analysis, save_result
from dicom_ai.store.database import insert_once
from dicom_ai.store.outbox import ARRIVED, DEAD, QUEUED, Due, due_of

STILL = "still"
"""Kind of the result; the kind of its delivery is capture."""


def substitute(
    connection: Connection,
    due: Due,
    analysis: Analysis,
    stills: Sequence[Mapping[str, Any]],
    *,
    status: str | None,
    now: datetime,
) -> tuple[Due, ...]:
    """Queue stills in the place of the clip's capture that `due` means; may be repeated.

    Args:
        connection: with a write transaction open.
        due: delivery of the clip's capture, picked up.
        analysis: it belongs to.
        stills: mappings with uid, sop_class and digest of objects that lie in the store already, at least one.
        status: DIMSE status with which the clip was refused, None when its context was.
        now: aware time.

    Returns:
        The deliveries of the stills that are still to be sent.
    """
    for still in stills:
        save_result(connection, analysis, kind=STILL, result=still)
        key = {"destination": due.destination, "result": still["uid"]}
        row = {"study": due.study, "kind": "capture", "analysis": analysis.key, "state": QUEUED, "queued_at": now}
        insert_once(connection, tables.deliveries, key, {**key, **row, "attempts": 0})
    c = tables.deliveries.c
    ended = {"state": DEAD, "reason": "other_form", "next_at": None, "last_status": status}
    mine = update(tables.deliveries).where(c.id == due.id, c.state == QUEUED)
    connection.execute(mine.values(**ended, attempts=c.attempts + 1))
    ids = {"delivery": due.id, "destination": due.destination, "count": len(stills)}
    events.add(connection, now, "other_form", ids)
    mine_now = (c.destination == due.destination) & c.result.in_([still["uid"] for still in stills])
    found = connection.execute(select(tables.deliveries).where(mine_now, c.state == QUEUED).order_by(c.id))
    return tuple(due_of(row) for row in found)


def is_report_under_way(connection: Connection, due: Due) -> bool:
    """Whether the report to which this capture belongs may have reached its destination already."""
    c = tables.deliveries.c
    report = (c.destination == due.destination) & (c.analysis == due.analysis) & (c.kind == "report")
    begun = (c.state.in_(ARRIVED)) | c.result.is_not(None)
    return bool(connection.scalar(select(func.count()).select_from(tables.deliveries).where(report, begun)))


def taken(connection: Connection, key: str, destination: str) -> set[str]:
    """SOP Instance UIDs of the captures and stills of an analysis that a destination has or is about to get."""
    c = tables.deliveries.c
    query = select(c.result).where(c.analysis == key, c.destination == destination, c.kind == "capture")
    return set(connection.scalars(query.where(c.state != DEAD)))


def report_at(connection: Connection, set_id: str | None, destination: str) -> dict[str, Any] | None:
    """The newest report of the set or of those before it that has arrived there (uid, sop_class, digest)."""
    d, r, a, s = tables.deliveries.c, tables.results.c, tables.analyses.c, tables.sets.c
    joined = tables.deliveries.join(tables.results, r.uid == d.result).join(tables.analyses, a.key == d.analysis)
    while set_id is not None:
        query = select(r.uid, r.sop_class, r.digest).select_from(joined)
        arrived = (a.set == set_id) & (d.destination == destination) & (d.kind == "report") & d.state.in_(ARRIVED)
        found = connection.execute(query.where(arrived).order_by(a.created_at.desc(), d.id.desc()).limit(1))
        row = found.mappings().one_or_none()
        if row is not None:
            return dict(row)
        set_id = connection.execute(select(s.predecessor).where(s.id == set_id)).scalar_one()
    return None
