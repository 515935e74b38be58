"""The commands `studies list`, `studies show` and `alarms`: what was received, what became of it, what needs a person.

Tables for people are in the time zone of the site, JSON is in UTC. Ids are our own; in tables their first digits, which
every command takes as well. A patient is named only where `--identity` asks for it.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from dicom_ai import desk
from dicom_ai.errors import SettingsError
from dicom_ai.reasons import REASONS
from dicom_ai.rows import print_row, print_table, say
from dicom_ai.settings import Settings
from dicom_ai.store import overview
from dicom_ai.store.database import read

STATES = ("attention", "receiving", "analysing", "held", "delivering", "done")
"""Of a study: a person must look (open alarm or conflict); objects still come; no answer yet; results wait to be
released; something is on its way; everything was done that could be."""

SHORT = 10
"""Digits of an id in a table."""

_LONG = 24  # a name of a destination may be shorter, no id of ours is
_SENT = ("id", "to", "what", "state", "reason", "status", "attempts")
_PAGE = 200
_AGO = re.compile(r"(\d+)([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Choice:
    """Which studies are listed: since when, in which of `STATES`, how many at most (0: all)."""

    since: str | None
    state: str | None
    limit: int


def list_studies(choice: Choice, settings: Settings, now: datetime, *, as_json: bool) -> int:
    """Print one row per study, the newest first."""
    if choice.state is not None and choice.state not in STATES:
        raise SettingsError(f"--state knows {', '.join(STATES)}, not {choice.state}")
    zone = ZoneInfo(settings.site.timezone)
    since = moment(choice.since, now, zone)
    with desk.reading(settings) as opened, read(opened) as connection:
        ids = overview.studies_since(connection, since)
        rows = _first(_studies(connection, ids, choice.state), choice.limit)
    if as_json:
        for row in rows:
            print_row(_plain(row))
    else:
        columns = ("study", "last object", "objects", "result", "deliveries", "state")
        print_table(f"Studies, times in {zone.key}", columns, [_cells(row, zone) for row in rows])
    if choice.limit and len(rows) == choice.limit:
        say(f"the newest {choice.limit} are shown; --limit 0 shows all")
    return 0


def show_study(start: str, settings: Settings, *, with_identity: bool, as_json: bool) -> int:
    """Print the story of one study in the order of time; who the patient is only if asked for."""
    zone = ZoneInfo(settings.site.timezone)
    with desk.reading(settings) as opened, read(opened) as connection:
        study = _the_one(overview.find_study(connection, start), start)
        row = next(_studies(connection, [study], None))
        story = overview.events_of(connection, study)
        sent = list(reversed(overview.delivery_rows(connection, overview.Wanted(study=study))))
        patients = overview.identities(connection, [study]).get(study, []) if with_identity else []
    if as_json:
        parts = {"study": [row], "identity": patients, "event": story, "delivery": sent}
        for name, found in parts.items():
            for one in found:
                print_row({"row": name, **_plain(one)})
        return 0
    for patient in patients:
        print_table("Patient", tuple(patient), [tuple(patient.values())])
    columns = ("last object", "objects", "result", "deliveries", "state")
    print_table(f"Study {study}, times in {zone.key}", columns, [_cells(row, zone)[1:]])
    print_table("What happened", ("at", "what", "about"), list(_told(story, zone)))
    print_table("Deliveries", _SENT, [_delivery(one) for one in sent])
    return 0


def list_alarms(settings: Settings, *, everything: bool, as_json: bool) -> int:
    """Print what a person must look at, with what to do about it."""
    zone = ZoneInfo(settings.site.timezone)
    with desk.reading(settings) as opened, read(opened) as connection:
        rows = overview.alarm_rows(connection, everything=everything)
    if as_json:
        for row in rows:
            print_row({**_plain(row), "remedy": REASONS[row["reason"]].remedy})
        return 0
    for row in rows:
        reason = REASONS[row["reason"]]
        about = ", ".join(f"{name} {_short(row[name])}" for name in ("study", "conflict", "delivery") if row[name])
        over = f", over since {local(row['over_at'], zone)}" if row["over_at"] else ""
        sys.stdout.write(f"{local(row['at'], zone)}  {reason.code}  {about}{over}\n")
        sys.stdout.write(f"    {reason.meaning}.\n    {reason.remedy}\n")
    if not rows:
        sys.stdout.write("no open alarm\n")
    return 0


def moment(text: str | None, now: datetime, zone: ZoneInfo) -> datetime | None:
    """The moment people mean by `30m`, `12h`, `3d` (ago), or by a date and time in the zone of the site.

    Raises:
        SettingsError: neither of these.
    """
    if text is None:
        return None
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago is not None:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as exc:
        raise SettingsError(f"{text!r} is no time; write 30m, 12h or 3d, or a date such as 2026-11-20") from exc
    return found if found.tzinfo is not None else found.replace(tzinfo=zone)


def local(at: datetime | None, zone: ZoneInfo) -> str:
    """A time for people."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}" if at is not None else ""


