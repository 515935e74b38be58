"""Source sets: closed only at rest, never changed once closed, and nothing that was received is left outside."""

import pytest

from dicom_ai.reasons import REASONS
from dicom_ai.store import settling, tables
from dicom_ai.store.database import write
from dicom_ai.store.settling import Settled
from tests.ledger import START, Place, place

pytestmark = pytest.mark.databases("verify")

QUIET, LATE = 60.0, 120.0


def look(here: Place, number: int = 0) -> Settled:
    set_id = sorted(here.rows(tables.sets), key=lambda row: row.revision)[number].id
    with write(here.engine) as connection:
        return settling.decide(connection, set_id, now=here.clock(), quiet_s=(QUIET, LATE), enqueue=here.jobs)


def end(here: Place, association: str = "a1") -> None:
    here.keeper.end([association])


def start_receiver(here: Place) -> None:
    with write(here.engine) as connection:
        settling.receiver_started(connection, "here", here.clock())


def test_a_set_at_rest_closes_and_its_analysis_is_enqueued_once(tmp_path):
    here = place(tmp_path)
    items = [here.spooled(number) for number in (2, 1)]
    here.keeper.keep(items)
    end(here)
    here.clock.forward(QUIET)
    assert look(here) is Settled.CLOSED
    (row,) = here.rows(tables.sets)
    digest = settling.set_digest([("1.2.3.1", items[1].digest), ("1.2.3.2", items[0].digest)])
    assert (row.state, row.digest, row.closed_at) == ("closed", digest, here.clock.now)
    assert here.jobs.ids("analyse") == [f"analyse:{row.id}:{digest[:16]}"]
    assert look(here) is Settled.ALREADY
    assert len(here.jobs.ids("analyse")) == 1


def test_a_young_object_postpones_by_what_is_left(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1)])
    here.clock.forward(50)
    here.keeper.keep([here.spooled(2)])
    end(here)
    here.clock.forward(10)
    assert look(here) is Settled.LATER
    (row,) = here.rows(tables.sets)
    assert (row.state, row.looks) == ("open", 2)
    (job,) = [job for job in here.jobs.all() if job.id == f"settle:{row.id}:1"]
    assert job.delay_s == pytest.approx(50)


def test_an_open_association_keeps_the_study_open(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1)])
    here.clock.forward(10 * QUIET)
    assert look(here) is Settled.LATER
    end(here)
    assert look(here) is Settled.CLOSED


def test_another_study_of_the_association_does_not_matter_after_it_ended(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1), here.spooled(2, study_instance_uid="1.2.8")])
    assert len(here.rows(tables.associations)) == 2
    end(here)
    assert here.rows(tables.associations) == []


def test_a_receiver_that_just_came_up_gives_the_scanner_time(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1)])
    here.clock.forward(10 * QUIET)
    start_receiver(here)  # also clears the association its predecessor left
    here.clock.forward(QUIET / 2)
    assert look(here) is Settled.LATER
    here.clock.forward(QUIET / 2)
    assert look(here) is Settled.CLOSED


def test_a_receiver_clears_only_its_own_associations(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1)])
    with write(here.engine) as connection:
        settling.receiver_started(connection, "elsewhere", here.clock())
    assert len(here.rows(tables.associations)) == 1
    start_receiver(here)
    assert here.rows(tables.associations) == []


def test_a_late_object_opens_a_revision_over_all_objects(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1), here.spooled(2)])
    end(here)
    here.clock.forward(QUIET)
    look(here)
    here.keeper.keep([here.spooled(3, association="a2")])
    end(here, "a2")
    first, second = sorted(here.rows(tables.sets), key=lambda row: row.revision)
    assert (second.revision, second.predecessor, second.state) == (2, first.id, "open")
    members = here.rows(tables.members)
    assert sum(row.set == first.id for row in members) == 2
    assert sum(row.set == second.id for row in members) == 3
    (job,) = [job for job in here.jobs.all() if job.id == f"settle:{second.id}:0"]
    assert job.delay_s == LATE
    here.clock.forward(LATE - 1)
    assert look(here, 1) is Settled.LATER
    here.clock.forward(1)
    assert look(here, 1) is Settled.CLOSED
    assert len(here.jobs.ids("analyse")) == 2


def test_two_patients_in_a_set_are_quarantined(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1), here.spooled(2, patient_id="P2")])
    end(here)
    here.clock.forward(QUIET)
    assert look(here) is Settled.QUARANTINED
    assert {(row.state, row.reason) for row in here.rows(tables.objects)} == {("quarantined", "mixed_patient")}
    assert here.rows(tables.sets)[0].answered_at == here.clock.now, "nobody looks for an analysis of it"
    assert "mixed_patient" in REASONS
    assert here.jobs.ids("analyse") == []
    (event,) = [row for row in here.rows(tables.events) if row.kind == "quarantined"]
    assert event.ids["reason"] == "mixed_patient"
    assert "P2" not in str(event)
    assert here.rows(tables.sets)[0].state == "closed"


def test_other_spelling_of_one_patient_is_one_patient(tmp_path):
    here = place(tmp_path)
    one, two = here.spooled(1), here.spooled(2)
    object.__setattr__(two.identity, "patient_name", "NAME^INVENTED")
    here.keeper.keep([one, two])
    end(here)
    here.clock.forward(QUIET)
    assert look(here) is Settled.CLOSED


def test_two_tasks_of_a_study_are_two_sets(tmp_path):
    here = place(tmp_path, task=lambda facts, *_: facts.body_part)
    here.keeper.keep([here.spooled(1, body_part="lung-signs"), here.spooled(2, body_part="uterine-lesions")])
    assert {row.task for row in here.rows(tables.sets)} == {"lung-signs", "uterine-lesions"}
    assert len(here.jobs.ids("settle")) == 2


def test_a_clock_set_back_does_not_postpone_for_hours(tmp_path):
    here = place(tmp_path)
    here.keeper.keep([here.spooled(1)])
    end(here)
    here.clock.forward(-3600)
    assert look(here) is Settled.LATER
    assert max(job.delay_s for job in here.jobs.all() if job.workflow == "settle") <= QUIET
    here.clock.forward(QUIET)
    assert look(here) is Settled.CLOSED


def test_an_unknown_set_is_an_error(tmp_path):
    here = place(tmp_path)
    with write(here.engine) as connection, pytest.raises(KeyError):
        settling.decide(connection, "e0", now=START, quiet_s=(1, 1), enqueue=here.jobs)
