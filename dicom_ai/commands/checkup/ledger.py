"""The ledger: reachable, sound, durable, of this version; its clock and ours; what in it waits for a person."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, make_url, text

from dicom_ai import engine
from dicom_ai.commands.checkup.line import Check, failed, ok, warning
from dicom_ai.commands.desk import START_FIRST
from dicom_ai.errors import LedgerUnavailable
from dicom_ai.settings import Settings
from dicom_ai.store import outbox, overview
from dicom_ai.store.database import read, revisions
from dicom_ai.store.overview import Wanted

_TOLERANCE = timedelta(seconds=5)
_LONG_WAIT = timedelta(hours=1)
_FIRST = f"{START_FIRST[0].upper()}{START_FIRST[1:]}."
_RESTORE = "Stop the service, keep the file aside, and restore the ledger from a backup."
_FULL = 2  # https://sqlite.org/pragma.html#pragma_synchronous
_SERVER = ("fsync", "synchronous_commit", "full_page_writes")


def of_server(settings: Settings, opened: Engine) -> Iterator[Check]:
    """Whether a ledger on a database server can be reached, and whether its commits survive a power cut."""
    where = make_url(settings.database_url).render_as_string(hide_password=True)
    try:
        with read(opened) as connection:
            values = {name: str(connection.scalar(text(f"SHOW {name}"))) for name in _SERVER}
    except LedgerUnavailable as exc:
        remedy = "Start the database server; check host, port, name and password in store.database_url."
        yield failed("database", f"{where} cannot be reached ({exc.detail})", remedy)
        return
    yield ok("database", f"{where} answers")
    off = [name for name, value in values.items() if value == "off"]
    if off:
        remedy = f"Set {', '.join(f'{name} = on' for name in off)} in postgresql.conf: what is acknowledged must stay."
        yield failed("durability", f"{', '.join(off)} is off: a power cut loses what was acknowledged", remedy)
        return
    yield ok("durability", ", ".join(f"{name} {value}" for name, value in values.items()))


def of_file(path: Path) -> Iterator[Check]:
    """Whether a SQLite ledger is there and sound; opening it as the service does would switch it to WAL."""
    if not path.exists():
        yield failed("database", f"{path} is not there yet", _FIRST)
        return
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5.0)) as connection:
            said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            journal = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    except sqlite3.DatabaseError as exc:
        name = getattr(exc, "sqlite_errorname", type(exc).__name__)
        yield failed("database", f"{path} cannot be read ({name})", _RESTORE)
        return
    if said != "ok":
        yield failed("database", f"{path} is damaged", _RESTORE)
        return
    yield ok("database", f"{path} is sound")
    if journal != "wal":
        remedy = "Start the service again, it switches to WAL; if that does not last, the file system cannot do it."
        yield failed("durability", f"journal mode is {journal}, not wal", remedy)


def durability(opened: Engine) -> Iterator[Check]:
    """Whether our own connections to a SQLite ledger sync every commit."""
    with read(opened) as connection:
        level = int(connection.scalar(text("PRAGMA synchronous")) or 0)
    if level < _FULL:
        yield failed("durability", f"synchronous is {level}, not FULL", "Report this with the version of dicom-ai.")
        return
    yield ok("durability", "WAL, synchronous FULL")


def schema(opened: Engine) -> Iterator[Check]:
    """Whether the ledger's and the engine's tables are those of this version."""
    found, newest = revisions(opened)
    if found is None:
        yield failed("schema", "the ledger has no tables yet", _FIRST)
        return
    if found != newest:
        remedy = "Start the service of this version once; if the ledger is the newer one, install the newer dicom-ai."
        yield failed("schema", f"revision {found}, this version knows {newest}", remedy)
        return
    yield ok("schema", f"revision {found}")
    if not engine.is_prepared(opened):
        yield failed("engine", "the job engine has no tables yet", _FIRST)
        return
    yield ok("engine", f"tables of the job engine are there, pipeline version {engine.PIPELINE_VERSION}")


def clock(settings: Settings, opened: Engine | None, now: datetime) -> Iterator[Check]:
    """Whether our clock, the database's and the ledger's own times agree, and whether a time zone was chosen."""
    if "timezone" not in settings.site.model_fields_set:
        remedy = "Set site.timezone in dicom_ai.toml, for example Asia/Shanghai."
        yield warning("time zone", "not set: times in reports are UTC", remedy)
    else:
        yield ok("time zone", settings.site.timezone)
    if opened is None:
        return
    with read(opened) as connection:
        newest, theirs = overview.newest_time(connection), _their_now(connection)
    said = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if theirs is not None and abs(theirs - now) > _TOLERANCE:
        ahead = (theirs - now).total_seconds()
        remedy = "Let both machines take their time from the same NTP server."
        yield failed("clock", f"{said}; the database server's is {ahead:+.0f} s from it", remedy)
    elif newest is not None and newest - now > _TOLERANCE:
        remedy = "Set the clock right (NTP): it was set back, or was ahead when that was written."
        yield failed("clock", f"{said} is {(newest - now).total_seconds():.0f} s before the newest row", remedy)
    else:
        yield ok("clock", said)


def _their_now(connection: Connection) -> datetime | None:
    if connection.dialect.name == "sqlite":
        return None  # it has no clock but ours
    found: datetime | None = connection.scalar(text("SELECT clock_timestamp()"))
    return found


def waiting(opened: Engine, now: datetime) -> Iterator[Check]:
    """What in the ledger waits for a person: open alarms, deliveries that were given up or wait for long."""
    with read(opened) as connection:
        alarms = overview.alarm_rows(connection)
        dead = overview.count_deliveries(connection, Wanted(states=(outbox.DEAD,)))
        oldest = overview.oldest_waiting(connection)
    if alarms:
        reasons = ", ".join(sorted({row["reason"] for row in alarms}))
        yield warning("alarms", f"{len(alarms)} open: {reasons}", "See `dicom-ai alarms`; each says what to do.")
    else:
        yield ok("alarms", "none open")
    if oldest is not None and now - oldest > _LONG_WAIT:
        hours = (now - oldest).total_seconds() / 3600
        remedy = "See `dicom-ai deliveries list --state queued` and the lines of the destinations below."
        yield warning("deliveries", f"the oldest waits for {hours:.0f} h", remedy)
    elif dead:
        yield warning("deliveries", f"{dead} were given up", "See `dicom-ai deliveries list --state dead`, then retry.")
    else:
        yield ok("deliveries", "none given up, none waits for more than an hour")
