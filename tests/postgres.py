"""Debian's PostgreSQL for tests: one server per session on the loopback address, a fresh migrated database per test.

Most tests want the fixtures of `tests.databases`; its docstring says how to use them. A test that stops, freezes or
kills the server makes one of its own: `with started() as server:`.

URLs read `postgresql+psycopg://postgres:<password>@127.0.0.1:<port>/<database>`. The server runs with fsync on and dies
with the test process. Where it is not installed the test is skipped and says so; `.ci/run` installs it. What this is
not: a mock.
"""

import functools
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from dicom_ai import engine as jobs
from dicom_ai.store.database import migrate, open_engine
from tests.peers import free_port

START_LIMIT_S = 60.0
BINARIES = Path("/usr/lib/postgresql")
_TEMPLATE = "migrated"
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "max_wal_size": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "log_statement": "none",
}


class Server:
    """A PostgreSQL server in a folder of its own. `start` after `stop` or `kill` uses the same port and data."""

    host = "127.0.0.1"

    def __init__(self, **options: str) -> None:
        """Make the folder and initialise the cluster; nothing is started.

        Args:
            options: settings of the server, over ours.

        The folder lies beside pytest's, which are closed to the unprivileged user the server must run as.
        """
        self._binaries, self._options = _binaries(), _OPTIONS | options
        self._as_user: list[str] = []
        self.folder = Path(tempfile.mkdtemp(prefix="dicom-ai-postgres-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT")))
        self.port, self.password = free_port(), secrets.token_hex(8)
        self.log, self._data = self.folder / "server.log", self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        secret = self.folder / "password"
        secret.write_text(self.password)
        self.log.touch()
        if os.geteuid() == 0:  # the server refuses to run as root
            owner = pwd.getpwnam("postgres")
            self._as_user = [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
            for path in (self.folder, secret, self.log):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        options = ["--username=postgres", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-sync"]
        self._run("initdb", *options, f"--pwfile={secret}", "-D", str(self._data))

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://postgres:{self.password}@{self.host}:{self.port}/{database}"

    def start(self) -> None:
        """Start and wait until it answers."""
        sockets = [f"unix_socket_directories={self.folder}", f"port={self.port}"]
        settings = [*sockets, *(f"{name}={value}" for name, value in self._options.items())]
        command = [
            "setpriv",
            "--pdeathsig",
            "QUIT",
            *self._as_user,
            str(self._binaries / "postgres"),
            "-D",
            str(self._data),
        ]
        command += [part for setting in settings for part in ("-c", setting)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        deadline = time.monotonic() + START_LIMIT_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"PostgreSQL did not start:\n{self.log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it as an administrator's restart does: open transactions are rolled back, connections closed."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(timeout=10)

    def kill(self) -> None:
        """End it as a power cut does; the next start recovers from the log."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)
        self._process = None
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def freeze(self, *, thaw: bool = False) -> None:
        """Stop every process of it without closing a connection, or let them go on."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT if thaw else signal.SIGSTOP)
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for child in children.read_text().split():  # each has a process group of its own
            os.kill(int(child), signal.SIGCONT if thaw else signal.SIGSTOP)

    def remove(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement outside a transaction; its rows."""
        dsn = make_url(self.url(database)).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(dsn, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def new_database(self, *, is_migrated: bool = True) -> str:
        """URL of a fresh database, with the ledger's and the engine's tables unless told otherwise."""
        if is_migrated and not self.execute(f"SELECT 1 FROM pg_database WHERE datname = '{_TEMPLATE}'"):
            self.execute(f"CREATE DATABASE {_TEMPLATE}")
            make_tables(self.url(_TEMPLATE))
        self._count += 1
        name = f"test_{self._count}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE if is_migrated else 'template0'}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drop a database, whoever is still connected."""
        self.execute(f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)")

    def _is_ready(self) -> bool:
        try:
            return self.execute("SELECT 1") == [(1,)]
        except psycopg.OperationalError:
            return False

    def _run(self, name: str, *arguments: str) -> None:
        command = ["setpriv", *(self._as_user or ["--nnp"]), str(self._binaries / name), *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            shutil.rmtree(self.folder, ignore_errors=True)
            pytest.fail(f"{name} failed:\n{done.stderr[-2000:]}")


def _binaries() -> Path:
    """The newest installed server's programs; skips the test where the package is not installed."""
    found = sorted(BINARIES.glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian package postgresql)")
    return found[-1].parent


def make_tables(url: str) -> None:
    """Make the ledger's and the engine's tables, as the service does when it starts."""
    opened = open_engine(url)
    try:
        migrate(opened)
    finally:
        opened.dispose()
    jobs.prepare(url)


@contextmanager
def started(**options: str) -> Iterator[Server]:
    """A server of one's own, to be stopped, frozen or killed; `options` are settings of the server."""
    server = Server(**options)
    try:
        server.start()
        yield server
    finally:
        if server._process is not None:
            server.freeze(thaw=True)
        server.remove()


@functools.cache
def _shared() -> Server:
    server = Server()
    server.start()
    return server


def shared() -> Server:
    """The server of this session, started at first use. Do not stop it; other tests use it."""
    return _shared()


def remove_shared() -> None:
    """At the end of the session."""
    if _shared.cache_info().currsize:
        _shared().remove()
        _shared.cache_clear()
