"""The supervisor with real role processes: ready, dead and back on the same port, never ready, stopped."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dicom_ai import service
from dicom_ai.deliver.address import Address
from dicom_ai.deliver.echo import echo
from dicom_ai.errors import PeerError
from dicom_ai.settings import Deliver, Receive, Settings, Store
from dicom_ai.supervisor import RoleFailed, Supervisor

pytestmark = pytest.mark.protocol


def settings_of(data: Path, port: int = 0) -> Settings:
    return Settings(store=Store(data=data, min_free_mib=0), receive=Receive(port=port))


@contextmanager
def running(supervisor: Supervisor) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=supervisor.run)
    thread.start()
    try:
        yield thread
    finally:
        supervisor.stop()
        thread.join(60)


def child_of_ours(name: str) -> int:
    """Process id of a role that this process started."""
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread or a process that has just ended
            for pid in (task / "children").read_text().split():
                command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"dicom_ai.service" in command and name.encode() in command:
                    return int(pid)
    raise AssertionError(f"no role {name}")


def answers(port: int, within: threading.Event, limit_s: float = 60.0) -> bool:
    """Whether the node answers a C-ECHO before the limit."""
    for _ in range(round(limit_s / 0.2)):
        try:
            echo(Address("DICOM_AI", "127.0.0.1", port), Deliver(connect_timeout_s=2.0, response_timeout_s=2.0))
        except PeerError:
            within.wait(0.2)
        else:
            return True
    return False


def test_a_role_that_dies_is_started_again_on_the_same_port(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    service.prepare(settings)
    with (tmp_path / "log").open("w") as log:
        supervisor = Supervisor(settings, ["receive"], log_to=log)
        told = supervisor.start()
        assert told["ae"] == "DICOM_AI"
        port, never = int(told["port"]), threading.Event()
        with running(supervisor) as thread:
            assert answers(port, never)
            first = child_of_ours("receive")
            os.kill(first, signal.SIGKILL)
            assert answers(port, never)
            second = child_of_ours("receive")
            assert second != first
        assert not thread.is_alive()
    assert not Path(f"/proc/{second}").exists()
    with pytest.raises(OSError):  # noqa: PT011 - refused, or timed out where the port is just closing
        socket.create_connection(("127.0.0.1", port), timeout=1)


def test_the_pause_of_one_role_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies at every start waits longer and longer; the receiver must be back at once all the same."""
    settings = settings_of(tmp_path / "data")
    service.prepare(settings)
    with (tmp_path / "log").open("w+") as log:
        supervisor = Supervisor(settings, ["receive"], log_to=log)
        port, never = int(supervisor.start()["port"]), threading.Event()
        monkeypatch.setattr("dicom_ai.supervisor._RESTART_PAUSE_S", (0.0, 60.0))
        supervisor._roles["nobody"] = supervisor._spawn("nobody")  # there is no such role: it dies at every start
        supervisor._falls["nobody"] = 0
        with running(supervisor):
            supervisor._roles["nobody"].process.wait(30)
            never.wait(0.5)
            assert answers(port, never)
            os.kill(child_of_ours("receive"), signal.SIGKILL)
            assert answers(port, never, 30.0)
            assert supervisor._roles["nobody"].process.poll() is not None, "it waits for its next start"


def test_a_role_that_ends_before_it_is_ready_stops_the_start(tmp_path: Path) -> None:
    with socket.socket() as taken, (tmp_path / "log").open("w+") as log:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = settings_of(tmp_path / "data", taken.getsockname()[1])
        service.prepare(settings)
        with pytest.raises(RoleFailed, match="receive"):
            Supervisor(settings, ["receive"], log_to=log).start()
        log.seek(0)
        assert "cannot listen" in log.read()  # the role itself says why


def test_a_role_that_is_not_ready_in_time_stops_the_start_and_is_ended(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "data")
    service.prepare(settings)
    with (tmp_path / "log").open("w") as log:
        supervisor = Supervisor(settings, ["receive"], log_to=log)
        with pytest.raises(RoleFailed, match="receive"):
            supervisor.start(timeout_s=0.01)
    with pytest.raises(AssertionError, match="no role"):
        child_of_ours("receive")
