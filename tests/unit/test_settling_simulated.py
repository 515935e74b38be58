"""Settling under a simulated clock: random senders, restarts, lost jobs and a wall clock that jumps by hours.

The ledger, the receiver's commits, the looks and the search for what has no job are the real ones; simulated are the
time and the engine's queue, whose delays go by the wall clock as those of the real one do. Checks go by the time that
really passed.
"""

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dicom_ai.analysis import Analyst
from dicom_ai.commitments import promising
from dicom_ai.delivery import Courier
from dicom_ai.instance import US_IMAGE
from dicom_ai.ledger import Ledger
from dicom_ai.ports import CommitmentRequest, Job
from dicom_ai.settings import Settings, Store
from dicom_ai.settle import Looks
from dicom_ai.site import SiteTables
from dicom_ai.store import analyses, settling, tables
from dicom_ai.store.database import write
from tests.ledger import START, Place, _jobs, place
from tests.workplace import Parts, Story

QUIET, LATE = 60.0, 120.0  # as the ledger of `tests.ledger` has it
FIND_S = 60.0  # pause between two searches for what has no job, as in `service`
BOUND_S = FIND_S + LATE + 5.0  # from the last arrival to the last close, whatever happened before
SIGNAL = 5.0  # wait after a scanner's word that it sent everything
INEXACT_S = 1.1  # a clock set by less than a second counts as not set


