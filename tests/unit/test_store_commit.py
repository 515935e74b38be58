"""The commit: what one acknowledged object causes, and that a failure leaves nothing acknowledged."""

import errno
import threading
from collections import Counter

import pytest
from sqlalchemy import event

from dicom_ai.errors import LedgerUnavailable, OutOfSpace
from dicom_ai.instance import US_IMAGE
from dicom_ai.ports import Receipt
from dicom_ai.reasons import REASONS
from dicom_ai.store import tables
from dicom_ai.store.commit import known
from dicom_ai.store.committer import Committer
from dicom_ai.store.files import Disk
from tests.ledger import place, site

pytestmark = pytest.mark.databases("verify")

KEPT = Receipt(0x0000)
SR = "1.2.840.10008.5.1.4.1.1.88.33"


def kinds(here) -> Counter[str]:
    return Counter(row.kind for row in here.rows(tables.events))


def test_one_object_becomes_rows_jobs_and_a_file(tmp_path):
    here = place(tmp_path)
    spooled = here.spooled()
    content = spooled.path.read_bytes()
    assert here.keeper.keep([spooled]) == [KEPT]
    assert here.files.path(spooled.digest).read_bytes() == content
    (row,) = here.rows(tables.objects)
    assert (row.digest, row.sop_uid, row.state, row.reason, row.peer) == (
        spooled.digest,
        "1.2.3.1",
        "stored",
        None,
        "SCANNER",
    )
    (study,) = here.rows(tables.studies)
    assert (study.id, study.study_uid, study.first_at, study.last_at) == (
        "s-1.2.9",
        "1.2.9",
        here.clock.now,
        here.clock.now,
    )
    (opened,) = here.rows(tables.sets)
    assert (opened.state, opened.revision, opened.task, opened.looks) == ("open", 1, "lung-signs", 1)
    assert [tuple(member) for member in here.rows(tables.members)] == [(opened.id, spooled.digest)]
    (delivery,) = here.rows(tables.deliveries)
    assert (delivery.kind, delivery.destination, delivery.object, delivery.state) == (
        "source",
        "pacs",
        spooled.digest,
        "queued",
    )
    assert [row.id for row in here.rows(tables.associations)] == ["a1"]
    jobs = {job.workflow: job for job in here.jobs.all()}
    assert jobs["settle"].id == f"settle:{opened.id}:0"
    assert (jobs["settle"].queue, jobs["settle"].arguments, jobs["settle"].delay_s) == ("settle", (opened.id, 0), 60)
    assert jobs["deliver"].id == "deliver:s-1.2.9:pacs:1"
    assert (jobs["deliver"].arguments, jobs["deliver"].partition, jobs["deliver"].delay_s) == (
        ("s-1.2.9", "pacs", 1),
        "pacs",
        1,
    )
    assert kinds(here) == {"received": 1}


def test_objects_of_one_study_share_set_and_delivery_job(tmp_path):
    here = place(tmp_path)
    for number in range(1, 6):
        assert here.keeper.keep([here.spooled(number)]) == [KEPT]
    assert len(here.rows(tables.sets)) == len(here.rows(tables.outbox)) == 1
    assert len(here.rows(tables.members)) == len(here.rows(tables.deliveries)) == 5
    assert len(here.jobs.all()) == 2


def test_the_same_object_again_is_acknowledged_and_makes_no_work(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled()])
    before = [len(here.rows(table)) for table in tables.metadata.sorted_tables if table is not tables.associations]
    jobs = here.jobs.all()
    here.clock.forward(30)
    assert here.keeper.keep([here.spooled(association="a2"), here.spooled(association="a2")]) == [KEPT, KEPT]
    after = [len(here.rows(table)) for table in tables.metadata.sorted_tables if table is not tables.associations]
    assert before == after
    assert here.jobs.all() == jobs
    assert here.rows(tables.studies)[0].last_at == here.clock.now  # it is still being sent
    assert {row.id for row in here.rows(tables.associations)} == {"a1", "a2"}
    assert not list((tmp_path / "spool").iterdir())


def test_what_is_not_ultrasound_is_forwarded_only(tmp_path):
    here = place(tmp_path, tables=site("pacs", "second"))
    here.keeper.keep([here.spooled(1, sop_class_uid=SR), here.spooled(2, is_own_result=True)])
    assert {(row.state, row.reason) for row in here.rows(tables.objects)} == {
        ("forwarded-only", "not_ultrasound"),
        ("forwarded-only", "own_result"),
    }
    assert here.rows(tables.sets) == []
    assert Counter(row.destination for row in here.rows(tables.deliveries)) == {"pacs": 2, "second": 2}


