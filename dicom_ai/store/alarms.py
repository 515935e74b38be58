"""Alarms: what a person must look at, open until it is over. Nothing the service gives up on is silent.

What this is not: events (`events`, append only) or a way to mend anything; the reason names the remedy.
"""

from datetime import datetime

from sqlalchemy import Connection, insert, update

from dicom_ai.reasons import REASONS
from dicom_ai.store import events
from dicom_ai.store.tables import alarms


def raise_alarm(connection: Connection, reason: str, now: datetime, **about: str | int | None) -> None:
    """Write an alarm unless the same one is open.

    Args:
        connection: with a write transaction open.
        reason: code of the closed list.
        now: aware time.
        about: what it is about, our own ids: study, set, conflict, delivery, commitment.
    """
    columns = {name: about.get(name) for name in ("study", "set", "conflict", "delivery", "commitment")}
    same = [alarms.c[name].is_not_distinct_from(value) for name, value in columns.items()]
    is_open = (alarms.c.reason == REASONS[reason].code) & (alarms.c.state == "open")
    if connection.execute(alarms.select().where(is_open, *same).limit(1)).first() is None:
        connection.execute(insert(alarms).values(at=now, reason=reason, state="open", **columns))
        ids = {name: value for name, value in columns.items() if value is not None}
        events.add(connection, now, "alarm", {"reason": reason, **ids})


def end_alarms(connection: Connection, now: datetime, **about: str | int | None) -> int:
    """Close the open alarms about exactly these ids (for example `conflict=3`); return how many there were.

    None stands for those that are not about such a thing: `set=..., conflict=None` leaves alone what a conflict says.
    """
    is_about = [alarms.c[name] == value for name, value in about.items()]
    ended = update(alarms).where(alarms.c.state == "open", *is_about).values(state="over", over_at=now)
    count = connection.execute(ended).rowcount
    if count:
        ids = {name: value for name, value in about.items() if value is not None}
        events.add(connection, now, "alarm_over", {**ids, "count": count})
    return count