def state_of(row: Mapping[str, Any]) -> str:
    """One of `STATES` for a row of `store.overview.study_rows`."""
    waiting = {state for counts in row["deliveries"].values() for state in counts}
    checks = {
        "attention": row["alarms"] or row["conflicts"],
        "receiving": any(one["state"] == "open" for one in row["sets"]),
        "analysing": any(one["answered_at"] is None for one in row["sets"]),
        "held": "held" in waiting,
        "delivering": "queued" in waiting,
    }
    return next((state for state, is_so in checks.items() if is_so), "done")


def _studies(connection: Connection, ids: Sequence[str], state: str | None) -> Iterator[dict[str, Any]]:
    for begin in range(0, len(ids), _PAGE):
        for row in overview.study_rows(connection, ids[begin : begin + _PAGE]):
            found = {**row, "state": state_of(row)}
            if state in {None, found["state"]}:
                yield found


def _first(rows: Iterator[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    return [row for _, row in zip(range(limit), rows, strict=False)] if limit else list(rows)


def _the_one(found: Sequence[str], start: str) -> str:
    if len(found) == 1:
        return found[0]
    if not found:
        raise SettingsError(f"no study's id begins with {start!r}; see `dicom-ai studies list`")
    raise SettingsError(f"{len(found)} studies' ids begin with {start!r}; give more digits")


def _cells(row: Mapping[str, Any], zone: ZoneInfo) -> tuple[object, ...]:
    objects = ", ".join(f"{n} {state}" for state, n in row["objects"].items())
    reasons = "".join(f"\n{n} {reason}" for reason, n in row["reasons"].items())
    sent = "\n".join(
        f"{place}: " + ", ".join(f"{n} {state}" for state, n in counts.items())
        for place, counts in row["deliveries"].items()
    )
    result = "\n".join(_result(one) for one in row["sets"])
    alarms = "".join(f"\n{n} {reason}" for reason, n in row["alarms"].items())
    return row["study"][:SHORT], local(row["last_at"], zone), objects + reasons, result, sent, row["state"] + alarms


def _result(one: Mapping[str, Any]) -> str:
    """What a set says, in one line."""
    name = one["task"] + (f" (revision {one['revision']})" if one["revision"] > 1 else "")
    present = [
        f"{found['class']} {found['probability']:.2f}" for found in one["findings"] if found["state"] == "present"
    ]
    unclear = any(found["state"] == "indeterminate" for found in one["findings"])
    if one["findings"]:
        return f"{name}: {', '.join(present) or ('indeterminate' if unclear else 'nothing present')}"
    waiting = "still receiving" if one["state"] == "open" else "no answer yet"
    return f"{name}: {waiting if one['answered_at'] is None else 'no result'}"


def _told(story: Sequence[Mapping[str, Any]], zone: ZoneInfo) -> Iterator[tuple[str, str, str]]:
    """The diary for people: objects that arrived one after another are one line, reasons are explained."""
    for kind, group in groupby(story, key=lambda one: str(one["kind"])):
        entries = list(group)
        if kind == "received" and len(entries) > 1:
            yield local(entries[0]["at"], zone), kind, f"{len(entries)} objects until {local(entries[-1]['at'], zone)}"
            continue
        for one in entries:
            about = ", ".join(f"{name} {_short(value)}" for name, value in one["ids"].items() if name != "study")
            reason = REASONS.get(str(one["ids"].get("reason")))
            yield local(one["at"], zone), kind, about + (f"\n{reason.meaning}" if reason is not None else "")


def _delivery(one: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple(one[name] for name in ("id", "destination", "kind", "state", "reason", "last_status", "attempts"))


def _short(value: object) -> str:
    """An id for people; digests and our own ids are long."""
    text = str(value)
    return text[:SHORT] if len(text) >= _LONG else text


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for programs: times as ISO 8601 in UTC."""
    return {name: _iso(value) for name, value in row.items()}


def _iso(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return [_iso(one) for one in value]
    return {name: _iso(one) for name, one in value.items()} if isinstance(value, dict) else value
