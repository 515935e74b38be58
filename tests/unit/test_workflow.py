"""The story step by step: what a killed and repeated step finds, what a lost file costs, how a failed set ends."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import select, update

from dicom_ai.classify.catalogue import Installed
from dicom_ai.classify.runtime import Classifier
from dicom_ai.classify.scored import Scored
from dicom_ai.crop.cropper import Cropper
from dicom_ai.engine import StepFailed
from dicom_ai.errors import After, DicomAIError, ModelError
from dicom_ai.kept import Kept
from dicom_ai.simulate.exam import Exam, Shot
from dicom_ai.site import SiteTables
from dicom_ai.store import analyses, tables
from dicom_ai.store.database import read, write
from tests.workplace import Workplace, classifier, destination, lung, small_cropper, tiny, workplace

torch.set_num_threads(1)
RETRY = StepFailed("OSError", "retry", None)
QUARANTINE = StepFailed("NonFiniteOutput", "quarantine", "non_finite")


@pytest.fixture(scope="module")
def cropper() -> Iterator[Cropper]:
    with small_cropper() as one:
        yield one


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def study() -> Exam:
    return lung()


@pytest.fixture
def work(tmp_path: Path, cropper: Cropper, model: Installed) -> Workplace:
    return workplace(tmp_path / "data", cropper, [model])


def work_files(work: Workplace) -> list[Path]:
    return sorted((work.here.data / "spool" / "work").iterdir())


def jobs(work: Workplace, workflow: str) -> list[Any]:
    return [job for job in work.here.jobs.all() if job.workflow == workflow]


def findings(work: Workplace, key: str) -> list[Any]:
    with read(work.here.engine) as connection:
        found = analyses.analysis(connection, key)
    assert found is not None
    return [found.content]


def test_every_step_repeated_leaves_ledger_and_store_as_they_were(work: Workplace, study: Exam) -> None:
    work.receive(*study)
    set_id = work.closed_set()
    story = work.story
    name = story.choose_model(set_id)
    key = ""
    steps = [
        lambda: story.settle(set_id),
        lambda: story.crop(set_id, name),
        lambda: story.classify(set_id, name),
        lambda: story.report(set_id, name),
        lambda: story.queue_results(set_id, key),
    ]
    for number, step in enumerate(steps):
        made = step()
        key = str(made) if number == 3 else key
        before = work.everything()
        for earlier in steps[: number + 1]:
            work.here.clock.forward(7)
            earlier()
            assert work.everything() == before, f"step {number} or one before it is not repeatable"
    assert len(before["analyses"]) == 1
    assert len(before["results"]) == 2


def test_results_that_are_held_are_noted_once(tmp_path: Path, cropper: Cropper, model: Installed, study: Exam) -> None:
    site = SiteTables(destinations=(destination(1, test=False),))
    work = workplace(tmp_path / "data", cropper, [model], site=site)
    key = work.answered(*study)
    before = work.everything()
    work.story.queue_results(work.rows(tables.sets)[0].id, key)
    assert work.everything() == before
    assert [event["reason"] for event in work.events("held")] == ["no_model"]


@pytest.mark.parametrize("lost_after", ["crop", "classify"])
def test_a_lost_work_file_is_made_again_with_the_same_result(
    tmp_path: Path, cropper: Cropper, model: Installed, study: Exam, lost_after: str
) -> None:
    told = []
    for lose in (False, True):
        work = workplace(tmp_path / str(lose), cropper, [model])
        work.receive(*study)
        set_id = work.closed_set()
        for step in (work.story.crop, work.story.classify):
            step(set_id, model.card.digest)
            if lose and step.__name__ == lost_after:
                assert [path.unlink() for path in work_files(work)] == [None, None]
        key = work.story.report(set_id, model.card.digest)
        results = sorted((row.uid, row.digest) for row in work.rows(tables.results))
        told.append((key, findings(work, key), results))
        assert work_files(work) == []
    assert told[0] == told[1]
    assert len(told[0][2]) == 2


def test_work_files_left_by_a_death_after_the_commit_are_removed(
    tmp_path: Path, cropper: Cropper, model: Installed, study: Exam
) -> None:
    work = workplace(tmp_path, cropper, [model])
    work.receive(*study)
    set_id = work.closed_set()
    for step in (work.story.crop, work.story.classify):
        step(set_id, model.card.digest)
    left = {path: path.read_bytes() for path in work_files(work)}
    key = work.story.report(set_id, model.card.digest)
    for path, content in left.items():
        path.write_bytes(content)
    assert work.story.report(set_id, model.card.digest) == key
    assert work_files(work) == []


class Counting(Classifier):
    """Counts what it is shown."""

    shown = 0

    def score(self, kept: Kept) -> Scored:
        Counting.shown += 1
        return super().score(kept)


@pytest.mark.parametrize("thresholds", [(0.01, 0.99), (0.999, 0.999)], ids=["a finding", "no finding"])
def test_every_image_is_scored_once(
    tmp_path: Path, cropper: Cropper, study: Exam, thresholds: tuple[float, float]
) -> None:
    model = tiny(tmp_path / "model", thresholds)
    work = workplace(tmp_path / "data", cropper, [model], load=lambda one: Counting(one.folder, device="cpu"))
    Counting.shown = 0
    work.answered(*study)
    assert Counting.shown == len(study)


def test_a_late_object_makes_a_revision_over_all_objects_that_scores_only_itself(
    tmp_path: Path, cropper: Cropper, model: Installed, study: Exam
) -> None:
    work = workplace(tmp_path / "data", cropper, [model], load=lambda one: Counting(one.folder, device="cpu"))
    first, late = study
    key = work.answered(first)
    Counting.shown = 0
    revised = work.answered(late)
    newest = work.rows(tables.sets)[-1]
    assert revised != key
    assert (newest.revision, newest.predecessor) == (2, work.rows(tables.sets)[0].id)
    assert len(work.rows(tables.scores)) == 2
    # once for its score, and the other image once more for the heat of its capture
    assert Counting.shown == 2
    uids = [row.uid for row in work.rows(tables.results)]
    assert len(uids) == len(set(uids)) == 3


def test_a_study_without_a_picture_is_answered_too(work: Workplace) -> None:
    (only,) = lung(Shot(frozenset(), kind="air"))
    del only.SequenceOfUltrasoundRegions
    key = work.answered(only)
    (said,) = findings(work, key)
    assert '"reason": "no_regions"' in said
    assert [row.state for row in work.rows(tables.objects)] == ["quarantined"]
    assert [row.kind for row in work.deliveries() if row.kind != "source"] == ["report"]


def test_a_failure_that_may_pass_gets_a_next_time_and_then_an_end(work: Workplace, study: Exam) -> None:
    work.receive(*study)
    set_id = work.closed_set()
    (first,) = jobs(work, "analyse")
    job, attempt, delays = first.id, 0, []
    while not work.events("set_ended"):
        before = {one.id for one in jobs(work, "analyse")}
        work.story.failed(set_id, attempt, RETRY, job)
        made = [one for one in jobs(work, "analyse") if one.id not in before]
        if made:
            (following,) = made
            job, (named, attempt) = following.id, following.arguments
            delays.append(following.delay_s)
            assert named == set_id
        assert len(delays) < 20, "no end"
    assert delays == sorted(delays)
    assert min(delays) > 0
    assert attempt == len(delays) == 5
    assert work.events("set_ended") == [{"set": set_id, "reason": "analysis_failed"}]
    assert {(row.state, row.reason) for row in work.rows(tables.objects)} == {("quarantined", "analysis_failed")}


def test_a_failure_that_will_not_pass_ends_at_once_with_its_reason(work: Workplace, study: Exam) -> None:
    work.receive(*study)
    set_id = work.closed_set()
    for _ in range(2):
        work.story.failed(set_id, 0, QUARANTINE, "job")
    assert len(jobs(work, "analyse")) == 1
    assert work.events("set_ended") == [{"set": set_id, "reason": "non_finite"}]
    with read(work.here.engine) as connection:
        assert analyses.unanswered_sets(connection) == []
    assert {row.state for row in work.deliveries("source")} == {"queued"}  # forwarding does not depend on it


def test_the_end_of_a_set_keeps_the_reasons_and_answers_its_objects_have(work: Workplace) -> None:
    sound, late, blind = lung(*[Shot(frozenset({"b_lines"}))] * 3)
    del blind.SequenceOfUltrasoundRegions
    work.answered(sound)
    work.receive(late, blind)
    set_id = work.closed_set()
    work.story.crop(set_id, work.story.choose_model(set_id))
    work.story.failed(set_id, 0, QUARANTINE, "job")
    said = {row.sop_uid: (row.state, row.reason) for row in work.rows(tables.objects)}
    assert said == {
        sound.SOPInstanceUID: ("analysed", None),
        late.SOPInstanceUID: ("quarantined", "non_finite"),
        blind.SOPInstanceUID: ("quarantined", "no_regions"),
    }


def test_a_look_that_broke_off_is_followed_by_another(work: Workplace, study: Exam) -> None:
    work.receive(*study)
    set_id = work.rows(tables.sets)[0].id
    work.story.settle_again(set_id, "OperationalError")
    looks = jobs(work, "settle")
    assert len(looks) == len({one.id for one in looks}) == 2
    assert {one.arguments for one in looks} == {(set_id, 0), (set_id, 1)}
    assert looks[-1].delay_s > 0


def test_a_start_gives_a_job_to_everything_that_has_none(work: Workplace, study: Exam) -> None:
    first, second = map(deepcopy, study)
    second.StudyInstanceUID = "1.2.3.77"
    work.receive(first)
    closed = work.closed_set()
    work.receive(second)
    open_set = next(row.id for row in work.rows(tables.sets) if row.state == "open")
    before = {job.id for job in work.here.jobs.all()}
    deliveries = {job.id: "" for job in work.here.jobs.all() if job.workflow == "deliver"}
    there = {"analyse": {"a": closed}, "settle": {"s": open_set}, "deliver": deliveries}
    work.story.recover(there.__getitem__)
    assert {job.id for job in work.here.jobs.all()} == before  # all of them have one
    work.story.recover(lambda _: {})
    fresh = [job for job in work.here.jobs.all() if job.id not in before]
    again = {job.workflow: job.arguments[0] for job in fresh if job.workflow != "deliver"}
    assert again == {"settle": open_set, "analyse": closed}
    assert len({job.id for job in fresh if job.workflow == "deliver"}) == 2  # both studies have originals to forward


def test_results_that_were_never_queued_are_found(work: Workplace, study: Exam) -> None:
    work.receive(*study)
    set_id = work.closed_set()
    model = work.story.choose_model(set_id)
    work.story.crop(set_id, model)
    work.story.classify(set_id, model)
    key = work.story.report(set_id, model)
    before = {job.id for job in work.here.jobs.all()}
    work.story.recover(lambda _: {})  # the job that was to queue them ended in error
    (found,) = [job for job in work.here.jobs.all() if job.workflow == "analyse" and job.id not in before]
    assert found.arguments[0] == set_id
    work.story.queue_results(set_id, key)
    before = {job.id for job in work.here.jobs.all()}
    work.story.recover(lambda _: {})
    assert [job for job in work.here.jobs.all() if job.workflow == "analyse" and job.id not in before] == []


def test_a_start_does_not_repeat_what_is_answered_superseded_or_ended(work: Workplace, study: Exam) -> None:
    first, late = study
    work.receive(first)
    work.closed_set()  # superseded before it was answered
    work.answered(late)
    (other,) = lung(Shot(frozenset()), seed=8)
    work.receive(other)
    work.story.failed(work.closed_set(), 0, QUARANTINE, "job")
    before = {job.id for job in work.here.jobs.all()}
    work.story.recover(lambda _: {})
    assert {job.id for job in work.here.jobs.all() if job.workflow == "analyse"} <= before


def test_a_task_without_a_model_has_a_reason(tmp_path: Path, cropper: Cropper, study: Exam) -> None:
    work = workplace(tmp_path / "data", cropper, [])
    work.receive(*study)
    with pytest.raises(ModelError) as caught:
        work.story.choose_model(work.closed_set())
    assert caught.value.reason == "no_model"


def test_a_wrong_model_is_known_at_the_start(tmp_path: Path, cropper: Cropper) -> None:
    model = tiny(tmp_path / "model")
    changed = model.card.classes[0].model_copy(update={"code": model.card.classes[1].code})
    card = model.card.model_copy(update={"classes": (changed, model.card.classes[1])})
    work = workplace(tmp_path / "data", cropper, [Installed(model.folder, card)], load=classifier)
    work.analyst.prove()  # logged; forwarding goes on without it
    with pytest.raises(ModelError, match="reviewed table"):
        work.analyst.classifier(card.digest)


def test_a_set_under_which_the_worker_died_too_often_ends(tmp_path: Path, cropper: Cropper, study: Exam) -> None:
    work = workplace(tmp_path / "data", cropper, [])
    work.receive(*study)
    set_id = work.closed_set()
    work.story.recover(lambda _: {}, lambda _: {"analyse:x": set_id})
    assert work.events("set_ended")
    analyses = [job.id for job in work.here.jobs.all() if job.workflow == "analyse"]
    work.story.recover(lambda _: {}, lambda _: {"analyse:x": set_id})
    assert [job.id for job in work.here.jobs.all() if job.workflow == "analyse"] == analyses


def test_a_set_waits_as_long_as_we_are_unwell(tmp_path: Path, cropper: Cropper, study: Exam) -> None:
    work = workplace(tmp_path / "data", cropper, [])
    work.receive(*study)
    set_id = work.closed_set()
    work.story.failed(set_id, 99, StepFailed("OutOfSpace", "retry", "no_space"), "analyse:y+99")
    assert [job.delay_s for job in work.here.jobs.all() if job.id == "analyse:y+100"] == [900]
    work.story.failed(set_id, 99, StepFailed("TypeError", "retry", None), "analyse:y+99")
    assert work.events("set_ended")


def test_an_object_cropped_otherwise_than_before_ends_with_a_true_reason(
    tmp_path: Path, cropper: Cropper, study: Exam
) -> None:
    installed = tiny(tmp_path / "model")
    work = workplace(tmp_path / "data", cropper, [installed], load=classifier)
    work.receive(*study)
    set_id = work.closed_set()
    model = work.story.choose_model(set_id)
    work.story.crop(set_id, model)
    for path in (work.here.data / "spool" / "work").iterdir():
        path.unlink()
    with write(work.here.engine) as connection:  # as an earlier version of the crop would have left it
        for row in connection.execute(select(tables.crops)).mappings().all():
            changed = {**row["row"], "box": [0, 0, 1, 1]}
            connection.execute(update(tables.crops).where(tables.crops.c.object == row["object"]).values(row=changed))
    with pytest.raises(DicomAIError) as caught:
        work.story.classify(set_id, model)
    assert (caught.value.after, caught.value.reason) == (After.QUARANTINE, "analysis_failed")