class World:
    """One hospital: a receiver, a worker, an engine queue, the time that passes and a wall clock apart from it."""

    def __init__(self, here: Place) -> None:
        self.here, self.t, self.apart = here, 0.0, 0.0
        self.waiting: dict[str, tuple[float, Job]] = {}  # what the engine holds: due by the wall clock
        self.known: set[str] = set()
        self.up_at = {"receiver": 0.0, "worker": 0.0}
        self.is_up = {"receiver": False, "worker": False}
        self.open: dict[str, set[str]] = {}  # association -> studies it stored into
        self.last_at: dict[str, float] = {}
        self.sent: dict[str, set[str]] = defaultdict(set)  # study -> SOP Instance UIDs acknowledged
        self.told_at: dict[str, float] = {}  # study -> when a scanner rightly said that this is all; until more comes
        self.routed: dict[tuple[str, str], set[str]] = defaultdict(set)  # study, task -> digests acknowledged
        self.closed: dict[str, tuple[Any, ...]] = {}
        self.closed_at: dict[str, float] = {}
        self.analysed: list[str] = []
        self.is_repeating = False
        self.n_said = 0
        self.next_find = 0.0
        self._set_clock()
        self.start("receiver")
        self.start("worker")

    # time

    def _set_clock(self) -> None:
        self.here.clock.now = START + timedelta(seconds=self.t + self.apart)

    def jump(self, seconds: float) -> None:
        self.apart += seconds
        self._set_clock()

    def forward(self, seconds: float) -> None:
        """Let time pass; what becomes due on the way is done at its time."""
        until = self.t + seconds
        while True:
            due = [(max(self.t, at - self.apart), key) for key, (at, _) in self.waiting.items()]
            events = [*due, (max(self.t, self.next_find), "")] if self.is_up["worker"] else []
            at, key = min(events, default=(until + 1, ""))
            if at > until:
                break
            self.t = at
            self._set_clock()
            self._search() if key == "" else self._work(*self.waiting.pop(key)[1:])
        self.t = until
        self._set_clock()

    # the engine and the worker

    def take_jobs(self) -> None:
        for job in self.here.jobs.all():
            if job.id not in self.known:
                self.known.add(job.id)
                self.waiting[job.id] = (self.t + self.apart + job.delay_s, job)

    def _jobs_of(self, workflow: str) -> dict[str, str]:
        return {key: str(job.arguments[0]) for key, (_, job) in self.waiting.items() if job.workflow == workflow}

    def _search(self) -> None:
        self.next_find = self.t + FIND_S
        self.story.recover(self._jobs_of)
        self.take_jobs()

    def _work(self, job: Job) -> None:
        if job.workflow == "commitment":  # no peers here: an alarm and another job for ever
            return
        for _ in range(1 + self.is_repeating):
            if job.workflow == "settle":
                self.story.settle(*job.arguments)
                self._look_at_closed()
            else:
                assert job.workflow == "analyse"
                self._analyse(str(job.arguments[0]))
        self.is_repeating = False
        self.take_jobs()

    def _analyse(self, set_id: str) -> None:
        with write(self.here.engine) as connection:
            if analyses.answered(connection, set_id, self.here.clock()):
                self.analysed.append(set_id)

    def start(self, role: str) -> None:
        self.is_up[role], self.up_at[role] = True, self.t
        if role == "receiver":
            with write(self.here.engine) as connection:
                settling.receiver_started(connection, "here", self.here.clock())
            self.open.clear()
            self.told_at.clear()
            return
        ledger = Ledger(self.here.engine, self.here.jobs, self.here.clock)
        parts = Parts(
            ledger=ledger,
            files=self.here.files,
            analyst=cast(Analyst, None),  # neither crops nor sends: only its looks are wanted here
            courier=cast(Courier, None),
            site=SiteTables,
        )
        store = Store(data=self.here.data, settle_quiet_s=QUIET, settle_late_quiet_s=LATE)
        self.story = Story(Settings(store=store), parts)
        self.story.looks = Looks(ledger, store, monotonic=lambda: self.t)
        self.story.looks.start()
        self.told_at.clear()
        self.take_jobs()
        self._search()

    def stop(self, role: str) -> None:
        self.is_up[role] = False

    # the scanners

    def arrive(self, association: str, number: int, study: int = 1) -> str:
        """One object; a number sent before is a repeat. Give its digest."""
        uid, task = f"1.2.{study}", task_of(number)
        spooled = self.here.spooled(
            100 * study + number, study_instance_uid=uid, association=association, body_part=task or ""
        )
        assert self.here.keeper.keep([spooled])[0].status == 0
        self.last_at[f"s-{uid}"] = self.t
        self.told_at.pop(f"s-{uid}", None)
        self.sent[f"s-{uid}"].add(spooled.instance.sop_instance_uid)
        self.open.setdefault(association, set()).add(f"s-{uid}")
        if task is not None:
            self.routed[f"s-{uid}", task].add(spooled.digest)
        self.take_jobs()
        return spooled.digest

    def say(self, study: int, missing: int = 0, foreign: int = 0) -> None:
        """A scanner lists what it sent: without some of it, or with what never arrived."""
        uids = sorted(self.sent[f"s-1.2.{study}"])
        listed = uids[: max(0, len(uids) - missing)] + [f"1.2.99.{number}" for number in range(foreign)]
        if not listed:
            return
        self.n_said += 1
        ledger = Ledger(self.here.engine, self.here.jobs, self.here.clock)
        references = tuple((US_IMAGE, uid) for uid in listed)
        promising(ledger, SIGNAL)(CommitmentRequest("SCANNER", "DICOM_AI", f"1.2.77.{self.n_said}", references))
        if not (missing or foreign):
            self.told_at[f"s-1.2.{study}"] = self.t
        self.take_jobs()

    def end(self, association: str) -> None:
        self.here.keeper.end([association])
        self.open.pop(association, None)

    # what must hold

    def sets(self) -> list[Any]:
        return sorted(self.here.rows(tables.sets), key=lambda row: (row.study, row.task, row.revision))

    def members(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        for row in self.here.rows(tables.members):
            found[row.set].add(row.object)
        return found

    def _look_at_closed(self) -> None:
        members = self.members()
        for row in self.sets():
            if row.state == "closed" and row.id not in self.closed:
                self._check_close(row, members[row.id])
                self.closed[row.id] = (row.digest, row.closed_at, row.predecessor, frozenset(members[row.id]))
                self.closed_at[row.id] = self.t

    def _check_close(self, row: Any, members: set[str]) -> None:
        quiet = QUIET if row.revision == 1 else LATE
        told_at = self.told_at.get(row.study)
        if told_at is None or self.t - self.last_at[row.study] >= quiet - INEXACT_S:
            assert self.t - self.last_at[row.study] >= quiet - INEXACT_S, "closed before the quiet time was over"
            assert self.t - max(self.up_at.values()) >= quiet - INEXACT_S, (
                "closed before the service was up long enough"
            )
        else:
            assert self.t - told_at >= SIGNAL - 1e-3, "closed at once because a scanner said something"
            assert told_at >= max(self.last_at[row.study], *self.up_at.values()), "an old word was believed"
        assert not any(row.study in studies for studies in self.open.values()), "closed under an open association"
        assert members == self.routed[row.study, row.task], "not all objects of the study"
        before = [one.id for one in self.sets() if (one.study, one.task) == (row.study, row.task)][: row.revision - 1]
        assert row.predecessor == (before[-1] if before else None)
        mine = [key for key in self.here.jobs.ids("analyse") if key.startswith(f"analyse:{row.id}:")]
        assert len(mine) == 1, "not one analysis enqueued"

    def check(self) -> None:
        """Nothing acknowledged is outside, nothing closed has changed."""
        members, sets = self.members(), self.sets()
        by_task = defaultdict(list)
        for row in sets:
            by_task[row.study, row.task].append(row)
        assert {key for key, digests in self.routed.items() if digests} == set(by_task)
        for key, rows in by_task.items():
            assert [row.revision for row in rows] == list(range(1, len(rows) + 1))
            assert [row.state for row in rows[:-1]] == ["closed"] * (len(rows) - 1), "two open sets"
            assert members[rows[-1].id] == self.routed[key], "an object is in no set"
        for row in sets:
            if row.state == "closed":
                now = (row.digest, row.closed_at, row.predecessor, frozenset(members[row.id]))
                assert now == self.closed[row.id], "a closed set has changed"

    def finish(self) -> None:
        """The scanners go home: everything closes in time and is analysed once."""
        for role, is_up in self.is_up.items():
            if not is_up:
                self.start(role)
        for association in list(self.open):
            self.end(association)
        self.forward(BOUND_S)
        sets = self.sets()
        assert [row.state for row in sets] == ["closed"] * len(sets), "a set was left open"
        left = [job for _, job in self.waiting.values() if job.workflow == "settle"]  # of a clock that was set back
        assert {self.story.settle(*job.arguments) for job in left} <= {"already"}, "looks go on"
        self.forward(FIND_S)  # for an analysis that was lost
        newest = {row.id for row in sets} - {row.predecessor for row in sets}
        assert newest <= set(self.analysed), "a study without an answer"
        assert len(self.analysed) == len(set(self.analysed))
        self.check()


def task_of(number: int) -> str | None:
    """Numbers from 1: most are of one task, some of another, some of none."""
    return {5: "uterine-lesions", 6: None}.get(number, "lung-signs")


@pytest.fixture(scope="module")
def ground() -> Iterator[Place]:
    yield from _ground()


def _ground() -> Iterator[Place]:
    """One ledger for all examples, in memory where there is such a folder: every commit is an fsync."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    here = place(folder, tables=SiteTables(), task=lambda instance, *_: instance.body_part or None)
    try:
        yield here
    finally:
        here.engine.dispose()
        shutil.rmtree(folder, ignore_errors=True)


def world(here: Place) -> World:
    """An empty hospital on the ground."""
    with write(here.engine) as connection:
        for table in reversed(tables.metadata.sorted_tables):
            connection.execute(table.delete())
        connection.execute(_jobs.delete())
    return World(here)


ASSOCIATIONS = st.sampled_from(["a", "b", "c"])
STUDIES = st.integers(1, 2)
NUMBERS = st.integers(1, 6)
PAUSES = st.sampled_from([0.0, 0.5, 10.0, 30.0, 59.0, 60.0, 61.0, 119.0, 121.0, 200.0])
DOWN = st.sampled_from([0.0, 2.0, 70.0, 150.0])
JUMPS = st.sampled_from([-36000.0, -3600.0, -61.0, -5.0, 5.0, 61.0, 3600.0, 36000.0])
_place: list[Place] = []


class Hospital(RuleBasedStateMachine):
    """What may happen, in any order; the generation of an association's name changes when it ends."""

    @initialize()
    def begin(self) -> None:
        self.world = world(_place[0])
        self.generation, self.last_jump = 0, -FIND_S

    def _receiving(self) -> bool:
        return self.world.is_up["receiver"]

    @precondition(_receiving)
    @rule(association=ASSOCIATIONS, study=STUDIES, number=NUMBERS)
    def arrive(self, association: str, study: int, number: int) -> None:
        self.world.arrive(f"{association}-{self.generation}", number, study)

    @precondition(_receiving)
    @rule(association=ASSOCIATIONS)
    def end(self, association: str) -> None:
        self.world.end(f"{association}-{self.generation}")

    @precondition(_receiving)
    @rule(study=STUDIES, count=st.integers(2, 5), pause=PAUSES)
    def send_image_by_image(self, study: int, count: int, pause: float) -> None:
        for number in range(1, count + 1):
            self.world.arrive(f"single-{self.generation}-{number}", number, study)
            self.world.end(f"single-{self.generation}-{number}")
            self.world.forward(pause)

    @precondition(_receiving)
    @rule(study=STUDIES, pause=PAUSES, is_aborted=st.booleans())
    def send_exam(self, study: int, pause: float, is_aborted: bool) -> None:
        for number in (1, 2, 3, 5):
            self.world.arrive(f"exam-{self.generation}", number, study)
            self.world.forward(pause)
        if not is_aborted:  # else nobody hears of its end before the receiver starts again
            self.world.end(f"exam-{self.generation}")

    @precondition(_receiving)
    @rule(study=STUDIES, missing=st.sampled_from([0, 0, 1]), foreign=st.sampled_from([0, 0, 1]))
    def say_that_this_is_all(self, study: int, missing: int, foreign: int) -> None:
        self.world.say(study, missing, foreign)

    @precondition(_receiving)
    @rule(study=STUDIES, after=st.sampled_from([0.0, 1.0, 4.9, 5.1, 30.0]), more=st.booleans())
    def send_exam_and_say_so(self, study: int, after: float, more: bool) -> None:
        for number in (1, 2, 3, 5):
            self.world.arrive(f"said-{self.generation}", number, study)
        self.world.say(study)
        self.world.end(f"said-{self.generation}")
        self.world.forward(after)
        if more:
            self.world.arrive(f"late-{self.generation}", 4, study)
            self.world.end(f"late-{self.generation}")

    @rule(seconds=PAUSES)
    def forward(self, seconds: float) -> None:
        self.world.forward(seconds)

    @rule(seconds=JUMPS)
    def set_clock(self, seconds: float) -> None:
        self._jump(seconds)

    def _jump(self, seconds: float) -> None:
        """Set the clock; not to and fro within the time in which nobody looks, of which `ClockWatch` speaks."""
        if seconds:
            self.world.forward(max(0.0, self.last_jump + FIND_S - self.world.t))
            self.world.jump(seconds)
            self.last_jump = self.world.t

    @rule(
        roles=st.sampled_from([("receiver",), ("worker",), ("receiver", "worker")]),
        down=DOWN,
        jump=JUMPS | st.just(0.0),
    )
    def restart(self, roles: tuple[str, ...], down: float, jump: float) -> None:
        for role in roles:
            self.world.stop(role)
        self.generation += 1
        self.world.forward(down)
        self._jump(jump)
        for role in roles:
            self.world.start(role)

    @rule(workflow=st.sampled_from(["settle", "analyse"]))
    def lose_jobs(self, workflow: str) -> None:
        for key in self.world._jobs_of(workflow):
            del self.world.waiting[key]

    @rule()
    def die_after_the_next_commit(self) -> None:
        self.world.is_repeating = True

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "world"):
            self.world.check()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.finish()


