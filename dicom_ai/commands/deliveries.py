"""The commands `deliveries list` and `deliveries retry`: what goes to which destination, and another try at once.

Another try is for what was given up (`dead`) or waits for a later time (`queued`). What is held waits for a person or
for a conflict to be resolved and is never sent by a retry.
"""

import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from dicom_ai.commands import desk
from dicom_ai.commands.overview import SHORT
from dicom_ai.errors import SettingsError
from dicom_ai.reasons import REASONS
from dicom_ai.rows import print_row, print_table, say
from dicom_ai.settings import Settings
from dicom_ai.store import outbox, overview
from dicom_ai.store.database import read, write
from dicom_ai.store.hasten import hasten
from dicom_ai.store.overview import Wanted
from dicom_ai.store.site_rows import newest

STATES = (outbox.QUEUED, outbox.HELD, outbox.DEAD, outbox.SENT, outbox.CONFIRMED, outbox.UNVERIFIED)


def list_deliveries(wanted: Wanted, settings: Settings, now: datetime, *, limit: int, as_json: bool) -> int:
    """Print deliveries, the newest first; `limit` 0 prints all."""
    unknown = [state for state in wanted.states if state not in STATES]
    if unknown:
        raise SettingsError(f"--state knows {', '.join(STATES)}, not {', '.join(unknown)}")
    with desk.reading(settings) as opened, read(opened) as connection:
        rows = overview.delivery_rows(connection, wanted, limit or None)
        count = overview.count_deliveries(connection, wanted)
    if as_json:
        for row in rows:
            times = {name: row[name] and row[name].isoformat() for name in ("queued_at", "next_at")}
            print_row({**row, **times})
    else:
        columns = ("id", "study", "to", "what", "state", "reason", "status", "tries", "next")
        names = ("destination", "kind", "state", "reason", "last_status", "attempts")
        lines = [
            (row["id"], row["study"][:SHORT], *(row[name] for name in names), wait(row["next_at"], now)) for row in rows
        ]
        print_table("Deliveries", columns, lines)
    if len(rows) < count:
        say(f"the newest {len(rows)} of {count} are shown; --limit 0 shows all")
    return 0


def retry(wanted: Wanted, settings: Settings, *, by: str, clock: Callable[[], datetime]) -> int:
    """Send what was given up or waits once more, now; 1 when one that was named by its number cannot be.

    Raises:
        SettingsError: nothing narrows the choice.
    """
    if wanted == Wanted():
        raise SettingsError("say what to retry: --id, --study, --destination or --all-dead")
    with desk.acting(settings, clock) as at, write(at.engine) as connection:
        rows = {row["id"]: row for row in overview.delivery_rows(connection, wanted)}
        known = {one.name for one in newest(connection).destinations}
        there = [number for number, row in rows.items() if row["destination"] in known]
        revived = outbox.revive(connection, there, now=clock(), enqueue=at.enqueue, by=by)
        waiting = [number for number in there if number not in revived] if outbox.DEAD not in wanted.states else []
        hastened = hasten(connection, waiting, now=clock(), enqueue=at.enqueue, by=by)
    sys.stdout.write(f"sent once more now: {len(revived)} that were given up, {len(hastened)} that waited\n")
    named = [number for number in wanted.ids if number not in {*revived, *hastened}]
    left = [number for number, row in rows.items() if row["state"] in _TRIABLE and number not in {*revived, *hastened}]
    for number in dict.fromkeys([*named, *left]):
        say(f"not {number}: {_why_not(rows.get(number), known)}")
    held = Counter(row["reason"] for row in rows.values() if row["state"] == outbox.HELD and row["id"] not in named)
    for code, count in held.items():
        reason = REASONS.get(code or "")
        say(f"{count} stay held" + (f": {reason.meaning}. {reason.remedy}" if reason is not None else ""))
    return int(bool(named))


_TRIABLE = (outbox.DEAD, outbox.QUEUED)


def wait(until: datetime | None, now: datetime) -> str:
    """How long it is until a time, as people say it; nothing when it is not to come."""
    if until is None:
        return ""
    seconds = (until - now).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"in {seconds / size:.0f} {unit}"
    return f"in {seconds:.0f} s" if seconds > 0 else "now"


def _why_not(row: Mapping[str, Any] | None, known: Collection[str]) -> str:
    """Why a delivery is not sent once more, and what to do instead."""
    if row is None:
        return "there is no such delivery among those you chose; see `dicom-ai deliveries list`"
    reason = REASONS.get(row["reason"] or "")
    if row["state"] == outbox.HELD:
        return f"it is held ({reason.meaning}). {reason.remedy}" if reason else "it is held"
    if row["state"] not in _TRIABLE:
        return f"it was {row['state']} already"
    if row["reason"] in outbox.FINAL_REASONS:
        return f"it is over for good ({reason.meaning if reason else row['reason']})"
    if row["destination"] not in known:
        return f"destination {row['destination']} is not in the site file in force; put it back and `dicom-ai apply`"
    return "it waits; leave out --all-dead to send it now"
