"""A scanner says that it has sent everything: the wait of what it sent is shortened, never ended.

Believed only where the list is true of a whole study: every object received of it is listed, and everything listed
was received. The word counts until anything of the study arrives, a receiver starts or the clock is set; then the
usual timers begin anew. An association that stored into the study still has to end. What this is not: the decision
that a set is closed (`settling`).
"""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, update

from dicom_ai.ports import Enqueue
from dicom_ai.store import events
from dicom_ai.store.settling import look_again
from dicom_ai.store.tables import objects, sets, studies

_AT_ONCE = 500  # values of one statement; SQLite takes a bounded number


def said_complete(
    connection: Connection, listed: Collection[str], *, now: datetime, wait_s: float, enqueue: Enqueue
) -> list[str]:
    """Shorten the wait of every study that the list tells of completely.

    Args:
        connection: with a write transaction open.
        listed: SOP Instance UIDs of everything the scanner says it sent; may be of several studies.
        now: aware time.
        wait_s: the set may be closed after this many seconds, never later than without this word.
        enqueue: of the engine.

    Returns:
        Our ids of the studies whose wait is shorter now; none if anything listed was not received.
    """
    uids = set(listed)
    found = {row.sop_uid: row.study for row in received(connection, uids)}
    if not uids or found.keys() != uids:
        return []
    told = [study for study in sorted(set(found.values())) if _received_of(connection, study) <= uids]
    for study in told:
        rest_at = now + timedelta(seconds=wait_s)
        connection.execute(update(studies).where(studies.c.id == study).values(rest_at=rest_at))
        is_open = (sets.c.study == study) & (sets.c.state == "open")
        for set_id in connection.scalars(select(sets.c.id).where(is_open).order_by(sets.c.id)).all():
            look_again(connection, set_id, delay_s=wait_s, enqueue=enqueue)
        events.add(connection, now, "said_complete", {"study": study, "count": len(uids)})
    return told


def received(connection: Connection, uids: Collection[str]) -> Iterator[Any]:
    """(SOP Instance UID, SOP Class UID, digest, study) of the objects kept under these UIDs, whatever their state."""
    ordered = sorted(uids)
    c = objects.c
    for begin in range(0, len(ordered), _AT_ONCE):
        part = ordered[begin : begin + _AT_ONCE]
        yield from connection.execute(select(c.sop_uid, c.sop_class, c.digest, c.study).where(c.sop_uid.in_(part)))


def _received_of(connection: Connection, study: str) -> set[str]:
    return set(connection.scalars(select(objects.c.sop_uid).where(objects.c.study == study)))
