"""A destination that cannot be reached is called once per back-off step, however many studies wait for it."""

import heapq
import random
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_ai.crop.cropper import Cropper
from dicom_ai.instance import US_IMAGE
from dicom_ai.settings import Deliver
from dicom_ai.site import SiteTables
from dicom_ai.store import tables
from tests.ledger import START
from tests.peers import free_port
from tests.workplace import Workplace, destination, pacs, workplace

pytestmark = pytest.mark.databases("verify")
WAITS = Deliver(
    connect_timeout_s=20.0,
    response_timeout_s=30.0,
    first_retry_s=10.0,
    max_retry_s=400.0,
    retention_h=2.0,
    forward_wait_s=1,
)
BACK_OFF_S = (10, 20, 40, 80, 160, 320, 400, 400, 400)


def small(number: int) -> Dataset:
    """The only object of a study of its own."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = US_IMAGE
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = (f"1.2.{part}.{number}" for part in (3, 4, 5))
    ds.PatientID = "SIMULATED"
    return ds


@pytest.fixture
def work(tmp_path: Path) -> Workplace:
    unused = Cropper(children=1, memory_mib=1024, timeout_s=1, recycle_after=1)
    return workplace(tmp_path / "data", unused, [], site=SiteTables(destinations=(destination(1),)), deliver=WAITS)


class Unanswering:
    """A port that takes every connection and drops it at once; it counts them."""

    def __init__(self) -> None:
        self.calls = 0
        self._listener = socket.create_server(("127.0.0.1", free_port()))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.calls += 1
            connection.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@contextmanager
def unanswering() -> Iterator[Unanswering]:
    one = Unanswering()
    try:
        yield one
    finally:
        one.close()


class Engine:
    """Runs the delivery jobs one after another when they are due, as the partitioned queue does; time is told."""

    def __init__(self, work: Workplace) -> None:
        self.work, self.t = work, 0.0
        self._seen: set[str] = set()
        self._queue: list[tuple[float, str, Any]] = []
        self.began: list[float] = []

    def receive(self, number: int) -> None:
        self.work.receive(small(number))
        self._take()

    def run_until(self, t: float) -> None:
        self._take()
        while self._queue and self._queue[0][0] <= t:
            due, _, arguments = heapq.heappop(self._queue)
            self._move(max(due, self.t))
            if self.work.story.deliver(*arguments):
                self.began.append(self.t)
            self._take()
        self._move(t)

    def _move(self, t: float) -> None:
        self.t = t
        self.work.here.clock.now = START + timedelta(seconds=t)

    def _take(self) -> None:
        for job in self.work.here.jobs.all():
            if job.workflow == "deliver" and job.id not in self._seen:
                self._seen.add(job.id)
                heapq.heappush(self._queue, (self.t + job.delay_s, job.id, job.arguments))


def go_through_an_outage(work: Workplace, folder: Path, n_studies: int) -> int:
    """Let so many studies wait for 25 minutes; return how often they called."""
    engine = Engine(work)
    with unanswering() as dead:
        work.site = SiteTables(destinations=(destination(dead.port),))
        for number in range(n_studies):
            engine.receive(number)
        at: list[float] = []
        while engine.t < 1500:
            before = dead.calls
            engine.run_until(engine.t + 5)
            assert dead.calls - before <= 1, "two calls within one step"
            if dead.calls > before:
                at.append(engine.t)
                engine.receive(1000 + dead.calls)  # fresh objects do not call either
    gaps = [later - earlier for earlier, later in pairwise(at)]
    assert all(gap >= step / 2 - 5 for gap, step in zip(gaps, BACK_OFF_S, strict=False)), gaps
    assert 7 <= len(at) <= 15, f"{len(at)} calls"
    (outage,) = work.rows(tables.outages)
    assert outage.attempts == len(at)
    assert max(row.attempts for row in work.deliveries()) < len(at)  # who did not call has no attempt on its record
    engine.began.clear()
    with pacs(folder / "pacs") as peer:
        work.site = SiteTables(destinations=(destination(peer.port),))
        engine.run_until(engine.t + 401)
    assert len(peer.rows) == n_studies + len(at)
    assert max(engine.began) - engine.began[0] < 2, "somebody waited although the destination was back"
    assert work.rows(tables.outages) == []
    assert [len(work.events(kind)) for kind in ("unreachable", "reachable")] == [1, 1]
    return len(at)


def test_waiting_studies_call_once_per_step_and_drain_at_once_when_it_is_back(work: Workplace, tmp_path: Path) -> None:
    go_through_an_outage(work, tmp_path, 8)


@pytest.mark.verify
def test_fifty_studies_call_no_more_often_than_one(
    work: Workplace, tmp_path: Path, figure: Callable[[str, str, str], None]
) -> None:
    count = go_through_an_outage(work, tmp_path, 50)
    figure("Calls to a PACS away for 25 min, 50 studies waiting", f"{count} calls", "1 per back-off step")


def test_who_waits_without_calling_is_given_up_at_the_end_of_the_retention_time(work: Workplace) -> None:
    engine = Engine(work)
    work.site = SiteTables(destinations=(destination(free_port()),))
    for number in range(3):
        engine.receive(number)
    engine.run_until(7200 + 2)
    assert {(row.state, row.reason) for row in work.deliveries()} == {("dead", "attempts_spent")}
    assert len(work.rows(tables.alarms)) == 3


def test_a_study_the_destination_cannot_bear_does_not_stop_the_others(work: Workplace, tmp_path: Path) -> None:
    """The association is dropped whenever one object is sent: the others get through between its attempts."""
    engine = Engine(work)
    chance = random.Random(3)
    with pacs(tmp_path / "pacs") as peer, Line(peer.port, small(7).SOPInstanceUID) as line:
        work.site = SiteTables(destinations=(destination(line.port),))
        for number in chance.sample(range(12), 12):
            engine.receive(number)
        engine.run_until(120)
    states = {row.state for row in work.deliveries()}
    assert len(peer.rows) == 11
    assert states == {"sent", "queued"}


class Line:
    """A line to a port that breaks when it carries this UID."""

    def __init__(self, port: int, uid: str) -> None:
        self._behind, self._poison = port, uid.encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self._behind)) as server:
                self._carry(client, server)

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            ready, _, _ = select.select([client, server], [], [])
            for source, target in ((client, server), (server, client)):
                content = source.recv(65536) if source in ready else b"."
                if not content or self._poison in content:
                    return
                if source in ready:
                    target.sendall(content)
