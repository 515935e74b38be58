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

from dicom_ai.commands import desk
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
    for group in _alike(rows):
        reason, first, last = REASONS[group[0]["reason"]], group[-1]["at"], group[0]["at"]
        times = local(first, zone) + (f" to {local(last, zone)}, {len(group)} times" if len(group) > 1 else "")
        about = _about(group)
        over = "" if group[0]["state"] == "open" else " (over)"
        sys.stdout.write(f"{reason.code}{over}  {times}\n    {reason.meaning}.\n    {reason.remedy}\n")
        sys.stdout.write("".join(f"      {line}\n" for line in about))
    if not rows:
        sys.stdout.write("no open alarm\n")
    return 0


def _alike(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Alarms of one reason and state together, in the order of the newest of each."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["reason"], row["state"]), []).append(row)
    return list(groups.values())


def _about(group: Sequence[Mapping[str, Any]]) -> list[str]:
    """What alarms are about, study by study, each thing once."""
    lines: dict[str, dict[str, None]] = {}
    for row in reversed(group):
        things = [f"{name} {row[name]}" for name in ("conflict", "delivery") if row[name]]
        lines.setdefault(f"study {_short(row['study'])}" if row["study"] else "", {}).update(dict.fromkeys(things))
    return [": ".join(part for part in (study, ", ".join(things)) if part) for study, things in lines.items()]


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
    """The diary for people: what happened several times in a row is one line, reasons are explained."""
    own = [one for one in story if not (one["kind"].startswith("alarm") and "delivery" in one["ids"])]  # told already
    for (kind, reason), group in groupby(own, key=lambda one: (str(one["kind"]), one["ids"].get("reason"))):
        entries = list(group)
        about = ", ".join(f"{name} {_short(value)}" for name, value in entries[0]["ids"].items() if name != "study")
        if len(entries) > 1:
            noun = "objects" if kind == "received" else "times"
            about = f"{len(entries)} {noun} until {local(entries[-1]['at'], zone)}" + (f", {reason}" if reason else "")
        meaning = f"\n{REASONS[reason].meaning}" if reason in REASONS else ""
        yield local(entries[0]["at"], zone), kind, about + meaning


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
