"""The ledger's engine: opens the database durably, gives transactions, brings the schema up to date.

SQLite runs with WAL and synchronous FULL; writers take the write lock at BEGIN, so that two writers queue up instead of
failing half way. On PostgreSQL they take an advisory lock and queue up likewise (`postgresql`): write transactions are
serial on both, so that looking before inserting is safe. What this is not: queries; and a SQLite file on a network file
system (WAL needs shared memory).
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Table, create_engine, event, func, insert, make_url, select
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dicom_ai.errors import LedgerUnavailable, SettingsError
from dicom_ai.store import postgresql

BUSY_TIMEOUT_MS = 30_000
"""How long a SQLite writer waits for another one before the ledger counts as unavailable."""

_READ_ONLY = "dicom_ai_read_only"
_FAULTS_OF_OURS = (IntegrityError, ProgrammingError, DataError)  # repeating them changes nothing


def open_engine(url: str) -> Engine:
    """Open the ledger.

    Args:
        url: SQLAlchemy URL, `sqlite:///absolute/path` or `postgresql+psycopg://...`.

    Returns:
        An engine whose error texts hold no bound values (they may be a patient's).
    """
    if url.startswith("sqlite"):
        engine = create_engine(url, hide_parameters=True)
        _make_private(engine.url.database)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    arguments = postgresql.connect_args(make_url(url))
    engine = create_engine(
        url, hide_parameters=True, pool_pre_ping=True, isolation_level="READ COMMITTED", connect_args=arguments
    )
    event.listen(engine, "connect", postgresql.prepare)
    event.listen(engine, "begin", _begin_postgresql)
    return engine


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """One write transaction: committed at the end, rolled back on any error. There is one at a time per ledger.

    Keep it short, and never open another one inside: it would wait for this one.

    Raises:
        LedgerUnavailable: the database is locked, full, read-only, gone or damaged. When the connection broke during
            the commit nobody knows whether it came to pass: do the same again, everything written has its key.
    """
    with _translated(), engine.begin() as connection:
        yield connection


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """One consistent view that takes no write lock; what is written through it is not kept.

    Raises:
        LedgerUnavailable: as in `write`.
    """
    options: dict[str, Any] = {_READ_ONLY: True}
    if engine.dialect.name == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"  # one view for all its statements, as SQLite gives
    with _translated(), engine.connect() as connection:
        yield connection.execution_options(**options)


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest revision, in one transaction; harmless when it is there already.

    Raises:
        LedgerUnavailable: as in `write`.
        SettingsError: the server or the user of the database is not fit to hold a ledger.
    """
    config = _config()
    try:
        with write(engine) as connection:
            if engine.dialect.name == "postgresql":
                postgresql.require_durable(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except ProgrammingError as exc:
        if not postgresql.is_forbidden(exc):
            raise
        raise SettingsError("the database user may not make tables: let it own the database") from exc


def revisions(engine: Engine) -> tuple[str | None, str]:
    """The schema's revision in the database (None: no tables yet) and the newest one this version knows.

    Raises:
        LedgerUnavailable: as in `write`.
    """
    with read(engine) as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    return found, ScriptDirectory.from_config(_config()).get_current_head() or ""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def insert_once(connection: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Insert a row unless one with this key stands; whether it was inserted.

    Write transactions are serial, so looking before inserting is safe.
    """
    where = [table.c[name] == value for name, value in key.items()]
    if connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one():
        return False
    connection.execute(insert(table).values(**values))
    return True


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _FAULTS_OF_OURS:
        raise
    except DBAPIError as exc:
        name = getattr(exc.orig, "sqlite_errorname", type(exc.orig).__name__)
        raise LedgerUnavailable(postgresql.why_not_connected(exc) or name) from exc
    except PoolTimeout as exc:
        raise LedgerUnavailable("no free connection") from exc


def _make_private(path: str | None) -> None:
    """Identities lie in the ledger; SQLite gives its other files (WAL) the mode of this one."""
    if path:
        with suppress(OSError):  # the first transaction says what is wrong
            os.close(os.open(path, os.O_RDONLY | os.O_CREAT, 0o600))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver would begin by itself, deferred, and not before every statement
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",  # first: changing the journal mode needs the lock as well
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    is_read = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if is_read else "BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    if not connection.get_execution_options().get(_READ_ONLY, False):
        postgresql.begin_writing(connection)
