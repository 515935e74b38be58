"""How sets end: reports that say why, alarms that end with their cause, switches, and results held for a person."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydicom.dataset import Dataset

from dicom_ai.classify.catalogue import Installed
from dicom_ai.classify.runtime import Classifier
from dicom_ai.classify.scored import Scored
from dicom_ai.crop.cropper import Cropper
from dicom_ai.engine import StepFailed
from dicom_ai.errors import DicomAIError, NonFiniteOutput, TaskDisabled
from dicom_ai.kept import Kept
from dicom_ai.report.content import ReportContent
from dicom_ai.settings import Models, Report
from dicom_ai.simulate.exam import Shot
from dicom_ai.site import Destination, SiteTables
from dicom_ai.store import outbox, release, tables
from dicom_ai.store.database import write
from tests.workplace import Workplace, classifier, destination, lung, pacs, small_cropper, tiny, workplace

torch.set_num_threads(1)
pytestmark = pytest.mark.databases("verify")
ALARM = Report(on_failure="alarm")
GIVEN_UP = StepFailed("TypeError", "quarantine", "analysis_failed")
STILL = Shot(frozenset({"b_lines"}))


@pytest.fixture(scope="module")
def cropper() -> Iterator[Cropper]:
    with small_cropper() as one:
        yield one


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return tiny(tmp_path_factory.mktemp("model"))


class Make:
    """Makes workplaces with the parts that cost time."""

    def __init__(self, folder: Path, cropper: Cropper, model: Installed) -> None:
        self.folder, self._cropper, self._model = folder, cropper, model

    def __call__(self, *targets: Destination, models: tuple[Installed, ...] | None = None, **more: Any) -> Workplace:
        there = (self._model,) if models is None else models
        site = SiteTables(destinations=targets or (destination(1),))
        return workplace(self.folder / "data", self._cropper, there, site=site, **more)


@pytest.fixture
def make(tmp_path: Path, cropper: Cropper, model: Installed) -> Make:
    return Make(tmp_path, cropper, model)


def run(work: Workplace, *objects: Dataset) -> str:
    """Receive, settle and analyse as the workflow does, a step that fails included; the set."""
    work.receive(*objects)
    set_id = work.closed_set()
    try:
        work.analyse(set_id)
    except DicomAIError as exc:
        work.story.failed(set_id, 99, StepFailed(type(exc).__name__, exc.after.value, exc.reason), "job")
    return set_id


def alarms(work: Workplace) -> list[tuple[str, str]]:
    return [(row.reason, row.state) for row in work.rows(tables.alarms)]


def contents(work: Workplace) -> list[ReportContent]:
    return [ReportContent.from_json(json.dumps(row.content)) for row in work.rows(tables.analyses)]


def states(work: Workplace, name: str = "pacs") -> set[tuple[str, str, str | None]]:
    return {(row.kind, row.state, row.reason) for row in work.deliveries(name=name)}


def blind(ds: Dataset) -> Dataset:
    del ds.SequenceOfUltrasoundRegions
    return ds


def texts(report: Dataset) -> str:
    """Every text of a report."""
    return "\n".join(str(one.value) for one in report.iterall() if one.VR == "UT")


class Unlucky(Classifier):
    """Its outputs are not finite for the first images it is shown."""

    bad = shown = 0

    def score(self, kept: Kept) -> Scored:
        Unlucky.shown += 1
        if Unlucky.shown <= Unlucky.bad:
            raise NonFiniteOutput("1 of 1 frames")
        return super().score(kept)


def unlucky(count: int) -> Any:
    Unlucky.bad, Unlucky.shown = count, 0
    return lambda one: Unlucky(one.folder, device="cpu")


def test_one_image_without_finite_output_is_left_out_and_the_others_are_reported(make: Make) -> None:
    bad, good = lung()
    with pacs(make.folder / "pacs") as peer:
        work = make(destination(peer.port), load=unlucky(1))
        run(work, bad, good)
        work.deliver()
    said = {row.sop_uid: (row.state, row.reason) for row in work.rows(tables.objects)}
    assert said == {bad.SOPInstanceUID: ("quarantined", "non_finite"), good.SOPInstanceUID: ("analysed", None)}
    (content,) = contents(work)
    assert [one.sop_instance_uid for one in content.images] == [good.SOPInstanceUID]
    assert [(one.sop_instance_uid, one.reason) for one in content.skipped] == [(bad.SOPInstanceUID, "non_finite")]
    assert peer.kinds() == ["source", "source", "capture", "report"]
    (report,) = peer.reports()
    assert report.CompletionFlag == "PARTIAL"
    assert "Not analysed: series" in texts(report)
    assert "The network gave an output that is not a number" in texts(report)
    assert alarms(work) == []


def test_such_an_image_is_not_shown_again_in_its_set_and_has_another_chance_in_a_revision(make: Make) -> None:
    bad, good, late = lung(STILL, STILL, STILL)
    work = make(load=unlucky(1))
    set_id = run(work, bad, good)
    before = work.everything()
    for step in (work.story.crop, work.story.classify, work.story.report):
        step(set_id, work.story.choose_model(set_id))
    assert work.everything() == before
    run(work, late)
    assert {row.state for row in work.rows(tables.objects)} == {"analysed"}
    assert [len(one.images) for one in contents(work)] == [1, 3]
    assert len({one.analysis.key for one in contents(work)}) == 2


@pytest.mark.parametrize("on_failure", ["report", "alarm"])
@pytest.mark.parametrize("why", ["non_finite", "no_regions", "pixel_length"])
def test_a_set_without_any_usable_image_ends_in_a_report_or_an_alarm(make: Make, on_failure: Any, why: str) -> None:
    objects = list(lung())
    if why == "no_regions":
        objects = [blind(ds) for ds in objects]
    if why == "pixel_length":
        for ds in objects:
            ds.PixelData = ds.PixelData[: len(ds.PixelData) // 2]
    with pacs(make.folder / "pacs") as peer:
        load = unlucky(99) if why == "non_finite" else classifier
        work = make(destination(peer.port), load=load, report=Report(on_failure=on_failure))
        set_id = run(work, *objects)
        work.deliver()
    assert {(row.state, row.reason) for row in work.rows(tables.objects)} == {("quarantined", why)}
    if on_failure == "alarm":
        assert peer.kinds() == ["source", "source"]
        assert alarms(work) == [(why, "open")]
        assert work.events("set_ended") == [{"set": set_id, "reason": why}]
        assert [event["reason"] for event in work.events("alarm")] == [why]
        return
    assert peer.kinds() == ["source", "source", "report"]
    assert alarms(work) == []
    (content,) = contents(work)
    assert {finding.state.value for finding in content.findings} == {"indeterminate"}
    assert [one.reason for one in content.skipped] == [why] * 2
    assert "NO IMAGE COULD BE ASSESSED" in texts(peer.reports()[0])


def test_an_analysis_that_failed_is_reported_as_indeterminate_with_its_reason(make: Make) -> None:
    first, second = lung()
    with pacs(make.folder / "pacs") as peer:
        work = make(destination(peer.port))
        work.receive(first, blind(second))
        set_id = work.closed_set()
        work.story.crop(set_id, work.story.choose_model(set_id))
        for _ in range(2):  # the step may be repeated
            work.story.failed(set_id, 99, GIVEN_UP, "job")
        work.deliver()
    assert peer.kinds() == ["source", "source", "report"]
    (content,) = contents(work)
    assert {one.sop_instance_uid: one.reason for one in content.skipped} == {
        first.SOPInstanceUID: "analysis_failed",
        second.SOPInstanceUID: "no_regions",
    }
    assert work.events("set_ended") == [{"set": set_id, "reason": "analysis_failed"}]
    assert [event["set"] for event in work.events("not_analysed")] == [set_id]
    assert work.events("analysed") == []
    assert {row.state for row in work.rows(tables.objects)} == {"quarantined"}


def test_a_failed_set_and_a_later_success_over_the_same_objects_are_two_analyses(make: Make) -> None:
    first, late = lung()
    work = make()
    work.receive(first)
    set_id = work.closed_set()
    work.story.crop(set_id, work.story.choose_model(set_id))
    work.story.failed(set_id, 99, GIVEN_UP, "job")
    run(work, late)
    failed, well = contents(work)
    assert (len(failed.images), len(well.images)) == (0, 2)
    assert failed.analysis.key != well.analysis.key


@pytest.mark.parametrize("on_failure", ["report", "alarm"])
def test_without_a_model_there_is_an_alarm_and_it_is_over_with_the_next_answer(make: Make, on_failure: Any) -> None:
    first, late = lung()
    work = make(models=(), report=Report(on_failure=on_failure))
    set_id = run(work, first)
    assert alarms(work) == [("no_model", "open")]
    assert work.events("alarm")[0]["set"] == set_id
    assert {row.kind for row in work.deliveries()} == {"source"}
    again = make(report=Report(on_failure=on_failure))  # a model was installed, and a late object came
    again.here.clock.now = work.here.clock.now
    run(again, late)
    assert alarms(again) == [("no_model", "over")]
    assert {row.state for row in again.rows(tables.objects)} == {"analysed"}


def test_a_revision_that_fails_does_not_take_the_place_of_what_was_found(make: Make) -> None:
    first, late = lung()
    with pacs(make.folder / "pacs") as peer:
        work = make(destination(peer.port))
        run(work, first)
        work.receive(late)
        work.story.failed(work.closed_set(), 99, GIVEN_UP, "job")
        work.deliver()
    assert len(peer.reports()) == 1
    assert peer.reports()[0].get("PredecessorDocumentsSequence") is None
    assert alarms(work) == [("analysis_failed", "open")]


def test_a_set_that_waits_for_us_for_long_raises_an_alarm_until_it_is_answered(make: Make) -> None:
    first, _ = lung()
    work = make()
    work.receive(first)
    set_id = work.closed_set()
    unwell = StepFailed("OutOfSpace", "retry", "no_space")
    for attempt in range(8):
        work.story.failed(set_id, attempt, unwell, "analyse:x")
        assert len(alarms(work)) == (attempt >= 5)
    work.analyse(set_id)
    assert alarms(work) == [("no_space", "over")]


OFF = Models.model_validate({"lung-signs": {"enabled": False}})


class Untouchable(Cropper):
    """Fails when anything is decoded."""

    def crop(self, *_: Any) -> Any:
        raise AssertionError("something was decoded")


def test_a_task_that_is_switched_off_is_forwarded_and_nothing_else(make: Make) -> None:
    first, late = lung()
    with pacs(make.folder / "pacs") as peer:
        target = SiteTables(destinations=(destination(peer.port),))
        untouchable = Untouchable(children=1, memory_mib=1024, timeout_s=1, recycle_after=1)
        work = workplace(make.folder / "data", untouchable, [], site=target, switches=OFF)
        work.receive(first)
        set_id = work.closed_set()
        with pytest.raises(TaskDisabled):
            work.story.choose_model(set_id)
        work.story.failed(set_id, 0, StepFailed("TaskDisabled", "quarantine", "disabled"), "job")
        work.deliver()
    assert peer.kinds() == ["source"]
    assert [(row.state, row.reason) for row in work.rows(tables.objects)] == [("stored", "disabled")]
    assert work.events("set_ended") == [{"set": set_id, "reason": "disabled"}]
    assert alarms(work) == []
    before = work.everything()
    work.story.recover(lambda _: {})
    assert work.everything() == before
    on = make()
    on.here.clock.now = work.here.clock.now
    run(on, late)  # switched on again: the next object brings all of the study
    assert {(row.state, row.reason) for row in on.rows(tables.objects)} == {("analysed", None)}


def let_go(work: Workplace, *ids: int) -> release.Released:
    chosen = ids or tuple(row.id for row in work.rows(tables.deliveries))
    with write(work.here.engine) as connection:
        return release.release(
            connection, chosen, work.site.destinations, now=work.here.clock(), enqueue=work.here.jobs, by="me"
        )


def revive(work: Workplace) -> None:
    with write(work.here.engine) as connection:
        ids = [row.id for row in work.rows(tables.deliveries)]
        outbox.revive(connection, ids, now=work.here.clock(), enqueue=work.here.jobs)


def test_results_for_a_destination_that_holds_wait_for_a_person_and_originals_do_not(make: Make) -> None:
    with pacs(make.folder / "pacs") as peer:
        work = make(destination(peer.port, release="hold"))
        run(work, *lung())
        work.deliver()
        assert peer.kinds() == ["source", "source"]
        assert states(work) >= {("report", "held", "not_released"), ("capture", "held", "not_released")}
        assert [event["reason"] for event in work.events("held")] == ["not_released"]
        revive(work)
        assert work.deliver() == 0
        (report,) = work.deliveries("report")
        done = let_go(work, report.id)  # its captures go with it
        assert (len(done.ids), done.refused) == (3, {})
        work.deliver()
        assert let_go(work) == release.Released((), {})
    assert peer.kinds() == ["source", "source", "capture", "capture", "report"]
    assert [(event["by"], event["count"]) for event in work.events("released")] == [("me", 3)]


def test_a_demonstration_never_leaves_for_a_ward_whatever_is_tried(make: Make) -> None:
    with pacs(make.folder / "ward") as ward, pacs(make.folder / "toy") as toy:
        plain, marked = destination(ward.port, test=False), destination(ward.port, test=True)
        work = make(plain)
        run(work, *lung())
        held = {("source", "sent", None), ("capture", "held", "no_model"), ("report", "held", "no_model")}

        def tried() -> None:
            revive(work)
            assert set(let_go(work).refused.values()) <= {"no_model", "no_destination"}
            work.story.recover(lambda _: {})
            work.here.clock.forward(5000)
            work.deliver()

        for site in (SiteTables(destinations=(plain,)), SiteTables(), SiteTables(destinations=(plain,))):
            work.site = site
            tried()
        assert states(work) == held
        work.site = SiteTables(destinations=(marked,))
        work.story.recover(lambda _: {})
        work.deliver()
        assert states(work) == held  # a flag releases nothing by itself
        assert let_go(work).refused == {}
        work.site = SiteTables(destinations=(plain,))  # and it is taken back before anything was sent
        work.deliver()
        assert states(work) == held
        assert ward.kinds() == ["source", "source"]
        assert len(work.events("held")) == 1 + 3
        work.site = SiteTables(destinations=(destination(toy.port),))
        assert let_go(work).refused == {}
        work.deliver()
    assert ward.kinds() == ["source", "source"]
    assert toy.kinds() == ["capture", "capture", "report"]


def test_an_unsigned_card_is_a_demonstration_whatever_it_claims(make: Make, tmp_path: Path) -> None:
    claiming = tiny(tmp_path / "claiming", grade="clinical")
    assert (claiming.grade, replace(claiming, is_signed=True).grade) == ("demonstration", "clinical")
    work = make(destination(1, test=False), models=(claiming,))
    run(work, *lung())
    assert {row.reason for row in work.deliveries("report")} == {"no_model"}
    (content,) = contents(work)
    assert content.analysis.model.grade == "demonstration"  # and the report says so


def test_a_delivery_that_is_given_up_raises_an_alarm_until_it_has_arrived(make: Make) -> None:
    first, _ = lung()
    work = make(destination(1))
    work.receive(first)
    work.site = SiteTables()
    work.deliver()
    assert alarms(work) == [("no_destination", "open")]
    revive(work)
    work.deliver()
    assert alarms(work) == [("no_destination", "open")]  # still the same one
    with pacs(make.folder / "pacs") as peer:
        work.site = SiteTables(destinations=(destination(peer.port),))
        revive(work)
        work.deliver()
    assert alarms(work) == [("no_destination", "over")]
    assert [event["count"] for event in work.events("alarm_over")] == [1]
