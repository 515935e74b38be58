"""Destinations that cannot be reached: one call per back-off step, however many studies wait for one.

A row stands here from the first call in vain until somebody gets through. While it stands nobody calls before its
time; whoever comes first then makes the one call, and all others go by what came of it. What this is not: the
deliveries themselves (`outbox`), or a destination that answers and refuses.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from dicom_ai.store import events
from dicom_ai.store.tables import outages


def closed_until(connection: Connection, destination: str, now: datetime) -> datetime | None:
    """Until when nobody is to call this destination; None when one may call now."""
    next_at = connection.scalar(select(outages.c.next_at).where(outages.c.destination == destination))
    return next_at if next_at is not None and next_at > now else None


def attempts(connection: Connection, destination: str) -> int:
    """How many calls in a row were in vain, 0 when the last one was not."""
    query = select(outages.c.attempts).where(outages.c.destination == destination).with_for_update()
    return connection.scalar(query) or 0


def begin_or_go_on(connection: Connection, destination: str, *, now: datetime, wait_s: float) -> datetime:
    """Another call was in vain: nobody is to call for `wait_s` seconds. The time after which one may."""
    next_at = now + timedelta(seconds=wait_s)
    n_before = attempts(connection, destination)
    values = {"attempts": n_before + 1, "next_at": next_at}
    if n_before:
        connection.execute(update(outages).where(outages.c.destination == destination).values(**values))
    else:
        connection.execute(insert(outages).values(destination=destination, since=now, **values))
        events.add(connection, now, "unreachable", {"destination": destination})
    return next_at


def call_now(connection: Connection, destination: str, now: datetime) -> None:
    """A person says that the destination is well again: the next call need not wait."""
    connection.execute(update(outages).where(outages.c.destination == destination).values(next_at=now))


def end(connection: Connection, destination: str, now: datetime) -> bool:
    """Somebody got through; False when there was no outage."""
    ended = connection.execute(delete(outages).where(outages.c.destination == destination)).rowcount > 0
    if ended:
        events.add(connection, now, "reachable", {"destination": destination})
    return ended
