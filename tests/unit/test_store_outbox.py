"""Deliveries: no lost wake-up, no multiplied jobs, fresh objects never wait for a back-off."""

import heapq
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_ai.store import outbox, tables
from dicom_ai.store.database import read, write
from dicom_ai.store.outbox import Due, Outcome
from tests.ledger import START, Place, place, site

pytestmark = pytest.mark.databases

STUDY, PACS = "s-1.2.9", "pacs"


def pick_up(here: Place, generation: int, study: str = STUDY) -> list[Due]:
    with write(here.engine) as connection:
        return list(outbox.pick_up(connection, study, PACS, generation=generation, now=here.clock(), enqueue=here.jobs))


def record(here: Place, delivery: int, state: str = "confirmed") -> None:
    with write(here.engine) as connection:
        outbox.record(connection, delivery, Outcome(state, "0x0000"))


def retry(here: Place, delivery: int, delay_s: float) -> None:
    with write(here.engine) as connection:
        outbox.retry(
            connection,
            delivery,
            Outcome("queued", "0xA700", "peer_failed"),
            now=here.clock(),
            delay_s=delay_s,
            enqueue=here.jobs,
        )


def delivery_jobs(here: Place) -> list[tuple[int, float]]:
    return sorted((job.arguments[2], job.delay_s) for job in here.jobs.all() if job.workflow == "deliver")


def test_a_picked_up_outbox_opens_again_for_the_next_object(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1), here.spooled(2)])
    assert [due.kind for due in pick_up(here, 1)] == ["source", "source"]
    here.keeper.keep([here.spooled(3)])
    assert delivery_jobs(here) == [(1, 1), (2, 1)]


def test_picking_up_again_after_a_crash_finds_what_was_not_recorded(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1), here.spooled(2)])
    first, second = pick_up(here, 1)
    record(here, first.id)
    assert [due.id for due in pick_up(here, 1)] == [second.id]


def test_a_superseded_job_leaves_everything_to_its_successor(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1)])
    pick_up(here, 1)
    here.keeper.keep([here.spooled(2)])
    here.clock.forward(1)
    assert pick_up(here, 1) == []
    assert len(pick_up(here, 2)) == 2


def test_an_interrupted_job_resumes_although_a_retry_waits(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1), here.spooled(2)])
    first, second = pick_up(here, 1)
    retry(here, first.id, 900)
    assert [due.id for due in pick_up(here, 1)] == [second.id]
    record(here, second.id)
    here.clock.forward(900)
    assert [due.id for due in pick_up(here, 2)] == [first.id]


def test_an_attempt_is_written_down(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1), here.spooled(2)])
    one, two = pick_up(here, 1)
    record(here, one.id)
    retry(here, two.id, 300)
    rows = {row.id: row for row in here.rows(tables.deliveries)}
    assert (rows[one.id].state, rows[one.id].attempts, rows[one.id].last_status) == ("confirmed", 1, "0x0000")
    assert (rows[two.id].state, rows[two.id].attempts, rows[two.id].reason) == ("queued", 1, "peer_failed")
    assert rows[two.id].next_at == here.clock.now + timedelta(seconds=300)
    assert delivery_jobs(here) == [(1, 1), (2, 300)]


def test_many_failed_objects_share_the_job_of_their_retry(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(number) for number in range(1, 9)])
    for due in pick_up(here, 1):
        retry(here, due.id, 300)
    assert delivery_jobs(here) == [(1, 1), (2, 300)]


def test_a_fresh_object_does_not_wait_for_a_back_off_and_the_retry_is_not_forgotten(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1)])
    (failed,) = pick_up(here, 1)
    retry(here, failed.id, 900)
    here.clock.forward(10)
    here.keeper.keep([here.spooled(2)])
    assert delivery_jobs(here) == [(1, 1), (2, 900), (3, 1)]
    here.clock.forward(1)
    (fresh,) = pick_up(here, 3)
    assert fresh.id != failed.id
    assert delivery_jobs(here)[-1] == (4, 889)
    record(here, fresh.id)
    here.clock.forward(889)
    assert pick_up(here, 2) == []
    assert [due.id for due in pick_up(here, 4)] == [failed.id]


