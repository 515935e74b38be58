"""Storage Commitment on real sockets: what is promised, what is reported, and what a hostile or unlucky peer gets."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_ai.commitments import Commitments, promising
from dicom_ai.deliver.address import Address
from dicom_ai.errors import LedgerUnavailable
from dicom_ai.instance import US_IMAGE, US_MULTI_FRAME
from dicom_ai.ledger import Ledger
from dicom_ai.ports import CommitmentRequest, Promise, Receipt, Spooled
from dicom_ai.receive.acceptor import PynetdicomAcceptor
from dicom_ai.receive.commitment import MAX_REFERENCES, CommitmentService, Invalid, read_information
from dicom_ai.receive.tables import accepted
from dicom_ai.settings import Deliver, Receive
from dicom_ai.simulate.commitment import Listener, act, ask, listening
from dicom_ai.simulate.exam import demo_content, exam
from dicom_ai.simulate.habits import Habits
from dicom_ai.simulate.patients import patient_of
from dicom_ai.simulate.scanner import send_exams
from dicom_ai.site import Peer, SiteTables
from dicom_ai.store import tables
from dicom_ai.store.database import write
from tests.databases import url_of
from tests.ledger import Place, place, site
from tests.peers import free_port

pytestmark = pytest.mark.protocol

ROOT = Path(__file__).parents[2]
DELIVER = Deliver(connect_timeout_s=2.0, response_timeout_s=5.0, first_retry_s=10.0, retention_h=1.0)


@dataclass
class Ward:
    """A receiver and what the work process does with requests; the scanner waits on a port of its own."""

    here: Place
    port: int
    listener: Listener
    work: Commitments
    promise: Promise
    peers: list[Peer] = field(default_factory=list)

    def keep(self, *numbers: int, **changes: Any) -> list[tuple[str, str]]:
        """Objects that arrived; how a scanner would list them."""
        found = [self.here.spooled(number, **changes) for number in numbers]
        assert {receipt.status for receipt in self.here.keeper.keep(found)} == {0}
        self.here.keeper.end(["a1"])
        return [(one.instance.sop_class_uid, one.instance.sop_instance_uid) for one in found]

    def ask(self, listed: list[tuple[str, str]], uid: str = "1.2.77.1", **changes: Any) -> int | None:
        return ask(
            Address("DICOM_AI", "127.0.0.1", self.port), changes.pop("calling", "SCANNER"), uid, listed, **changes
        )

    def jobs(self) -> list[str]:
        return self.here.jobs.ids("commitment")

    def rows(self) -> list[Any]:
        return list(self.here.rows(tables.commitments))

    def alarms(self) -> list[tuple[str, str, int]]:
        return [(row.reason, row.state, row.commitment) for row in self.here.rows(tables.alarms)]


class Behind:
    """What stands behind the two ports at this moment; the ports are opened once: closing one takes half a second."""

    def keep(self, batch: Sequence[Spooled]) -> Sequence[Receipt]:
        return _now_open[0].here.keeper.keep(batch)

    def spool(self) -> Path:
        return _now_open[0].here.files.new_spool()

    def promise(self, request: CommitmentRequest) -> None:
        _now_open[0].promise(request)

    def association_ended(self, association: str) -> None:
        _now_open[0].here.keeper.end([association])

    def refused(self, association: str, status: int, reason: str) -> None:
        raise AssertionError(reason)


_now_open: list[Ward] = []


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, Listener]]:
    behind = Behind()
    acceptor = PynetdicomAcceptor(
        Receive(port=0),
        lambda: accepted(accept_all=True),
        authorise=lambda *_: True,
        keep=behind.keep,
        notices=behind,
        spool=behind.spool,
    )
    acceptor.offer(CommitmentService(behind.promise))
    with listening("SCANNER") as listener:
        yield acceptor.start(), listener
        acceptor.drain(0.5)


@pytest.fixture
def ward(tmp_path: Path, ports: tuple[int, Listener]) -> Iterator[Ward]:
    port, listener = ports
    listener.answer = 0x0000
    here = place(tmp_path, tables=site())
    ledger = Ledger(here.engine, here.jobs, here.clock)
    work = Commitments(DELIVER, ledger, here.files, lambda: SiteTables(peers=tuple(one.peers)))
    scanner = Peer(ae_title="SCANNER", host="127.0.0.1", port=listener.port)
    one = Ward(here, port, listener, work, promising(ledger, 5.0), [scanner])
    _now_open[:] = [one]
    yield one
    here.engine.dispose()
    assert listener.reports.empty(), "a report nobody waited for"


def test_a_scanner_is_told_what_is_kept(ward: Ward) -> None:
    listed = ward.keep(1, 2)
    assert ward.ask(listed) == 0x0000
    assert ward.jobs() == ["commitment:1:0"]
    assert ward.work.report(1) == "reported"
    report = ward.listener.wait_for("1.2.77.1", 5)
    assert report is not None
    assert (report.event_type, report.stored, report.failed) == (1, ("1.2.3.1", "1.2.3.2"), {})
    assert report.called_by == "DICOM_AI"
    (row,) = ward.rows()
    assert (row.state, row.last_status, row.attempts) == ("reported", "0x0000", 1)
    assert ward.work.report(1) == "over"  # a job repeated after a crash
    assert ward.listener.reports.empty()


def test_what_is_not_kept_is_a_failure_with_its_reason(ward: Ward) -> None:
    kept, other, gone = ward.keep(1, 2, 3)
    ward.here.files.path(next(row.digest for row in ward.here.rows(tables.objects) if row.sop_uid == gone[1])).unlink()
    assert ward.ask([kept, (US_MULTI_FRAME, other[1]), gone, (US_IMAGE, "1.2.3.999")]) == 0x0000
    assert ward.work.report(1) == "reported"
    report = ward.listener.wait_for("1.2.77.1", 5)
    assert report is not None
    assert report.event_type == 2
    assert report.stored == (kept[1],)
    assert report.failed == {other[1]: 0x0119, gone[1]: 0x0110, "1.2.3.999": 0x0112}


def test_a_quarantined_object_is_kept(ward: Ward) -> None:
    listed = ward.keep(1)
    with write(ward.here.engine) as connection:
        connection.execute(tables.objects.update().values(state="quarantined", reason="no_picture"))
    assert ward.ask(listed) == 0x0000
    ward.work.report(1)
    report = ward.listener.wait_for("1.2.77.1", 5)
    assert report is not None
    assert report.stored == ("1.2.3.1",)


def test_an_object_refused_for_its_other_content_is_not_kept_for_who_sent_it(ward: Ward) -> None:
    (first,) = ward.keep(1)
    study = ward.here.rows(tables.studies)[0].id
    later = {"kind": "object", "study": study, "sop_uid": first[1], "digest": "f" * 64, "peer": "SCANNER"}
    kept = ward.here.rows(tables.objects)[0].digest
    with write(ward.here.engine) as connection:
        row = {**later, "kept": kept, "at": ward.here.clock(), "differs": [], "state": "refused"}
        connection.execute(tables.conflicts.insert().values(**row))
    assert ward.ask([first]) == ward.ask([first], calling="OTHER") == 0x0000
    ward.peers.append(Peer(ae_title="OTHER", host="127.0.0.1", port=ward.listener.port))
    ward.work.report(1)
    report = ward.listener.wait_for("1.2.77.1", 5)
    assert report is not None
    assert report.failed == {first[1]: 0x0110}


def information(uid: str | None = "1.2.77.1", *listed: tuple[str | None, str | None]) -> Dataset:
    def put(into: Dataset, keyword: str, value: str | None) -> None:
        if value is not None:  # unchecked: what a wrong sender writes
            into[keyword] = DataElement(tag_for_keyword(keyword) or 0, "UI", value, already_converted=True)

    ds = Dataset()
    put(ds, "TransactionUID", uid)
    ds.ReferencedSOPSequence = []
    for sop_class, instance in listed:
        item = Dataset()
        put(item, "ReferencedSOPClassUID", sop_class)
        put(item, "ReferencedSOPInstanceUID", instance)
        ds.ReferencedSOPSequence.append(item)
    return ds


@pytest.mark.parametrize(
    ("sent", "changes", "status"),
    [
        (information("1.2.77.1", (US_IMAGE, "1.2.3.1")), {"action": 2}, 0x0123),
        (information("1.2.77.1", (US_IMAGE, "1.2.3.1")), {"instance": "1.2.3"}, 0x0112),
        (None, {}, 0x0115),
        (information("1.2.77.1"), {}, 0x0115),  # nothing listed must never mean everything
        (information(None, (US_IMAGE, "1.2.3.1")), {}, 0x0115),
        (information("not a uid", (US_IMAGE, "1.2.3.1")), {}, 0x0115),
        (information("1.2.77.1", (US_IMAGE, None)), {}, 0x0115),
        (information("1.2.77.1", (None, "1.2.3.1")), {}, 0x0115),
        (information("1.2.77.1", (US_IMAGE, "1.2.3.1"), (US_IMAGE, "'; --")), {}, 0x0115),
    ],
)
def test_a_malformed_request_is_refused_and_leaves_nothing(
    ward: Ward, sent: Dataset | None, changes: dict[str, Any], status: int
) -> None:
    ward.keep(1)
    assert act(Address("DICOM_AI", "127.0.0.1", ward.port), "SCANNER", sent, **changes) == status
    assert ward.rows() == []
    assert ward.jobs() == []
    assert ward.here.rows(tables.studies)[0].rest_at is None


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_read_or_refused(content: bytes, is_implicit: bool) -> None:
    syntax = ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian
    with suppress(Invalid):
        transaction_uid, listed = read_information(BytesIO(content), syntax)
        assert transaction_uid
        assert listed


def test_ten_thousand_objects_are_reported_and_one_more_is_too_much(ward: Ward) -> None:
    listed = ward.keep(1) + [(US_IMAGE, f"1.2.4.{number}") for number in range(MAX_REFERENCES - 1)]
    begin = time.monotonic()
    assert ward.ask(listed) == 0x0000
    assert ward.work.report(1) == "reported"
    assert time.monotonic() - begin < 30
    report = ward.listener.wait_for("1.2.77.1", 5)
    assert report is not None
    assert (len(report.stored), len(report.failed)) == (1, MAX_REFERENCES - 1)
    assert ward.ask([*listed, (US_IMAGE, "1.2.5")], "1.2.77.2") == 0x0213
    assert len(ward.rows()) == 1


def test_a_request_repeated_is_reported_once(ward: Ward) -> None:
    listed = ward.keep(1, 2)
    assert ward.ask(listed) == ward.ask(listed) == 0x0000
    assert ward.ask(listed[:1]) == 0x0115  # the same name for another request
    assert ward.jobs() == ["commitment:1:0"]
    assert ward.ask(listed, calling="OTHER") == 0x0000  # another device's name is its own
    assert [row.peer for row in ward.rows()] == ["SCANNER", "OTHER"]


def test_what_cannot_be_written_down_is_not_promised(ward: Ward) -> None:
    def broken(_: CommitmentRequest) -> None:
        raise LedgerUnavailable("locked")

    listed = ward.keep(1)
    ward.promise = broken
    assert ward.ask(listed) == 0x0110
    assert ward.rows() == []


def test_row_and_job_are_committed_together(ward: Ward) -> None:
    def failing(*_: Any) -> None:
        raise LedgerUnavailable("full")

    listed = ward.keep(1)
    ward.promise = promising(Ledger(ward.here.engine, failing, ward.here.clock), 5.0)
    assert ward.ask(listed) == 0x0110
    assert ward.rows() == []


def test_a_device_without_an_address_is_an_alarm_until_it_has_one(ward: Ward) -> None:
    listed = ward.keep(1)
    (scanner,) = ward.peers
    ward.peers[:] = [Peer(ae_title="SCANNER")]
    assert ward.ask(listed) == 0x0000
    assert ward.work.report(1) == ward.work.report(1) == "queued"
    assert ward.alarms() == [("no_address", "open", 1)]
    assert ward.jobs() == ["commitment:1:0", "commitment:1:1", "commitment:1:2"]
    ward.peers[:] = [scanner]
    assert ward.work.report(1) == "reported"
    assert ward.listener.wait_for("1.2.77.1", 5) is not None
    assert ward.alarms() == [("no_address", "over", 1)]


def test_a_report_that_finds_nobody_is_tried_again_and_given_up_loudly(ward: Ward) -> None:
    listed = ward.keep(1)
    (scanner,) = ward.peers
    ward.peers[:] = [scanner.model_copy(update={"port": free_port()})]
    assert ward.ask(listed) == 0x0000
    assert ward.work.report(1) == "queued"
    (delay_s,) = [job.delay_s for job in ward.here.jobs.all() if job.id == "commitment:1:1"]
    assert 5 <= delay_s <= 10  # the first back-off
    ward.here.clock.forward(3601)
    assert ward.work.report(1) == "dead"
    assert ward.alarms() == [("attempts_spent", "open", 1)]
    ward.peers[:] = [scanner]
    assert ward.ask(listed) == 0x0000  # the scanner asks again: another chance
    assert ward.jobs()[-1] == "commitment:1:3"
    assert ward.work.report(1) == "reported"
    assert ward.listener.wait_for("1.2.77.1", 5) is not None
    assert ward.alarms() == [("attempts_spent", "over", 1)]


def test_a_report_that_is_answered_with_a_failure_is_sent_again(ward: Ward) -> None:
    ward.ask(ward.keep(1))
    ward.listener.answer = 0x0110
    assert ward.work.report(1) == "queued"
    assert ward.rows()[0].last_status == "0x0110"
    ward.listener.answer = 0x0000
    assert ward.work.report(1) == "reported"
    assert [ward.listener.wait_for("1.2.77.1", 5) is not None for _ in range(2)] == [True, True]


def test_a_request_whose_job_is_lost_is_found(ward: Ward) -> None:
    ward.ask(ward.keep(1))
    with write(ward.here.engine) as connection:
        assert ward.work.find(connection, lambda _: {"commitment:1:0": "1"}) == 0
        assert ward.work.find(connection, lambda _: {}) == 1
    assert [name.split("-")[0] for name in ward.jobs()] == ["commitment:1:0", "commitment:1:0:found"]
    ward.work.report(1)
    assert ward.listener.wait_for("1.2.77.1", 5) is not None
    with write(ward.here.engine) as connection:
        assert ward.work.find(connection, lambda _: {}) == 0


def test_a_scanner_that_asks_after_every_image_does_not_end_its_exam_with_the_first(ward: Ward) -> None:
    assert ward.ask(ward.keep(1)) == 0
    assert ward.here.rows(tables.studies)[0].rest_at is None
    assert ward.ask(ward.keep(2), "1.2.77.2") == 0
    assert ward.here.rows(tables.studies)[0].rest_at is None
    assert ward.ask(ward.keep(1, 2), "1.2.77.3") == 0
    assert ward.here.rows(tables.studies)[0].rest_at is not None


KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from dicom_ai.commitments import promising
from dicom_ai.ledger import Ledger
from dicom_ai.ports import CommitmentRequest
from tests import databases
from tests.ledger import place

databases.current.adopt(Path(sys.argv[1]), sys.argv[3])
here = place(Path(sys.argv[1]))
here.keeper.keep([here.spooled(1), here.spooled(2)])
left = int(sys.argv[2])

def die(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(here.engine, "before_cursor_execute", die)
event.listen(here.engine, "commit", die)
asked = CommitmentRequest("SCANNER", "DICOM_AI", "1.2.77.1", (("1.2", "1.2.3.1"), ("1.2", "1.2.3.2")))
promising(Ledger(here.engine, here.jobs, here.clock), 5.0)(asked)
print("promised")
"""


