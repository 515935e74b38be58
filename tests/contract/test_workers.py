"""Workers on one PostgreSQL: a dead one's jobs are taken over, one without its lock ends, no step is done twice."""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dicom_ai import engine
from dicom_ai.errors import LedgerUnavailable
from dicom_ai.ports import Job
from dicom_ai.store.database import open_engine, write
from dicom_ai.watchdog import LockedSeat, seated
from tests.postgres import shared

ROOT = Path(__file__).parents[2]
SOON_S = 30.0  # seconds on a free machine; the tests share one


class Workers:
    """Worker processes on one ledger and the jobs they are given."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self._running: list[subprocess.Popen[str]] = []

    def start(self, place: str) -> subprocess.Popen[str]:
        """Start one; `name` holds what it calls itself."""
        command = [sys.executable, "-m", "tests.contract.worker", self.url, place, str(self.folder)]
        with (self.folder / "log").open("a") as log:
            one = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self._running.append(one)
        return one

    def name(self, one: subprocess.Popen[str]) -> str:
        """Wait until it is ready."""
        assert one.stdout is not None
        said = one.stdout.readline().strip()
        assert said, (self.folder / "log").read_text()
        return said

    def enqueue(self, *jobs: str) -> None:
        client, opened = engine.client(self.url), open_engine(self.url)
        with write(opened) as connection:
            for job in jobs:
                engine.enqueuer(client)(connection, Job("analyse", job, "classify", (job,)))
        client.destroy()
        opened.dispose()

    def go(self) -> None:
        (self.folder / "go").touch()

    def done(self, step: str) -> list[tuple[str, str]]:
        """(job, worker) of a step, in the order done."""
        with suppress(FileNotFoundError):
            lines = [line.split() for line in (self.folder / "done").read_text().splitlines()]
            return [(job, worker) for name, job, worker in lines if name == step]
        return []

    def wait_until(self, is_so: Callable[[], bool], what: str) -> float:
        """Wait for something; how long it took."""
        began = time.monotonic()
        while not is_so():
            assert time.monotonic() - began < SOON_S, f"waited for {what}\n{(self.folder / 'log').read_text()}"
            time.sleep(0.02)
        return time.monotonic() - began

    def close(self) -> None:
        for one in self._running:
            one.kill()
            one.communicate()


@pytest.fixture
def workers(postgresql_url: str, tmp_path: Path) -> Iterator[Workers]:
    found = Workers(postgresql_url, tmp_path)
    yield found
    found.close()


def test_a_worker_killed_in_mid_step_is_replaced_by_one_on_another_host(workers: Workers) -> None:
    first, second = workers.start("machine-a"), workers.start("machine-b")
    assert [workers.name(first), workers.name(second)] == ["machine-a-0", "machine-b-0"]
    workers.enqueue("j1", "j2", "j3")
    workers.wait_until(lambda: len(workers.done("begun")) == 2, "two jobs to be at work")
    of = {worker: job for job, worker in workers.done("begun")}
    first.kill()
    workers.go()
    workers.wait_until(lambda: len(workers.done("three")) == 3, "every job to be done by the one that is left")
    assert Counter(workers.done("three")) == Counter({(job, "machine-b-0"): 1 for job in ("j1", "j2", "j3")})
    assert Counter(job for job, _ in workers.done("one")) == {"j1": 1, "j2": 1, "j3": 1}, "a finished step was repeated"
    assert (of["machine-a-0"], "machine-b-0") in workers.done("begun")


def test_a_worker_that_lost_its_lock_ends_before_it_does_more(workers: Workers) -> None:
    first = workers.start("machine-a")
    workers.name(first)
    workers.enqueue("j1", "j2")
    workers.wait_until(lambda: bool(workers.done("begun")), "a job to be at work")
    second = workers.start("machine-b")
    workers.name(second)
    workers.wait_until(lambda: len(workers.done("begun")) == 2, "both to be at work")
    of = {worker: job for job, worker in workers.done("begun")}
    query = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1145258313"
    holder = f"{query} AND objid = {LockedSeat.key('machine-a-0')}"
    database = workers.url.rsplit("/", 1)[1]
    assert shared().execute(holder, database) == [(True,)]
    assert first.wait(SOON_S) == 70
    workers.go()
    workers.wait_until(lambda: len(workers.done("three")) == 2, "both jobs to be done")
    assert sorted(workers.done("three")) == [("j1", "machine-b-0"), ("j2", "machine-b-0")]
    assert (of["machine-a-0"], "machine-b-0") in workers.done("begun")


@pytest.mark.verify
def test_a_worker_that_stands_still_is_not_replaced(workers: Workers) -> None:
    first = workers.start("machine-a")
    workers.name(first)
    workers.enqueue("j1")
    workers.wait_until(lambda: bool(workers.done("begun")), "the job to be at work")
    second = workers.start("machine-b")
    workers.name(second)
    first.send_signal(signal.SIGSTOP)
    workers.go()
    time.sleep(6)
    first.send_signal(signal.SIGCONT)
    workers.wait_until(lambda: bool(workers.done("three")), "the job to be done")
    assert workers.done("three") == [("j1", "machine-a-0")]
    assert workers.done("begun") == [("j1", "machine-a-0")]


def test_two_workers_of_one_host_have_names_of_their_own(postgresql_url: str) -> None:
    with seated(postgresql_url, "host") as one, seated(postgresql_url, "host") as other:
        assert (one.executor, other.executor) == ("host-0", "host-1")
    with seated(postgresql_url, "host") as again:
        assert again.executor == "host-0"
        again.require()


def test_a_lock_that_a_pooler_gave_away_is_noticed(postgresql_url: str) -> None:
    ended: list[bool] = []
    seat = LockedSeat(postgresql_url, "host", end=lambda: ended.append(True))
    seat._ask("SELECT pg_advisory_unlock_all()::text")
    time.sleep(1.5)
    seat.leave()
    assert ended


def test_without_a_server_there_is_no_seat() -> None:
    with pytest.raises(LedgerUnavailable, match="refused"), seated("postgresql+psycopg://nobody@127.0.0.1:9/x", "host"):
        pass


def test_sqlite_has_one_seat_and_no_lock() -> None:
    with seated("sqlite:////nowhere/ledger.sqlite", "host") as seat:
        seat.require()
        seat.watch(set, lambda _: 0)
        assert seat.executor == "local-0"
