"""The supervisor: holds the data folder, starts the role processes, starts them again when they die, stops them.

A role process gets its settings as one line on standard input and treats the end of that pipe as the order to
die, so that nothing outlives the supervisor even when it is killed; the kernel's parent-death signal is the
second belt. Readiness comes back as one JSON line on the role's standard output.

What this is not: a place where work is done. It imports neither torch nor the ledger's queries.
"""

import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

from dicom_ai.errors import DicomAIError
from dicom_ai.log import get_logger
from dicom_ai.settings import Settings

_PR_SET_PDEATHSIG = 1
_RESTART_PAUSE_S = (0.2, 0.5, 1.0, 2.0, 5.0)  # a role that dies at once again is not restarted in a busy loop
_SOUND_AFTER_S = 30.0  # a role that lived this long starts again at the shortest pause


class RoleFailed(DicomAIError):
    """A role process could not be started."""


def follow_parent(parent: int) -> None:
    """Die with the parent: in a role process, before anything else.

    Args:
        parent: process id of the supervisor; it may be 1, in a container.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the signal was asked for
        os._exit(1)


def await_end_of(pipe: IO[str]) -> None:
    """Die when `pipe` ends: the parent is gone although the signal was lost. Runs in a thread of its own."""

    def watch() -> None:
        while pipe.readline():
            pass
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


@dataclass
class Role:
    """One role process and when it was started."""

    name: str
    process: subprocess.Popen[str]
    started: float
    again_at: float | None = None  # when a role that died is started again
    ready: dict[str, Any] = field(default_factory=dict)
    told: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)

    def listen(self) -> None:
        """Read what the process prints, in a thread: a full pipe would hold it up. The first line is kept."""

        def read() -> None:
            out = self.process.stdout
            with suppress(OSError, ValueError):  # the pipe is closed when the process has ended
                self.told.put(out.readline() if out else "")
                for _ in out or ():
                    pass

        threading.Thread(target=read, name=f"{self.name}-output", daemon=True).start()

    def close_pipes(self) -> None:
        """Close what is left of a process that ended; a restart must not cost two descriptors."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Supervisor:
    """Keeps the roles alive until told to stop."""

    def __init__(self, settings: Settings, roles: Sequence[str], *, log_to: IO[str] | None = None) -> None:
        """Prepare; nothing is started.

        Args:
            settings: handed to every role.
            roles: "receive", "work" in the order of start.
            log_to: where the roles' standard error goes; None: to ours.
        """
        self._log_to = log_to
        self._settings = settings
        self._names = tuple(roles)
        self._roles: dict[str, Role] = {}
        self._falls: dict[str, int] = {}
        self._stop = threading.Event()
        self._log = get_logger()

    def start(self, timeout_s: float = 120.0) -> dict[str, Any]:
        """Start every role and wait until all are ready.

        Returns:
            What the roles told when they became ready, merged: "ae", "port".

        Raises:
            RoleFailed: a role ended before it was ready; its own log says why.
        """
        for name in self._names:
            self._roles[name] = self._spawn(name)
        merged: dict[str, Any] = {}
        for role in self._roles.values():
            merged |= self._await_ready(role, timeout_s)
        return merged

    def run(self) -> int:
        """Watch the roles until a signal asks to stop; return the exit code."""
        while not self._stop.wait(0.1):
            for name, role in list(self._roles.items()):
                if role.process.poll() is not None and self._is_due(role):
                    self._roles[name] = self._again(role)
        return self._stop_roles()

    @property
    def pid(self) -> int:
        """Process id of the supervisor, the one to signal."""
        return os.getpid()

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stop.set()

    def _spawn(self, name: str) -> Role:
        command = [sys.executable, "-m", "dicom_ai.service", name, str(self.pid)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log_to, text=True
        )
        assert process.stdin is not None  # noqa: S101 - asked for above
        process.stdin.write(self._settings.model_dump_json() + "\n")
        process.stdin.flush()
        self._log.info("role started", action="start", role=name, pid=process.pid)
        role = Role(name, process, time.monotonic())
        role.listen()
        return role

    def _await_ready(self, role: Role, timeout_s: float) -> dict[str, Any]:
        line = ""
        with suppress(queue.Empty):
            line = role.told.get(timeout=timeout_s)
        if not line.strip():
            self._stop_roles()
            raise RoleFailed(f"role {role.name} did not become ready; its log lines above say why")
        role.ready = json.loads(line)
        self._keep_port(role)
        return role.ready

    def _keep_port(self, role: Role) -> None:
        """A free port taken at first start is the port the scanners know: a restarted receiver takes it again."""
        if role.name == "receive" and self._settings.receive.port == 0:
            receive = self._settings.receive.model_copy(update={"port": role.ready["port"]})
            self._settings = self._settings.model_copy(update={"receive": receive})

    def _is_due(self, role: Role) -> bool:
        """Whether a dead role may be started again; its pause holds up no other role."""
        now = time.monotonic()
        if role.again_at is None:
            falls = 0 if now - role.started > _SOUND_AFTER_S else self._falls.get(role.name, -1) + 1
            self._falls[role.name] = falls
            code = role.process.returncode
            self._log.error("role died", action="restart", role=role.name, exit_code=code, attempt=falls)
            role.close_pipes()
            role.again_at = now + _RESTART_PAUSE_S[min(falls, len(_RESTART_PAUSE_S) - 1)]
        return now >= role.again_at

    def _again(self, role: Role) -> Role:
        try:
            return self._spawn(role.name)
        except OSError as exc:  # no memory, no descriptors, or it died while reading its settings
            self._log.error("role not started", action="restart", role=role.name, error=type(exc).__name__)
            role.again_at = None
            return role  # dead as it is, it is met again at the next look

    def _stop_roles(self, timeout_s: float = 25.0) -> int:
        for role in self._roles.values():
            if role.process.poll() is None:
                role.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        for role in self._roles.values():
            try:
                role.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                role.process.kill()
                role.process.wait()
            role.close_pipes()
        return 0
