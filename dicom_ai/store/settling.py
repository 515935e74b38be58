"""When a source set is closed: once the study has come to rest.

DICOM has no end of study, so rest is inferred: no object for the quiet time, no open association that stored into the
study, the receiver up for at least that long (a scanner needs that time to come back after our restart). Looking is
a delayed job, enqueued in the same transaction as what it looks at. The same object again makes no work but keeps the
study awake: a scanner that repeats a study has more to say. What this is not: which objects a set holds
(`membership`), and analysis.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from dicom_ai.ports import Enqueue, Job
from dicom_ai.store import conflicts, events
from dicom_ai.store.tables import associations, members, objects, receivers, sets, studies

_SOONEST_LOOK_S = 0.05  # the ledger keeps microseconds, the engine milliseconds: never look just too early
_OPEN_LOOK_S = 0.25  # least pause between looks while an association is open, whatever the quiet time
_TOLD_LOOK_S = 1.0  # the same where the scanner said that it sent everything: only the association is waited for


class Settled(str, Enum):
    """What a look at a set found."""

    LATER = "later"  # not at rest yet; the next look is enqueued
    CLOSED = "closed"  # closed by this look; the analysis is enqueued
    QUARANTINED = "quarantined"  # closed by this look; members belong to more than one patient
    OVERTAKEN = "overtaken"  # a newer look is enqueued, nothing done
    ALREADY = "already"  # closed before, nothing done

    def __str__(self) -> str:
        return self.value


def decide(
    connection: Connection,
    set_id: str,
    number: int | None = None,
    *,
    now: datetime,
    quiet_s: tuple[float, float],
    enqueue: Enqueue,
) -> Settled:
    """Look at a set: close it and enqueue its analysis, or enqueue the next look. May be repeated after a crash.

    Args:
        connection: with a write transaction open.
        set_id: the set.
        number: of this look. One that is not the newest does nothing, so that a set never has two chains of looks;
            None looks in any case.
        now: aware time.
        quiet_s: quiet time of a first set and of a revision, seconds.
        enqueue: for the next look or the analysis.

    Raises:
        KeyError: there is no such set.
    """
    found = connection.execute(select(sets).where(sets.c.id == set_id).with_for_update()).first()
    if found is None:
        raise KeyError(set_id)
    if found.state != "open":
        return Settled.ALREADY
    if number is not None and number != found.looks - 1:
        return Settled.OVERTAKEN
    wait_s = _unrest_s(connection, found.study, now, quiet_s[0] if found.revision == 1 else quiet_s[1])
    if wait_s > 0:
        look_again(connection, set_id, delay_s=max(wait_s, _SOONEST_LOOK_S), enqueue=enqueue)
        return Settled.LATER
    return _close(connection, found, now, enqueue)


def open_sets(connection: Connection) -> list[str]:
    """Ids of the sets that are still open."""
    return list(connection.scalars(select(sets.c.id).where(sets.c.state == "open").order_by(sets.c.id)))


def look_again(connection: Connection, set_id: str, *, delay_s: float, enqueue: Enqueue) -> None:
    """Enqueue another look at an open set; the looks before it do nothing any more."""
    is_it = (sets.c.id == set_id) & (sets.c.state == "open")
    found = connection.execute(select(sets).where(is_it).with_for_update()).first()
    if found is not None:
        connection.execute(update(sets).where(sets.c.id == set_id).values(looks=found.looks + 1))
        enqueue(connection, look(set_id, found.looks, delay_s))


def look(set_id: str, number: int, delay_s: float) -> Job:
    """The job that looks at a set: its looks are numbered from 0."""
    return Job("settle", id=f"settle:{set_id}:{number}", queue="settle", arguments=(set_id, number), delay_s=delay_s)


def association_ended(connection: Connection, association: str) -> None:
    """Forget an association; the studies it stored into no longer wait for it."""
    connection.execute(delete(associations).where(associations.c.id == association))


def receiver_started(connection: Connection, receiver: str, now: datetime) -> None:
    """Write down that a receiver came up, and forget the associations its earlier process left open.

    Args:
        connection: with a write transaction open.
        receiver: the same for every process in this place, so that a restart is known as one.
        now: aware time.
    """
    connection.execute(delete(associations).where(associations.c.receiver == receiver))
    connection.execute(delete(receivers).where(receivers.c.id == receiver))
    _forget_words(connection)
    connection.execute(insert(receivers).values(id=receiver, started_at=now))


def restart_timers(connection: Connection, *, now: datetime, enqueue: Enqueue) -> int:
    """The service came up or the clock was set: nobody knows how long it was quiet, so every open set waits anew.

    The looks that were enqueued count by the clock as it was; those of a clock that was set back would come hours
    late. So would the rest of a study that is closed by now and gets a late object: what lies in the future is put
    back for every study. Return how many sets are looked at again.
    """
    connection.execute(update(receivers).values(started_at=now))
    _forget_words(connection)
    connection.execute(update(studies).where(studies.c.last_at > now).values(last_at=now))
    watched = open_sets(connection)
    for set_id in watched:
        look_again(connection, set_id, delay_s=0.0, enqueue=enqueue)
    return len(watched)


def set_digest(rows: Iterable[tuple[str, str]]) -> str:
    """Digest of a source set: SHA-256 over its sorted (SOP Instance UID, data-set digest)."""
    return hashlib.sha256("\n".join(f"{uid} {digest}" for uid, digest in sorted(rows)).encode()).hexdigest()


def _unrest_s(connection: Connection, study: str, now: datetime, quiet_s: float) -> float:
    """Seconds until the study can be at rest at the earliest; 0 if it is."""
    quiet = timedelta(seconds=quiet_s)
    _correct_clock(connection, study, now)
    last_at, told_rest_at = connection.execute(
        select(studies.c.last_at, studies.c.rest_at).where(studies.c.id == study)
    ).one()
    up_at = connection.scalar(select(receivers.c.started_at).order_by(receivers.c.started_at.desc()).limit(1))
    rest_at = max(time for time in (last_at, up_at) if time is not None) + quiet
    if told_rest_at is not None:
        rest_at, quiet_s = min(rest_at, told_rest_at), min(quiet_s, _TOLD_LOOK_S)
    wait_s = float((rest_at - now).total_seconds())
    n_open = connection.scalar(select(func.count()).select_from(associations).where(associations.c.study == study))
    if n_open and wait_s <= 0:
        return max(quiet_s, _OPEN_LOOK_S)
    return max(wait_s, 0.0)


def _forget_words(connection: Connection) -> None:
    """What scanners said of their studies (`end_of_exam`) counts no more: the usual timers decide."""
    connection.execute(update(studies).where(studies.c.rest_at.is_not(None)).values(rest_at=None))


def _correct_clock(connection: Connection, study: str, now: datetime) -> None:
    """What happened in the future happened just now: the clock was set back, and rest would come as late."""
    last, up = studies.c.last_at, receivers.c.started_at
    connection.execute(update(studies).where(studies.c.id == study, last > now).values(last_at=now))
    connection.execute(update(receivers).where(up > now).values(started_at=now))


def _close(connection: Connection, found: Row[Any], now: datetime, enqueue: Enqueue) -> Settled:
    rows = connection.execute(
        select(objects.c.sop_uid, objects.c.digest)
        .join(members, members.c.object == objects.c.digest)
        .where(members.c.set == found.id)
    ).all()
    digest = set_digest((row.sop_uid, row.digest) for row in rows)
    connection.execute(update(sets).where(sets.c.id == found.id).values(state="closed", digest=digest, closed_at=now))
    if conflicts.quarantine_if_mixed(connection, found, now):
        return Settled.QUARANTINED
    events.add(connection, now, "settled", {"set": found.id, "study": found.study, "count": len(rows)})
    enqueue(
        connection,
        Job("analyse", id=f"analyse:{found.id}:{digest[:16]}", queue="classify", arguments=(found.id,)),
    )
    return Settled.CLOSED