def test_a_job_that_runs_a_little_early_comes_back(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1)])
    (failed,) = pick_up(here, 1)
    retry(here, failed.id, 60)
    here.clock.forward(59.9)
    assert pick_up(here, 2) == []
    generation, delay_s = delivery_jobs(here)[-1]
    assert (generation, delay_s) == (3, pytest.approx(0.1))


def test_recording_a_delivery_as_queued_is_refused(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1)])
    with pytest.raises(ValueError, match="retry"):
        record(here, 1, "queued")


def test_stalled_deliveries_are_reopened_once(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1), here.spooled(2, study_instance_uid="1.2.8")])
    pick_up(here, 1)  # and its process is gone for good
    for expected in (1, 0):
        with write(here.engine) as connection:
            waiting = {job.id for job in here.jobs.all()} - {f"deliver:{STUDY}:{PACS}:1"}
            assert outbox.reopen_stalled(connection, waiting, now=here.clock(), enqueue=here.jobs) == expected
    assert len(pick_up(here, 2)) == 1


def test_deliveries_whose_job_ended_before_it_picked_them_up_get_another(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1)])
    with write(here.engine) as connection:
        assert outbox.reopen_stalled(connection, {f"deliver:{STUDY}:{PACS}:1"}, now=START, enqueue=here.jobs) == 0
        assert outbox.reopen_stalled(connection, (), now=here.clock(), enqueue=here.jobs) == 1
    assert delivery_jobs(here)[-1] == (2, 0)
    assert len(pick_up(here, 2)) == 1


def revive(here: Place, *ids: int) -> tuple[int, ...]:
    with write(here.engine) as connection:
        return outbox.revive(connection, ids, now=here.clock(), enqueue=here.jobs, by="me")


def test_what_was_given_up_is_revived_once_with_a_job_and_a_new_retention_time(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1), here.spooled(2)])
    one, two = pick_up(here, 1)
    for due in (one, two):
        with write(here.engine) as connection:
            outbox.record(connection, due.id, Outcome("dead", None, "no_destination"))
    here.clock.forward(9000)
    assert revive(here, one.id, two.id + 1) == (one.id,)
    rows = {row.id: row for row in here.rows(tables.deliveries)}
    assert (rows[one.id].state, rows[one.id].reason, rows[one.id].attempts) == ("queued", None, 0)
    assert rows[one.id].queued_at == here.clock.now
    assert rows[two.id].state == "dead"
    assert delivery_jobs(here)[-1] == (2, 0)
    assert [due.id for due in pick_up(here, 2)] == [one.id]
    assert revive(here, one.id) == ()
    assert [event.ids["by"] for event in here.rows(tables.events) if event.kind == "revived"] == ["me"]


@pytest.mark.parametrize("reason", outbox.FINAL_REASONS)
def test_what_something_else_took_the_place_of_stays_dead(tmp_path, reason):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1)])
    (due,) = pick_up(here, 1)
    with write(here.engine) as connection:
        outbox.record(connection, due.id, Outcome("dead", None, reason))
    assert revive(here, due.id) == ()
    assert [row.state for row in here.rows(tables.deliveries)] == ["dead"]


def test_unfinished_deliveries_are_counted(tmp_path):
    here = place(tmp_path, tables=site("pacs", "second"))
    here.keeper.keep([here.spooled(1), here.spooled(2)])
    one, two = pick_up(here, 1)
    record(here, one.id)
    record(here, two.id, "held")
    with read(here.engine) as connection:
        assert outbox.unfinished(connection) == {"pacs": {"held": 1}, "second": {"queued": 2}}