def explore(here: Place, examples: int, steps: int) -> None:
    """Run the machine."""
    from hypothesis.stateful import run_state_machine_as_test

    _place[:] = [here]
    chosen = settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    run_state_machine_as_test(Hospital, settings=chosen)


def test_whatever_happens_every_study_is_closed_once_at_rest(ground: Place) -> None:
    explore(ground, examples=25, steps=20)


@pytest.mark.parametrize("is_revision", [False, True])
def test_a_scanner_that_says_it_sent_everything_gets_its_report_soon(ground: Place, is_revision: bool) -> None:
    one = world(ground)
    if is_revision:
        one.arrive("x", 1)
        one.end("x")
        one.forward(QUIET + 1)
    one.arrive("y", 2)
    one.arrive("y", 3)
    one.say(1)  # over the same association, as many do
    one.forward(SIGNAL + 10)
    assert len(one.closed) == int(is_revision), "under an open association"
    one.end("y")
    one.forward(2.0)
    assert [row.state for row in one.sets()] == ["closed"] * (1 + is_revision)
    one.finish()


def test_the_wait_after_such_a_word_is_short_and_not_zero(ground: Place) -> None:
    one = world(ground)
    one.arrive("x", 1)
    one.arrive("x", 2)
    one.end("x")
    one.forward(10)
    one.say(1)
    one.forward(SIGNAL - 0.1)
    assert one.closed == {}
    one.forward(0.3)
    assert len(one.closed) == 1
    one.finish()


