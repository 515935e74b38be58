"""The ledger on PostgreSQL: what a connection must promise, and the lock that lets one writer in at a time.

SQLite lets one writer in at a time, and the queries of this package rest on it: they look, then insert. On PostgreSQL a
write transaction takes one advisory lock at its begin, so that the same holds there. It ends with the transaction,
however that ends; a writer that hangs loses its transaction before those who wait for it give up. Needs session
pooling: behind a pooler that shares sessions between transactions the settings made here do not hold.

What this is not: the lock of a worker on its name (`dicom_ai.watchdog`).
"""

from typing import Any

from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError

from dicom_ai.errors import SettingsError

LOCKS = 0x44434149
"""First key of our advisory locks, "DCAI"; the second says which: 0 the writer, 1.. see `dicom_ai.watchdog`."""

WAIT_S, HANG_S = 30, 20
"""How long a writer waits for the others, and how long a transaction may do nothing before the server ends it."""

_NETWORK = {  # a server that lost its power is noticed within half a minute, not after two hours
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_COMMIT = "current_setting('synchronous_commit')"
_ON_CONNECT = f"""SELECT set_config('lock_timeout', '{WAIT_S}s', false),
 set_config('idle_in_transaction_session_timeout', '{HANG_S}s', false),
 set_config('synchronous_commit', CASE {_COMMIT} WHEN 'off' THEN 'on' ELSE {_COMMIT} END, false)"""
_ONE_WRITER = f"SELECT pg_advisory_xact_lock({LOCKS}, 0)"


def connect_args(url: URL) -> dict[str, Any]:
    """Parameters of a connection that the URL does not set itself."""
    return {name: value for name, value in _NETWORK.items() if name not in url.query}


def prepare(connection: Any, _record: object = None) -> None:
    """Settings of a new connection. A commit returns when it is durable, whatever the server's default says."""
    connection.execute(_ON_CONNECT)
    connection.commit()


def begin_writing(connection: Connection) -> None:
    """Wait until no other writer is at work. Under READ COMMITTED the statements after this one see what it committed.

    Under a stricter isolation they would see the ledger as it was when the waiting began.
    """
    connection.exec_driver_sql(_ONE_WRITER)


def require_durable(connection: Connection) -> None:
    """Refuse a server that may lose what it has committed, or that cannot hold every name.

    Raises:
        SettingsError: with the setting to change.
    """
    wanted = {"fsync": "on", "full_page_writes": "on", "server_encoding": "UTF8"}
    for name, value in wanted.items():
        found = connection.exec_driver_sql(f"SHOW {name}").scalar_one()
        if found != value:
            remedy = "make the database with ENCODING 'UTF8'" if name == "server_encoding" else "set it in the server"
            raise SettingsError(f"the PostgreSQL server has {name} = {found}, the ledger needs {value}: {remedy}")


def is_forbidden(error: DBAPIError) -> bool:
    """Whether the database user lacks a right: to a thing, or to the schema things are made in."""
    return getattr(error.orig, "sqlstate", None) in {"42501", "3F000"}


def why_not_connected(error: DBAPIError) -> str | None:
    """What the server or the network said when a connection was refused; None for an error of a statement.

    Such a text names host, database and user; no statement was sent, so that it holds nothing of a patient.
    """
    if error.statement is not None or not hasattr(error.orig, "sqlstate"):
        return None
    return " ".join(str(error.orig).split())[:300] or None