def test_killed_anywhere_a_promise_is_whole_or_was_not_made(tmp_path: Path) -> None:
    outcomes = []
    for nth in (3, 12, 99):
        folder = tmp_path / str(nth)
        command = [sys.executable, "-c", KILLED, str(folder), str(nth), url_of(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == (0 if nth == 99 else -signal.SIGKILL), done.stderr
        here = place(folder)
        told = [row.rest_at is not None for row in here.rows(tables.studies)]
        rows, jobs = here.rows(tables.commitments), here.jobs.ids("commitment")
        assert len(rows) == len(jobs) == sum(told)
        assert len(rows) == (1 if "promised" in done.stdout else 0)
        outcomes.append(len(rows))
        here.engine.dispose()
    assert outcomes == [0, 0, 1]


def test_a_simulated_scanner_asks_after_its_exam(ward: Ward) -> None:
    port = free_port()
    ward.peers[:] = [Peer(ae_title="LOGIQE9", host="127.0.0.1", port=port)]

    def work() -> None:
        until = time.monotonic() + 30
        while not ward.jobs() and time.monotonic() < until:
            time.sleep(0.05)
        ward.work.report(1)

    worker = threading.Thread(target=work)
    worker.start()
    one = exam("lung", seed=1, patient=patient_of(1), layout="logiq-e9", content=demo_content("lung", 1))
    rows = list(send_exams([one], Address("DICOM_AI", "127.0.0.1", ward.port), habits=Habits(commit=port)))
    worker.join()
    n_objects = len(rows) - 1
    assert n_objects > 0
    assert {key: rows[-1][key] for key in ("status", "stored", "failed")} == {
        "status": "0x0000", "stored": n_objects, "failed": 0,
    }  # fmt: skip
    assert ward.here.rows(tables.studies)[0].rest_at is not None
