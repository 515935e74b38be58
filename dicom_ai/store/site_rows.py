"""The site's tables as ledger rows: every change is a new version; every process reads the newest.

What this is not: the file people edit (`dicom_ai.site.read_site` reads that).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, insert, select

from dicom_ai.site import SiteTables
from dicom_ai.store.database import read
from dicom_ai.store.tables import sites


@dataclass(frozen=True)
class Version:
    """One version of the site's tables: its number, who put it into force and when (aware)."""

    number: int
    by: str
    at: datetime
    tables: SiteTables


def in_force(connection: Connection) -> Version | None:
    """The version in force, None when none was ever applied."""
    row = connection.execute(select(sites).order_by(sites.c.version.desc()).limit(1)).first()
    return Version(row.version, row.by, row.at, SiteTables.model_validate(row.content)) if row is not None else None


def newest(connection: Connection) -> SiteTables:
    """The tables in force; empty tables when none were ever applied."""
    version = in_force(connection)
    return version.tables if version is not None else SiteTables()


def apply(connection: Connection, tables: SiteTables, *, by: str, now: datetime) -> int:
    """Put tables into force.

    Args:
        connection: with a write transaction open.
        tables: the new tables, complete.
        by: who did it.
        now: aware time.

    Returns:
        The version in force: a new one, or the present one if nothing changed.
    """
    row = connection.execute(select(sites.c.version, sites.c.content).order_by(sites.c.version.desc()).limit(1)).first()
    content = tables.model_dump(mode="json")
    if row is not None and row.content == content:
        return int(row.version)
    adding = insert(sites).values(at=now, by=by, content=content).returning(sites.c.version)
    return int(connection.execute(adding).scalar_one())


class SiteReader:
    """Gives the tables in force, reading the ledger at most once per `ttl_s` seconds. Thread-safe."""

    def __init__(self, engine: Engine, ttl_s: float = 2.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Take the ledger; nothing is read before the first call."""
        self._engine, self._ttl_s, self._monotonic = engine, ttl_s, monotonic
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._tables = SiteTables()

    def __call__(self) -> SiteTables:
        """The tables in force.

        Raises:
            LedgerUnavailable: the ledger cannot be read; old tables are not served as if they were new.
        """
        with self._lock:
            if self._monotonic() - self._read_at >= self._ttl_s:
                with read(self._engine) as connection:
                    self._tables = newest(connection)
                self._read_at = self._monotonic()
            return self._tables