def test_a_look_that_was_lost_and_found_waits_as_long(ground: Place) -> None:
    one = world(ground)
    one.arrive("x", 1)
    one.arrive("x", 2)
    one.end("x")
    one.say(1)
    for key in one._jobs_of("settle"):
        del one.waiting[key]
    one._search()
    one.forward(SIGNAL - 0.1)
    assert one.closed == {}
    one.forward(0.3)
    assert len(one.closed) == 1
    one.finish()


@pytest.mark.parametrize(("missing", "foreign"), [(1, 0), (0, 1), (1, 1)])
def test_a_list_that_is_not_true_shortens_nothing(ground: Place, missing: int, foreign: int) -> None:
    one = world(ground)
    one.arrive("x", 1)
    one.arrive("x", 2)
    one.end("x")
    one.say(1, missing, foreign)
    one.forward(QUIET - 1)
    assert one.closed == {}
    one.forward(2)
    assert len(one.closed) == 1
    one.finish()


@pytest.mark.parametrize("number", [1, 2])
def test_what_arrives_after_such_a_word_takes_it_back(ground: Place, number: int) -> None:
    one = world(ground)
    one.arrive("x", 1)
    one.say(1)
    one.arrive("x", number)  # the same object again says as well that it is not all over
    one.end("x")
    one.forward(QUIET - 1)
    assert one.closed == {}
    one.finish()
    assert len(one.sets()) == 1