def test_ultrasound_without_route_is_kept_and_said(tmp_path):
    here = place(tmp_path, tables=site(), task=lambda *_: None)
    assert here.keeper.keep([here.spooled()]) == [KEPT]
    (row,) = here.rows(tables.objects)
    assert (row.state, row.reason) == ("stored", "no_task")
    assert row.reason in REASONS
    assert kinds(here) == {"received": 1, "unrouted": 1}
    assert here.jobs.all() == []


def test_side_branch_forwards_nothing(tmp_path):
    here = place(tmp_path, tables=site())
    here.keeper.keep([here.spooled()])
    assert here.rows(tables.deliveries) == []
    assert [job.workflow for job in here.jobs.all()] == ["settle"]


def test_identity_is_in_its_own_table_alone(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1, patient_id="CANARY7"), here.spooled(2, patient_id="CANARY7"), here.spooled(3)])
    assert [row.patient_id for row in here.rows(tables.identity)] == ["CANARY7", "P1"]
    for table in tables.metadata.sorted_tables:
        if table is not tables.identity:
            assert "CANARY7" not in str(here.rows(table))
    assert "CANARY7" not in str(here.jobs.all())


def test_text_that_databases_refuse_is_kept_without_it(tmp_path):
    here = place(tmp_path)
    assert here.keeper.keep([here.spooled(1, patient_id="A\0B\udcffC")]) == [KEPT]
    assert here.rows(tables.identity)[0].patient_id == "AB?C"


@pytest.mark.parametrize("step", ["sync_file", "rename", "sync_directory"])
@pytest.mark.parametrize(("code", "reason"), [(errno.EIO, "store_failed"), (errno.ENOSPC, "no_space")])
def test_a_failing_disk_is_answered_a700_and_leaves_no_row(tmp_path, step, code, reason):
    calls = Counter()
    real = Disk()

    def fail(*paths):
        calls[step] += 1
        if step == "sync_directory" and calls[step] <= 2:  # the folders at start
            return getattr(real, step)(*paths)
        raise OSError(code, "injected")

    here = place(tmp_path, disk=Disk(**{step: fail}))
    (receipt,) = here.keeper.keep([here.spooled()])
    assert receipt.status == 0xA700
    assert receipt.reason == (reason if step == "rename" else "store_failed")
    assert here.rows(tables.objects) == []
    assert here.jobs.all() == []
    assert not list((tmp_path / "spool").iterdir())


@pytest.mark.parametrize("table", ["objects", "identity", "deliveries", "events", "test_jobs"])
def test_a_failing_statement_rolls_everything_back(tmp_path, table):
    here = place(tmp_path)
    is_armed = [True]

    @event.listens_for(here.engine, "before_cursor_execute")
    def fail(connection, cursor, statement, *_):
        if is_armed[0] and statement.startswith(f"INSERT INTO {table} "):
            raise LedgerUnavailable("injected")

    batch = [here.spooled(1), here.spooled(2)]
    assert here.keeper.keep(batch) == [Receipt(0xA700, "store_failed")] * 2
    is_armed[0] = False
    assert all(here.rows(each) == [] for each in tables.metadata.sorted_tables)
    assert here.jobs.all() == []
    assert here.keeper.keep([here.spooled(1), here.spooled(2)]) == [KEPT, KEPT]


@pytest.mark.databases("sqlite")
def test_a_locked_ledger_is_answered_a700(tmp_path):
    here = place(tmp_path)

    @event.listens_for(here.engine, "connect")
    def impatient(connection, _):
        connection.execute("PRAGMA busy_timeout=20")

    here.engine.dispose()
    other = here.engine.raw_connection()
    other.execute("BEGIN IMMEDIATE")
    assert here.keeper.keep([here.spooled()]) == [Receipt(0xA700, "store_failed")]
    other.rollback()
    other.close()
    assert here.keeper.keep([here.spooled()]) == [KEPT]


def test_one_object_the_ledger_cannot_take_does_not_fail_the_others(tmp_path):
    here = place(tmp_path)
    bad = here.spooled(2)
    object.__setattr__(bad.instance, "sop_class_uid", None)  # breaks NOT NULL
    receipts = here.keeper.keep([here.spooled(1), bad, here.spooled(3)])
    assert receipts == [KEPT, Receipt(0xA700, "store_failed"), KEPT]
    assert {row.sop_uid for row in here.rows(tables.objects)} == {"1.2.3.1", "1.2.3.3"}


