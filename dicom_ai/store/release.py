"""A person releases results that were held: they are queued again, if nothing else forbids it.

The grade rule comes first: results of a demonstration never go to a destination that is not marked as test, whoever
asks. Results that were held for their grade may be released once the site has marked the destination as test (or put
a signed model in force, which makes results of its own); nothing is released by itself when a flag changes. Report
and captures of an analysis go together. What this is not: what a contradiction holds (`conflicts`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, select, update

from dicom_ai.ports import Enqueue
from dicom_ai.site import Destination
from dicom_ai.store import events, outages
from dicom_ai.store.outbox import HELD, QUEUED, open_outbox
from dicom_ai.store.results import grade_of
from dicom_ai.store.tables import deliveries

RELEASABLE = ("not_released", "no_model")


@dataclass(frozen=True)
class Released:
    """What came of it.

    Attributes:
        ids: of the deliveries that were queued again.
        refused: id of a held delivery -> reason why it stays held.
    """

    ids: tuple[int, ...]
    refused: Mapping[int, str]


def release(
    connection: Connection,
    ids: Collection[int],
    targets: Collection[Destination],
    *,
    now: datetime,
    enqueue: Enqueue,
    by: str = "",
) -> Released:
    """Queue held results again, with a job, an event and a new retention time.

    Args:
        connection: with a write transaction open.
        ids: of deliveries; with each goes everything that is held of its analysis for the same destination. Those
            that are not held are left alone.
        targets: the destinations in force.
        now: aware time.
        enqueue: of the engine.
        by: who releases; kept with the event.
    """
    c = deliveries.c
    places = {one.name: one for one in targets}
    named = select(c.analysis, c.destination).where(c.id.in_(ids), c.state == HELD).distinct()
    released: list[int] = []
    refused: dict[int, str] = {}
    for analysis, destination in connection.execute(named).all():
        mine = and_(c.analysis == analysis, c.destination == destination, c.state == HELD)
        rows = connection.execute(select(c.id, c.study, c.reason).where(mine)).all()
        toy = grade_of(connection, analysis) == "demonstration"
        why = {row.id: _why_not(row.reason, places.get(destination), is_toy=toy) for row in rows}
        refused |= {number: reason for number, reason in why.items() if reason is not None}
        free = [number for number, reason in why.items() if reason is None]
        if free:
            _queue(connection, c.id.in_(free), now)
            released += free
            outages.call_now(connection, destination, now)
            open_outbox(connection, rows[0].study, destination, now=now, delay_s=0.0, enqueue=enqueue)
            ids_of = {"analysis": analysis, "destination": destination, "count": len(free), "by": by}
            events.add(connection, now, "released", ids_of)
    return Released(tuple(sorted(released)), refused)


def _why_not(held_for: str | None, target: Destination | None, *, is_toy: bool) -> str | None:
    """The reason code that keeps a delivery held; None when it may go."""
    if target is None:
        return "no_destination"
    if is_toy and not target.test:
        return "no_model"
    return None if held_for in RELEASABLE else held_for or "identity_conflict"


def _queue(connection: Connection, which: ColumnElement[bool], now: datetime) -> None:
    again = {"state": QUEUED, "reason": None, "attempts": 0, "queued_at": now, "next_at": None}
    connection.execute(update(deliveries).where(which).values(**again))