@pytest.mark.parametrize("role", ["receiver", "worker"])
def test_a_restart_takes_it_back(ground: Place, role: str) -> None:
    one = world(ground)
    one.arrive("x", 1)
    one.end("x")
    one.say(1)
    one.stop(role)
    one.start(role)
    one.forward(QUIET - 1)
    assert one.closed == {}
    one.finish()


@settings(max_examples=25)
@given(pauses=st.lists(st.floats(0, QUIET - 1), min_size=1, max_size=12))
def test_an_image_by_image_sender_gets_one_report(ground: Place, pauses: list[float]) -> None:
    one = world(ground)
    for number, pause in enumerate(pauses, start=10):
        one.arrive(f"x-{number}", number)
        one.end(f"x-{number}")
        one.forward(pause)
    one.finish()
    assert len(one.analysed) == len(one.sets()) == 1


@settings(max_examples=15)
@given(pauses=st.lists(st.floats(QUIET + 1, LATE - 1), min_size=2, max_size=8))
def test_a_slower_one_gets_one_revision_after_the_first_report(ground: Place, pauses: list[float]) -> None:
    one = world(ground)
    for number, pause in enumerate(pauses, start=10):
        one.arrive(f"x-{number}", number)
        one.end(f"x-{number}")
        one.forward(pause)
    one.finish()
    assert [row.revision for row in one.sets()] == [1, 2]


