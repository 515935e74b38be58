"""Ways back: a study whose cause of failure was removed is gone through anew, and nothing else is done twice."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import update

from dicom_ai import service
from dicom_ai.classify.catalogue import Installed
from dicom_ai.commands import again as command
from dicom_ai.commands.rules import instance_of
from dicom_ai.crop.cropper import Cropper
from dicom_ai.engine import StepFailed
from dicom_ai.errors import ModelError, SettingsError
from dicom_ai.instance import Instance
from dicom_ai.settings import Settings, Store
from dicom_ai.simulate.exam import Exam
from dicom_ai.site import SiteTables
from dicom_ai.store import tables
from dicom_ai.store.again import Again, StudyInDoubt, Way, go_again
from dicom_ai.store.database import write
from tests.ledger import Clock, Place, place
from tests.workplace import Workplace, destination, lung, small_cropper, tiny, workplace

torch.set_num_threads(1)
GIVEN_UP = StepFailed("ModelError", "stop", "no_model")


@pytest.fixture(scope="module")
def cropper() -> Iterator[Cropper]:
    with small_cropper() as one:
        yield one


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return tiny(tmp_path_factory.mktemp("model"), (0.999, 0.999))


@pytest.fixture(scope="module")
def study() -> Exam:
    return lung()


@dataclass
class Routing:
    """A table of one row that a test may change."""

    task: str | None = "lung-signs"
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, instance: Instance, calling: str, called: str) -> str | None:
        self.asked.append((calling, called))
        return self.task


def go(here: Place, task_of: Callable[..., str | None] | None = None, by: str = "night shift") -> Again:
    """`studies again` of the only study."""
    way = Way(
        instance_of=lambda digest: instance_of(here.files.path(digest)),
        task_of=task_of or Routing(),
        enqueue=here.jobs,
        by=by,
    )
    with write(here.engine) as connection:
        return go_again(connection, here.rows(tables.studies)[0].id, way, here.clock())


def states(here: Place) -> set[tuple[str, str | None]]:
    return {(row.state, row.reason) for row in here.rows(tables.objects)}


def newest(work: Workplace) -> Any:
    return max(work.rows(tables.sets), key=lambda row: row.revision)


def test_an_object_without_a_route_joins_its_set_when_it_is_sent_again(tmp_path: Path) -> None:
    routing = Routing(None)
    here = place(tmp_path, task=routing)
    here.keeper.keep([here.spooled(1)])
    here.keeper.keep([here.spooled(1)])
    assert (states(here), here.rows(tables.sets)) == ({("stored", "no_task")}, [])
    routing.task = "lung-signs"
    for _ in range(2):
        assert [receipt.status for receipt in here.keeper.keep([here.spooled(1), here.spooled(1)])] == [0, 0]
    assert states(here) == {("stored", None)}
    assert [row.object for row in here.rows(tables.members)] == [here.spooled(1).digest]
    assert len(here.jobs.ids("settle")) == 1
    assert [row.kind for row in here.rows(tables.events)].count("routed") == 1


def test_a_study_that_ended_without_a_model_is_analysed_when_there_is_one(
    tmp_path: Path, cropper: Cropper, model: Installed, study: Exam
) -> None:
    work = workplace(tmp_path / "data", cropper, [])
    work.receive(*study)
    set_id = work.closed_set()
    with pytest.raises(ModelError):
        work.story.choose_model(set_id)
    work.story.failed(set_id, 0, GIVEN_UP, "job")
    assert states(work.here) == {("quarantined", "no_model")}
    work = workplace(tmp_path / "data", cropper, [model])
    said = go(work.here)
    assert said == Again({"lung-signs": 2}, 0, 0)
    assert states(work.here) == {("stored", None)}
    assert (newest(work).revision, newest(work).predecessor, newest(work).state) == (2, set_id, "open")
    ((look, number),) = [job.arguments for job in work.here.jobs.all() if job.arguments[0] == newest(work).id]
    work.here.clock.forward(1000)
    assert work.story.settle(look, number) == "closed"
    work.analyse(look)
    assert states(work.here) == {("analysed", None)}
    assert work.events("again") == [{"study": newest(work).study, "by": "night shift", "count": 2}]


def test_a_crop_that_failed_is_made_again(tmp_path: Path, cropper: Cropper, model: Installed, study: Exam) -> None:
    with small_cropper(timeout_s=0.001) as hasty:
        work = workplace(tmp_path / "data", hasty, [model])
        work.answered(*study)
    assert states(work.here) == {("quarantined", "decode_timeout")}
    work = workplace(tmp_path / "data", cropper, [model])
    go(work.here)
    key = work.analyse(work.closed_set())
    assert states(work.here) == {("analysed", None)}
    assert {row.status for row in work.rows(tables.crops)} == {"cropped"}
    assert work.rows(tables.analyses)[-1].key == key
    assert len(work.rows(tables.analyses)) == 2


def test_a_study_about_which_nothing_new_can_be_said_is_not_reported_twice(
    tmp_path: Path, cropper: Cropper, model: Installed, study: Exam
) -> None:
    work = workplace(tmp_path / "data", cropper, [model])
    key = work.answered(*study)
    kept = ("results", "deliveries", "scores", "analyses")
    before = {name: work.everything()[name] for name in kept}
    go(work.here)
    assert work.analyse(work.closed_set()) == key
    assert {name: work.everything()[name] for name in kept} == before
    assert newest(work).answered_at is not None


def test_what_the_grade_rule_held_goes_when_the_destination_takes_it(
    tmp_path: Path, cropper: Cropper, model: Installed, study: Exam
) -> None:
    work = workplace(tmp_path / "data", cropper, [model], site=SiteTables(destinations=(destination(1, test=False),)))
    key = work.answered(*study)
    assert {(row.state, row.reason) for row in work.deliveries("report")} == {("held", "no_model")}
    work.site = SiteTables(destinations=(destination(1),))
    go(work.here)
    assert work.analyse(work.closed_set()) == key
    assert {(row.state, row.reason) for row in work.deliveries("report")} == {("queued", None)}


def test_nothing_happens_while_it_is_in_doubt_whose_study_it_is(
    tmp_path: Path, cropper: Cropper, model: Installed, study: Exam
) -> None:
    work = workplace(tmp_path / "data", cropper, [model])
    first, second = lung()
    second.PatientID = "ANOTHER"
    work.receive(first, second)
    work.closed_set()
    before = work.everything()
    with pytest.raises(StudyInDoubt, match="conflicts resolve"):
        go(work.here)
    assert work.everything() == before


def test_an_object_of_another_patient_stays_set_aside(tmp_path: Path, cropper: Cropper, model: Installed) -> None:
    work = workplace(tmp_path / "data", cropper, [model])
    first, second = lung()
    second.PatientID = "ANOTHER"
    work.receive(first, second)
    work.closed_set()
    with write(work.here.engine) as connection:  # as a decision for the first patient leaves it
        connection.execute(update(tables.conflicts).values(state="resolved"))
        of_first = tables.objects.c.sop_uid == str(first.SOPInstanceUID)
        connection.execute(update(tables.objects).where(of_first).values(state="stored", reason=None))
    assert go(work.here) == Again({"lung-signs": 1}, 0, 0)


def test_routes_are_asked_again_with_what_the_object_came_by(
    tmp_path: Path, cropper: Cropper, model: Installed, study: Exam
) -> None:
    work = workplace(tmp_path / "data", cropper, [model])
    work.receive(*study)
    lungs = newest(work)
    routing = Routing("uterine-lesions")
    assert go(work.here, routing) == Again({"uterine-lesions": 2}, 0, 0)
    assert set(routing.asked) == {("SCANNER", "DICOM_AI")}
    sets = {row.task: row for row in work.rows(tables.sets)}
    assert (sets["lung-signs"].state, sets["lung-signs"].answered_at is not None) == ("closed", True)
    assert {row.set for row in work.rows(tables.members)} == {sets["uterine-lesions"].id}
    assert work.story.settle(lungs.id) == "already"
    assert go(work.here, Routing(None)) == Again({}, 2, 0)
    assert states(work.here) == {("stored", "no_task")}
    assert work.rows(tables.members) == []


def test_an_open_set_takes_what_was_missing_and_keeps_its_look(
    tmp_path: Path, cropper: Cropper, model: Installed, study: Exam
) -> None:
    work = workplace(tmp_path / "data", cropper, [model])
    work.receive(*study)
    with write(work.here.engine) as connection:
        first = work.rows(tables.members)[0].object
        connection.execute(tables.members.delete().where(tables.members.c.object == first))
    go(work.here)
    assert (newest(work).revision, newest(work).looks) == (1, 1)
    assert len(work.rows(tables.members)) == 2


def test_an_object_whose_file_is_gone_stays_as_it_was(
    tmp_path: Path, cropper: Cropper, model: Installed, study: Exam
) -> None:
    work = workplace(tmp_path / "data", cropper, [model])
    work.answered(*study)
    work.here.files.path(work.rows(tables.objects)[0].digest).unlink()
    assert go(work.here) == Again({"lung-signs": 1}, 0, 1)


def test_the_command_works_without_a_service(
    tmp_path: Path, study: Exam, cropper: Cropper, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(store=Store(data=tmp_path / "data"))
    service.prepare(settings)
    work = workplace(tmp_path / "data", cropper, [])
    with pytest.raises(SettingsError, match="studies list"):
        command.again("s", settings, by="me", clock=Clock(), as_json=False)
    work.receive(*study)
    assert command.again("s", settings, by="me", clock=work.here.clock, as_json=False) == 0
    assert "2 objects match no route" in capsys.readouterr().out
    table = SiteTables.model_validate({"routes": [{"task": "lung-signs", "description_contains": "lung"}]})
    service.put_into_force(table, "me", settings, work.here.clock())
    assert command.again("s", settings, by="me", clock=work.here.clock, as_json=True) == 0
    assert '"tasks": {"lung-signs": 2}' in capsys.readouterr().out
