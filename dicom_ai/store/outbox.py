"""Deliveries and the jobs that carry them: no object is left without a job, no job is multiplied by a busy study.

Every (study, destination) has one current generation. A generation opened later supersedes it, and a superseded job
acts only if its successor is not due yet (it then was interrupted, and resumes). The invariant: whenever a delivery is
queued, either a generation is open that runs no later than the delivery is due, or a job is at work that ends with
`record` or `retry` for every delivery it picked up. Jobs of one destination must not run at the same time: a
delivery picked up is still queued. What this is not: sending.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, func, insert, or_, select, update

from dicom_ai.ports import Enqueue, Job
from dicom_ai.store import events, outages
from dicom_ai.store.tables import deliveries, outbox

QUEUED, SENT, CONFIRMED, UNVERIFIED, HELD, DEAD = "queued", "sent", "confirmed", "unverified", "held", "dead"
UNFINISHED = (QUEUED, SENT, HELD)
ARRIVED = (SENT, CONFIRMED, UNVERIFIED)
"""States of a delivery whose object lies, as far as we know, at its destination."""
FINAL_REASONS = ("superseded", "replaced", "mixed_patient", "recalled", "other_form")
"""Of dead deliveries that nobody may revive: something took their place, or they are wrong or of another patient."""

_TOLERANCE = timedelta(seconds=0.25)  # an open job this much later is not worth another one


@dataclass(frozen=True)
class Due:
    """A delivery whose time has come; exactly one of object and analysis is set."""

    id: int
    study: str
    destination: str
    kind: str
    object: str | None
    analysis: str | None
    result: str | None
    attempts: int
    queued_at: datetime


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt: the new state, the DIMSE status as "0xNNNN" and a reason code where one applies."""

    state: str
    status: str | None = None
    reason: str | None = None


def open_outbox(
    connection: Connection, study: str, destination: str, *, now: datetime, delay_s: float, enqueue: Enqueue
) -> None:
    """See to it that a job runs for this study and destination after at most `delay_s` seconds.

    Call it in the transaction that queued the delivery. A job that is open and soon enough is left alone; one that
    waits for a later retry is superseded, so that fresh objects do not wait for a back-off.
    """
    due_at = now + timedelta(seconds=delay_s)
    key = (outbox.c.study == study) & (outbox.c.destination == destination)
    row = connection.execute(select(outbox).where(key).with_for_update()).first()
    if row is not None and row.is_open and row.due_at <= due_at + _TOLERANCE:
        return
    generation = row.generation + 1 if row is not None else 1
    values = {"generation": generation, "is_open": True, "due_at": due_at}
    if row is None:
        connection.execute(insert(outbox).values(study=study, destination=destination, **values))
    else:
        connection.execute(update(outbox).where(key).values(**values))
    job = Job(
        "deliver",
        id=_job_id(study, destination, generation),
        queue="deliver",
        arguments=(study, destination, generation),
        delay_s=delay_s,
        partition=destination,
    )
    enqueue(connection, job)


def pick_up(
    connection: Connection, study: str, destination: str, *, generation: int, now: datetime, enqueue: Enqueue
) -> Sequence[Due]:
    """Take what is due, as the job of one generation; what is due later gets a generation of its own.

    May be repeated after a crash. Rows stay queued until `record` or `retry`: they are sent at least once.

    Returns:
        Deliveries in the order they were queued; none if the successor of a superseded generation sees to them.
    """
    key = (outbox.c.study == study) & (outbox.c.destination == destination)
    row = connection.execute(select(outbox).where(key).with_for_update()).first()
    if row is None:
        return ()
    if row.generation == generation:
        connection.execute(update(outbox).where(key).values(is_open=False))
    elif not row.is_open or row.due_at <= now + _TOLERANCE:
        return ()  # superseded by a job that is at work or about to be
    queued = (deliveries.c.study == study) & (deliveries.c.destination == destination) & (deliveries.c.state == QUEUED)
    is_due = or_(deliveries.c.next_at.is_(None), deliveries.c.next_at <= now)
    due = connection.execute(select(deliveries).where(queued, is_due).order_by(deliveries.c.id)).all()
    later = _earliest(connection.scalars(select(deliveries.c.next_at).where(queued, ~is_due)).all())
    if later is not None:
        open_outbox(connection, study, destination, now=now, delay_s=(later - now).total_seconds(), enqueue=enqueue)
    return tuple(due_of(found) for found in due)


def record(connection: Connection, delivery_id: int, outcome: Outcome) -> None:
    """Write down an attempt after which this delivery is not queued any more.

    One that was stopped while it was on its way stays as it is, unless it has arrived all the same.
    """
    if outcome.state == QUEUED:
        raise ValueError("a delivery goes back to the queue by `retry`, which sees to its job")
    ended = {"state": outcome.state, "reason": outcome.reason, "next_at": None}
    attempt = {"last_status": outcome.status, "attempts": deliveries.c.attempts + 1}
    mine = deliveries.c.id == delivery_id
    may_end = mine if outcome.state in ARRIVED else mine & (deliveries.c.state == QUEUED)
    if not connection.execute(update(deliveries).where(may_end).values(**ended, **attempt)).rowcount:
        connection.execute(update(deliveries).where(mine).values(**attempt))