def test_files_come_before_the_transaction(tmp_path):
    order: list[str] = []
    real = Disk()
    steps = {}
    for step in ("sync_file", "rename", "sync_directory"):

        def call(*paths, step=step):
            order.append(step)
            getattr(real, step)(*paths)

        steps[step] = call
    here = place(tmp_path, disk=Disk(**steps))
    event.listen(here.engine, "commit", lambda _: order.append("commit"))
    order.clear()
    here.keeper.keep([here.spooled()])
    assert order == ["sync_file", "rename", "sync_directory", "commit"]


class TestCommitter:
    """Group commit across callers."""

    def test_parallel_callers_get_their_own_receipts(self, tmp_path):
        here = place(tmp_path)
        committer = Committer(here.keeper, wait_ms=20, batch=8)
        batches = [[here.spooled(n), here.spooled(n, content=b"other %d" % n)] for n in range(1, 21)]
        answers: dict[int, object] = {}

        def send(number: int) -> None:
            answers[number] = committer.keep(batches[number])

        threads = [threading.Thread(target=send, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        committer.stop()
        assert list(answers.values()) == [[KEPT, KEPT]] * 20
        assert Counter(row.state for row in here.rows(tables.objects)) == {"stored": 20, "conflict": 20}
        assert len(here.rows(tables.conflicts)) == 20

    def test_callers_share_a_transaction(self, tmp_path):
        here = place(tmp_path)
        committer = Committer(here.keeper, wait_ms=1000, batch=4)
        sizes: list[int] = []
        gate = threading.Event()

        class Slow:
            def keep(self, batch):
                gate.wait(10)
                sizes.append(len(batch))
                return [KEPT] * len(batch)

        committer._keeper = Slow()
        threads = [threading.Thread(target=committer.keep, args=([here.spooled(n)],)) for n in range(9)]
        for thread in threads:
            thread.start()
        while committer._queue.qsize() < 5:
            threading.Event().wait(0.001)
        gate.set()
        for thread in threads:
            thread.join(30)
        committer.stop()
        assert sum(sizes) == 9
        assert max(sizes) == 4

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_a_fault_of_ours_is_answered_and_does_not_end_the_service(self, tmp_path):
        here = place(tmp_path)
        committer = Committer(here.keeper, wait_ms=0, batch=8)

        class Faulty:
            def keep(self, batch):
                raise RuntimeError("a bug")

        committer._keeper = Faulty()
        assert committer.keep([here.spooled()]) == [Receipt(0xA700, "store_failed")]
        committer._thread.join(10)
        committer._keeper = here.keeper
        assert committer.keep([here.spooled()]) == [KEPT]
        committer.stop()
        assert committer.keep([here.spooled()]) == [Receipt(0xA700, "store_failed")]

    def test_an_ended_association_is_written_down_even_if_the_ledger_was_away(self, tmp_path, monkeypatch):
        here = place(tmp_path)
        monkeypatch.setattr("dicom_ai.store.committer._RETRY_S", 0.01)
        committer = Committer(here.keeper, wait_ms=0, batch=8)
        committer.keep([here.spooled()])
        assert len(here.rows(tables.associations)) == 1
        n_left = [3]
        done = threading.Event()

        class Away:
            def end(self, associations):
                n_left[0] -= 1
                if n_left[0] >= 0:
                    raise LedgerUnavailable("injected")
                here.keeper.end(associations)
                done.set()

        committer._keeper = Away()
        committer.association_ended("a1")
        assert done.wait(10)
        committer.stop()
        assert here.rows(tables.associations) == []


def test_out_of_space_is_a_resource_error_with_its_reason(tmp_path):
    here = place(tmp_path, min_free_mib=1)
    object.__setattr__(here.files, "_disk", Disk(free_bytes=lambda _: 0))
    with pytest.raises(OutOfSpace) as failure:
        here.files.new_spool()
    assert (failure.value.dimse_status, failure.value.reason) == (0xA700, "no_space")


def test_the_ledger_knows_objects_and_nothing_else(tmp_path):
    here = place(tmp_path)
    spooled = here.spooled()
    here.keeper.keep([spooled])
    assert known(here.engine, [spooled.digest, "0" * 64]) == {spooled.digest}
    assert here.rows(tables.objects)[0].sop_class == US_IMAGE