operations = st.lists(
    st.one_of(
        st.tuples(st.just("arrive")),
        st.tuples(st.just("forward"), st.sampled_from([0.5, 1.0, 5.0, 300.0])),
        st.tuples(st.just("peer"), st.sampled_from(["well", "dies", "down"])),
    ),
    min_size=1,
    max_size=12,
)


class Courier:
    """Runs delivery jobs when they are due, fails or dies in the middle as told, and resumes after a death."""

    def __init__(self, here: Place) -> None:
        self.here, self.peer = here, "down"
        self.queue: list[tuple[float, int]] = []
        self.seen: set[str] = set()
        self.resuming: set[int] = set()
        self.t = 0.0
        self.n_objects = self.n_runs = 0
        self.waited: list[float] = []
        self.arrived: dict[int, float] = {}

    def schedule(self) -> None:
        for job in self.here.jobs.all():
            if job.workflow == "deliver" and job.id not in self.seen:
                self.seen.add(job.id)
                heapq.heappush(self.queue, (self.t + job.delay_s, job.arguments[2]))

    def arrive(self) -> None:
        self.n_objects += 1
        self.here.keeper.keep([self.here.spooled(self.n_objects)])
        self.arrived[self.n_objects] = self.t
        self.schedule()

    def forward(self, seconds: float) -> None:
        until = self.t + seconds
        while self.queue and self.queue[0][0] <= until:
            due, generation = heapq.heappop(self.queue)
            self.move(max(due, self.t))
            self.run(generation)
            self.schedule()
        self.move(until)

    def move(self, t: float) -> None:
        self.t = t
        self.here.clock.now = START + timedelta(seconds=t)

    def run(self, generation: int) -> None:
        self.n_runs += 1
        self.resuming.discard(generation)
        for number, due in enumerate(pick_up(self.here, generation)):
            if due.attempts == 0:
                self.waited.append(self.t - self.arrived[due.id])
            if self.peer == "dies" and number == 1:
                heapq.heappush(self.queue, (self.t + 0.1, generation))  # the engine resumes the workflow
                self.resuming.add(generation)
                self.peer = "well"
                return
            if self.peer == "down":
                retry(self.here, due.id, 5.0 * 2**due.attempts)
            else:
                record(self.here, due.id)

    def check(self) -> None:
        with read(self.here.engine) as connection:
            row = connection.execute(tables.outbox.select()).first()
        for delivery in self.here.rows(tables.deliveries):
            if delivery.state == "queued":
                wake_ups = [
                    due for due, generation in self.queue if generation == row.generation or generation in self.resuming
                ]
                assert wake_ups, "a queued delivery without a job that acts"
                wanted = self.t if delivery.next_at is None else (delivery.next_at - START).total_seconds()
                assert min(wake_ups) <= max(wanted, self.t) + 1.3, "its job comes too late"


@settings(max_examples=60, deadline=None)
@pytest.mark.databases("verify")
@pytest.mark.timeout(900)
@given(operations=operations)
def test_every_queued_delivery_always_has_a_job_that_comes_in_time(tmp_path_factory, operations):
    here = place(tmp_path_factory.mktemp("world"))
    courier = Courier(here)
    for operation, *arguments in operations:
        if operation == "peer":
            courier.peer = arguments[0]
        else:
            getattr(courier, operation)(*arguments)
        courier.check()
    courier.peer = "well"
    courier.forward(4000)
    assert all(row.state == "confirmed" for row in here.rows(tables.deliveries))
    assert len(courier.waited) == courier.n_objects or any(op == ("peer", "dies") for op in operations)
    assert max(courier.waited, default=0) <= 1.3, "a fresh object waited for a back-off"
    assert not courier.queue
    assert courier.n_runs <= 8 * max(1, courier.n_objects) + 20 * len(operations), "jobs multiply"
    here.engine.dispose()