def retry(
    connection: Connection, delivery_id: int, outcome: Outcome, *, now: datetime, delay_s: float, enqueue: Enqueue
) -> None:
    """Write down a failed attempt and see to the next one. Only `status` and `reason` of the outcome are kept.

    There is no next one for a delivery that was stopped while it was on its way.
    """
    attempt = {"last_status": outcome.status, "attempts": deliveries.c.attempts + 1}
    mine = deliveries.c.id == delivery_id
    row = connection.execute(
        update(deliveries)
        .where(mine, deliveries.c.state == QUEUED)
        .values(reason=outcome.reason, next_at=now + timedelta(seconds=delay_s), **attempt)
        .returning(deliveries.c.study, deliveries.c.destination)
    ).first()
    if row is None:
        connection.execute(update(deliveries).where(mine).values(**attempt))
        return
    open_outbox(connection, row.study, row.destination, now=now, delay_s=delay_s, enqueue=enqueue)


def postpone(connection: Connection, due: Sequence[Due], until: datetime, *, now: datetime, enqueue: Enqueue) -> None:
    """Put off deliveries of one study and destination that were picked up and not attempted; see to their job."""
    mine = update(deliveries).where(deliveries.c.id.in_([one.id for one in due]), deliveries.c.state == QUEUED)
    rows = connection.execute(mine.values(next_at=until).returning(deliveries.c.study, deliveries.c.destination)).all()
    for study, destination in sorted({(row.study, row.destination) for row in rows}):
        delay_s = (until - now).total_seconds()
        open_outbox(connection, study, destination, now=now, delay_s=delay_s, enqueue=enqueue)


def queued(connection: Connection, study: str, destination: str) -> Sequence[Due]:
    """Every delivery of this study that waits for this destination, due or not."""
    c = deliveries.c
    where = (c.study == study, c.destination == destination, c.state == QUEUED)
    return tuple(due_of(found) for found in connection.execute(select(deliveries).where(*where).order_by(c.id)))


def revive(
    connection: Connection, ids: Sequence[int], *, now: datetime, enqueue: Enqueue, by: str = ""
) -> tuple[int, ...]:
    """Queue deliveries again that were given up; their retention time begins anew and their destination is called now.

    Args:
        connection: with a write transaction open.
        ids: of deliveries. Those that are not dead, or whose place something else took, are left as they are.
        now: aware time.
        enqueue: of the engine.
        by: who did it; kept with the event.

    Returns:
        Ids of those that were queued again.
    """
    c = deliveries.c
    wanted = c.id.in_(ids) & (c.state == DEAD) & (c.reason.is_(None) | c.reason.not_in(FINAL_REASONS))
    rows = connection.execute(
        update(deliveries)
        .where(wanted)
        .values(state=QUEUED, reason=None, attempts=0, queued_at=now, next_at=None)
        .returning(c.id, c.study, c.destination)
    ).all()
    for study, destination in sorted({(row.study, row.destination) for row in rows}):
        outages.call_now(connection, destination, now)
        open_outbox(connection, study, destination, now=now, delay_s=0.0, enqueue=enqueue)
    for row in rows:
        events.add(connection, now, "revived", {"delivery": row.id, "destination": row.destination, "by": by})
    return tuple(sorted(row.id for row in rows))


def reopen_stalled(connection: Connection, jobs: Collection[str], *, now: datetime, enqueue: Enqueue) -> int:
    """Give every queued delivery a new job whose job is gone, whether or not it picked up its deliveries.

    Args:
        connection: with a write transaction open.
        jobs: ids of the delivery jobs that wait or run.
        now: aware time.
        enqueue: of the engine.

    Returns:
        How many pairs of study and destination were reopened.
    """
    pair = (outbox.c.study == deliveries.c.study) & (outbox.c.destination == deliveries.c.destination)
    queued = connection.execute(
        select(deliveries.c.study, deliveries.c.destination, outbox.c.generation)
        .select_from(deliveries.outerjoin(outbox, pair))
        .where(deliveries.c.state == QUEUED)
        .distinct()
    ).all()
    stalled = [(study, place) for study, place, generation in queued if _job_id(study, place, generation) not in jobs]
    for study, destination in stalled:
        key = (outbox.c.study == study) & (outbox.c.destination == destination)
        connection.execute(update(outbox).where(key).values(is_open=False))
        open_outbox(connection, study, destination, now=now, delay_s=0.0, enqueue=enqueue)
    return len(stalled)


def unfinished(connection: Connection) -> dict[str, dict[str, int]]:
    """Counts of deliveries that are not over: destination -> state -> count."""
    rows = connection.execute(
        select(deliveries.c.destination, deliveries.c.state, func.count())
        .where(deliveries.c.state.in_(UNFINISHED))
        .group_by(deliveries.c.destination, deliveries.c.state)
        .order_by(deliveries.c.destination, deliveries.c.state)
    )
    counts: dict[str, dict[str, int]] = {}
    for destination, state, count in rows:
        counts.setdefault(destination, {})[state] = count
    return counts


def _job_id(study: str, destination: str, generation: int | None) -> str:
    return f"deliver:{study}:{destination}:{generation}"


def _earliest(times: Sequence[datetime | None]) -> datetime | None:
    return min((time for time in times if time is not None), default=None)


def due_of(row: Row[tuple[object, ...]]) -> Due:
    """A row of `deliveries` as a delivery that was picked up."""
    return Due(
        row.id,
        row.study,
        row.destination,
        row.kind,
        row.object,
        row.analysis,
        row.result,
        row.attempts,
        row.queued_at,
    )
