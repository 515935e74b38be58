"""The service under test: started, stopped and killed as a person or a power cut does it, looked at from outside.

Nothing of the service is imported here. Its ledger is opened read-only, its processes are found by a mark in their
environment, so that a process that outlives the service is seen wherever it hangs in the process tree.
"""

import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.peers import free_port

ROOT = Path(__file__).parents[2]
START_LIMIT_S = 120.0  # torch on a loaded machine
STOP_LIMIT_S = 30.0  # what the contract allows
_MARK = "E2E_MARK"
_QUICK = {
    "DICOM_AI_STORE__SETTLE_QUIET_S": "2",
    "DICOM_AI_STORE__SETTLE_LATE_QUIET_S": "3",
    "DICOM_AI_STORE__MIN_FREE_MIB": "64",
    "DICOM_AI_CLASSIFY__DEVICE": "cpu",
    "DICOM_AI_CLASSIFY__THREADS": "1",
    "DICOM_AI_DELIVER__FORWARD_WAIT_S": "0.3",
    "DICOM_AI_DELIVER__CONNECT_TIMEOUT_S": "3",
    "DICOM_AI_DELIVER__RESPONSE_TIMEOUT_S": "15",
    "DICOM_AI_DELIVER__FIRST_RETRY_S": "0.5",
    "DICOM_AI_DELIVER__MAX_RETRY_S": "2",
    "DICOM_AI_LOG__LEVEL": "debug",
    "DICOM_AI_LOG__FORMAT": "json",
}
ROUTES = """
[[routes]]
task = "lung-signs"
description_contains = "lung"

[[routes]]
task = "uterine-lesions"
description_contains = "transvaginal"
"""


def environment(**changes: str) -> dict[str, str]:
    """The environment of this process without settings of a developer, with short waits and `changes`."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DICOM_AI_")}
    return {**plain, **_QUICK, "PYTHONPATH": str(ROOT), **changes}


def run(
    *arguments: str | Path, cwd: Path, timeout_s: float = 120.0, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `dicom-ai ARGUMENTS` to its end, in a folder of its own."""
    command = [sys.executable, "-m", "dicom_ai", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=dict(env or environment()), capture_output=True, text=True, timeout=timeout_s
    )


def rows(text: str) -> list[dict[str, Any]]:
    """JSON rows of a command's standard output."""
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def destination(name: str, ae_title: str, port: int, *, forward: str = "all", test: bool = True) -> str:
    """One destination of a site file."""
    return (
        f'[[destinations]]\nname = "{name}"\nae_title = "{ae_title}"\nhost = "127.0.0.1"\nport = {port}\n'
        f'forward = "{forward}"\nresults = true\ntest = {str(test).lower()}\n'
    )


