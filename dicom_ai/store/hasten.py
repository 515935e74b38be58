"""A person does not want to wait for the next attempt: deliveries that are queued for later are due now.

What this is not: another chance for what was given up (`outbox.revive`); attempts and retention time stay as they are.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select, update

from dicom_ai.ports import Enqueue
from dicom_ai.store import events, outages
from dicom_ai.store.outbox import QUEUED, open_outbox
from dicom_ai.store.tables import deliveries


def hasten(
    connection: Connection, ids: Sequence[int], *, now: datetime, enqueue: Enqueue, by: str = ""
) -> tuple[int, ...]:
    """Make queued deliveries due now, and see to their jobs.

    Args:
        connection: with a write transaction open.
        ids: of deliveries; those that are not queued are left as they are.
        now: aware time.
        enqueue: of the engine.
        by: who did it; kept with the event.

    Returns:
        Ids of those that are due now.
    """
    c = deliveries.c
    rows = connection.execute(
        select(c.id, c.study, c.destination).where(c.id.in_(ids), c.state == QUEUED).order_by(c.id).with_for_update()
    ).all()
    found = [row.id for row in rows]
    connection.execute(update(deliveries).where(c.id.in_(found)).values(next_at=None))
    for study, destination in sorted({(row.study, row.destination) for row in rows}):
        outages.call_now(connection, destination, now)
        open_outbox(connection, study, destination, now=now, delay_s=0.0, enqueue=enqueue)
    if found:
        events.add(connection, now, "hastened", {"count": len(found), "by": by})
    return tuple(found)