def test_a_sender_slower_than_the_late_quiet_time_gets_a_revision_per_image(ground: Place) -> None:
    one = world(ground)
    for number in (10, 11, 12):
        one.arrive(f"x-{number}", number)
        one.end(f"x-{number}")
        one.forward(LATE + 1)
    one.finish()
    assert [row.revision for row in one.sets()] == [1, 2, 3]


def test_a_study_repeated_after_its_report_makes_no_revision(ground: Place) -> None:
    one = world(ground)
    for association in ("first", "again"):
        for number in (1, 2, 3):
            one.arrive(association, number)
        one.end(association)
        one.forward(LATE + QUIET)
    one.finish()
    assert len(one.analysed) == len(one.sets()) == 1


def test_a_repeat_keeps_an_open_study_awake(ground: Place) -> None:
    one = world(ground)
    one.arrive("first", 1)
    one.end("first")
    for number in range(4):  # a scanner that begins the study anew after each broken association
        one.forward(QUIET - 5)
        one.arrive(f"again-{number}", 1)
        one.end(f"again-{number}")
    assert one.closed == {}
    one.arrive("again", 2)
    one.finish()
    assert len(one.sets()) == 1


@pytest.mark.parametrize("seconds", [-7200.0, 7200.0])
@pytest.mark.parametrize("is_down", [False, True])
def test_a_clock_set_by_hours_neither_closes_early_nor_hours_late(ground: Place, seconds: float, is_down: bool) -> None:
    one = world(ground)
    one.arrive("x", 1)
    one.forward(QUIET / 2)
    one.arrive("x", 2)
    one.end("x")
    if is_down:
        one.stop("worker")
    one.jump(seconds)
    if is_down:
        one.start("worker")
    one.forward(BOUND_S)
    assert [row.state for row in one.sets()] == ["closed"]
    one.finish()


def test_a_late_object_after_the_clock_was_set_back_waits_no_longer_than_others(ground: Place) -> None:
    one = world(ground)
    one.arrive("first", 1)
    one.end("first")
    one.forward(QUIET + 1)
    one.jump(-36000.0)
    one.forward(FIND_S - 1)  # the search for what has no job notices
    one.arrive("late", 2)
    one.finish()
    assert [row.revision for row in one.sets()] == [1, 2]


def test_a_look_repeated_after_a_crash_makes_no_second_chain_of_looks(ground: Place) -> None:
    one = world(ground)
    one.arrive("x", 1)
    for _ in range(5):
        one.is_repeating = True
        one.forward(QUIET)
    assert len(one.here.jobs.ids("settle")) <= 8
    assert len(one._jobs_of("settle")) == 1
    one.finish()


@pytest.mark.verify
@pytest.mark.timeout(1800)
def test_a_long_search_finds_no_history_that_breaks_settling(ground: Place, figure: Any) -> None:
    explore(ground, examples=1000, steps=40)
    figure("settling, histories of up to 40 events under a simulated clock", "1000 histories, 0 broken", "0 broken")