class Service:
    """A service on a data folder; may be started again after it was stopped or killed."""

    def __init__(self, folder: Path, *, database_url: str = "", **changes: str) -> None:
        """Prepare.

        Args:
            folder: data folder, log and working folder lie in here.
            database_url: SQLAlchemy URL of a PostgreSQL database for the ledger; empty: SQLite in the data folder.
            changes: environment variables over the short waits of the tests.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.database_url = database_url
        changes |= {"DICOM_AI_STORE__DATABASE_URL": database_url} if database_url else {}
        self.folder, self.data, self.log = folder, folder / "data", folder / "service.log"
        self.port = free_port()
        self.mark = secrets.token_hex(8)
        self._environment = environment(DICOM_AI_RECEIVE__PORT=str(self.port), **changes, **{_MARK: self.mark})
        self._process: subprocess.Popen[str] | None = None

    def apply(self, *destinations: str, routes: str = ROUTES) -> None:
        """Put a site file with the test's routes and these destinations into force."""
        path = self.folder / "site.toml"
        path.write_text(routes + "\n".join(destinations), encoding="utf-8")
        done = self.command("apply", path, "--data", self.data)
        assert done.returncode == 0, done.stderr

    def command(self, *arguments: str | Path, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run another command beside the service, with its settings."""
        return run(*arguments, cwd=self.folder, timeout_s=timeout_s, env=self.beside())

    def beside(self) -> dict[str, str]:
        """The environment of another command with the settings of this service."""
        return {name: value for name, value in self._environment.items() if name != _MARK}

    def start(self, limit_s: float = START_LIMIT_S) -> dict[str, Any]:
        """Start `dicom-ai serve` and wait for its ready line."""
        command = [sys.executable, "-m", "dicom_ai", "serve", "--data", str(self.data), "--port", str(self.port)]
        ready = self.folder / "ready.json"
        with ready.open("w") as out, self.log.open("a") as log:
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment, stdout=out, stderr=log, text=True
            )
        self.wait_until(lambda: ready.read_text().endswith("\n") or self._has_ended(), limit_s, "the ready line")
        if self._has_ended():
            raise AssertionError(f"the service ended with {self._process.returncode}\n{self.diagnosis()}")
        row: dict[str, Any] = json.loads(ready.read_text())
        return row

    def stop(self, limit_s: float = STOP_LIMIT_S) -> int:
        """Stop it by SIGTERM and wait; return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not stopped after {limit_s} s\n{self.diagnosis()}") from None
        self._process = None
        return code

    def kill(self) -> None:
        """Kill the supervisor, as a power cut would, and see every other process follow it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._process = None
        self.wait_until(lambda: not self.processes(), 10, "the role processes to follow the supervisor")

    def kill_role(self, name: str, limit_s: float = START_LIMIT_S) -> None:
        """Kill one process ("receive", "work" or "child") and wait until the supervisor or `work` has a new one.

        A decoding child is started when there is something to decode, so nothing is waited for.
        """
        killed = self.pid_of(name)
        assert killed is not None, f"no process {name}\n{self.diagnosis()}"
        os.kill(killed, signal.SIGKILL)
        if name != "child":
            self.wait_until(lambda: self.pid_of(name) not in {None, killed}, limit_s, f"another {name}")

    def close(self) -> None:
        """End whatever is left; for the end of a test, also a failed one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
        for pid in self.processes():
            _kill(pid)

    def pid_of(self, name: str) -> int | None:
        """Process id of "supervisor", "receive", "work" or "child" (a decoding child)."""
        wanted = {
            "supervisor": "dicom_ai serve",
            "receive": "dicom_ai.service receive",
            "work": "dicom_ai.service work",
            "child": "dicom_ai.crop.child",
        }[name]
        return next((pid for pid, command in self.processes().items() if wanted in command), None)

    def processes(self) -> dict[int, str]:
        """Every living process that belongs to this service: process id -> command line."""
        return dict(marked(self.mark))

    def select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the ledger and of the engine's tables, read-only; none before there is one. `?` marks a value."""
        if self.database_url:
            return self._select_postgres(query, values)
        path = self.data / "ledger.sqlite"
        if not path.exists():
            return []
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as ledger:
            return ledger.execute(query, values).fetchall()

    def _select_postgres(self, query: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        url = self.database_url.replace("postgresql+psycopg://", "postgresql://")
        with psycopg.connect(url, options="-c search_path=public,dbos -c default_transaction_read_only=on") as ledger:
            return ledger.execute(query.replace("%", "%%").replace("?", "%s"), values).fetchall()

    def deliveries(self) -> dict[tuple[str, str], int]:
        """(kind, state) -> how many."""
        found = self.select("SELECT kind, state, count(*) FROM deliveries GROUP BY kind, state")
        return {(kind, state): count for kind, state, count in found}

    def is_at_rest(self) -> bool:
        """Whether every set is closed, every delivery is over and no job waits or runs."""
        (unfinished,) = self.select(
            "SELECT (SELECT count(*) FROM sets WHERE state = 'open')"
            " + (SELECT count(*) FROM deliveries WHERE state = 'queued')"
            " + (SELECT count(*) FROM workflow_status WHERE status IN ('ENQUEUED', 'DELAYED', 'PENDING'))"
        )
        return unfinished == (0,)

    def wait_until(self, is_so: Callable[[], bool], limit_s: float, what: str) -> None:
        """Wait for something; when it does not come, say what stands instead."""
        deadline = time.monotonic() + limit_s
        while not is_so():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {limit_s:g} s for {what}\n{self.diagnosis()}")
            time.sleep(0.1)

    def diagnosis(self) -> str:
        """What a person would look at first."""
        lines = [f"processes: {self.processes()}"]
        for title, query in {
            "objects": "SELECT state, reason, count(*) FROM objects GROUP BY 1, 2",
            "sets": "SELECT task, state, revision, looks, count(*) FROM sets GROUP BY 1, 2, 3, 4",
            "deliveries": "SELECT kind, state, reason, last_status, max(attempts), count(*) FROM deliveries"
            " GROUP BY 1, 2, 3, 4",
            "jobs": "SELECT name, status, count(*) FROM workflow_status GROUP BY 1, 2",
            "events": "SELECT kind, count(*) FROM events GROUP BY 1",
        }.items():
            try:
                lines.append(f"{title}: {self.select(query)}")
            except (sqlite3.Error, psycopg.Error) as exc:
                lines.append(f"{title}: {exc}")
        log = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join([*lines, "log:", *log.splitlines()[-30:]])

    def _has_ended(self) -> bool:
        return self._process is None or self._process.poll() is not None


@contextmanager
def service(folder: Path, *destinations: str, **changes: str) -> Iterator[Service]:
    """A started service with these destinations in force; at the end it stops in time and leaves no process."""
    one = Service(folder, **changes)
    try:
        one.apply(*destinations)
        one.start()
        yield one
        assert one.stop() == 0
        assert one.processes() == {}
    finally:
        one.close()


def marked(mark: str) -> Iterator[tuple[int, str]]:
    """Living processes with this mark in their environment: process id, command line."""
    entry = f"{_MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if entry in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name), (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:  # it ended, or is another user's
            continue


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
