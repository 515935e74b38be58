"""The courier against PACS on real sockets: order, forms, retries, ends, and where a toy's results may go."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydicom.dataset import Dataset

from dicom_ai.classify.catalogue import Installed
from dicom_ai.crop.cropper import Cropper
from dicom_ai.deliver.negotiate import REPORT_FORMS
from dicom_ai.engine import StepFailed
from dicom_ai.simulate.exam import Exam, Shot
from dicom_ai.site import Destination, SiteTables
from dicom_ai.store import outbox, tables
from dicom_ai.store.database import write
from tests.peers import free_port
from tests.workplace import SR_CLASSES, Workplace, destination, lung, pacs, small_cropper, tiny, workplace

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def cropper() -> Iterator[Cropper]:
    with small_cropper() as one:
        yield one


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return tiny(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return replace(tiny(tmp_path_factory.mktemp("validated"), grade="research"), is_signed=True)


@pytest.fixture(scope="module")
def study() -> Exam:
    return lung()


class Make:
    """Makes workplaces with the parts that cost time."""

    def __init__(self, folder: Path, cropper: Cropper, model: Installed) -> None:
        self.folder, self._cropper, self._model = folder, cropper, model

    def __call__(self, *destinations: Destination, model: Installed | None = None) -> Workplace:
        site = SiteTables(destinations=destinations)
        return workplace(self.folder / "data", self._cropper, [model or self._model], site=site)


@pytest.fixture
def make(tmp_path: Path, cropper: Cropper, model: Installed) -> Make:
    return Make(tmp_path, cropper, model)


def states(work: Workplace, name: str = "pacs") -> set[tuple[str, str, str | None]]:
    return {(row.kind, row.state, row.reason) for row in work.deliveries(name=name)}


def test_originals_go_first_and_the_report_last(make: Make, study: Exam) -> None:
    with pacs(make.folder / "pacs") as peer:
        work = make(destination(peer.port))
        work.answered(*study)
        assert work.deliver() == 5
    assert peer.kinds() == ["source", "source", "capture", "capture", "report"]
    assert states(work) == {(kind, "sent", None) for kind in ("source", "capture", "report")}
    (report,) = peer.reports()
    referenced = {
        item.ReferencedSOPInstanceUID
        for group in report.CurrentRequestedProcedureEvidenceSequence
        for series in group.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert referenced == {row["sop_uid"] for row in peer.rows[:-1]}


def test_originals_are_forwarded_although_the_analysis_fails(make: Make, study: Exam) -> None:
    with pacs(make.folder / "pacs") as peer:
        work = make(destination(peer.port))
        work.receive(*study)
        work.story.failed(work.closed_set(), 0, StepFailed("NonFiniteOutput", "quarantine", "non_finite"), "job")
        work.deliver()
    assert peer.kinds() == ["source", "source", "report"]  # the report says that and why there are no findings
    assert {row["sop_uid"] for row in peer.rows[:2]} == {ds.SOPInstanceUID for ds in study}


@pytest.mark.parametrize("forward", ["all", "none"])
@pytest.mark.parametrize("results", [True, False])
def test_a_destination_gets_what_it_is_there_for(make: Make, study: Exam, forward: str, results: bool) -> None:
    work = make(destination(1, forward=forward, results=results))
    work.answered(study.objects[0])
    assert {row.kind for row in work.deliveries()} == (
        ({"source"} if forward == "all" else set()) | ({"report", "capture"} if results else set())
    )


def test_results_of_a_demonstration_go_to_test_destinations_only(make: Make, study: Exam) -> None:
    with pacs(make.folder / "ward") as ward, pacs(make.folder / "toy") as toy:
        work = make(destination(ward.port, "ward", test=False), destination(toy.port, "toy", test=True))
        work.answered(*study)
        work.deliver("ward")
        work.deliver("toy")
    assert ward.kinds() == ["source", "source"]
    assert toy.kinds() == ["source", "source", "capture", "capture", "report"]
    assert states(work, "ward") == {
        ("source", "sent", None),
        ("capture", "held", "no_model"),
        ("report", "held", "no_model"),
    }
    assert [event["destination"] for event in work.events("held")] == ["ward"]
    before = len(ward.rows)
    work.here.clock.forward(7200)
    assert work.courier.deliver(work.rows(tables.studies)[0].id, "ward", 99) == 0
    assert len(ward.rows) == before


def test_results_of_a_validated_model_go_everywhere(make: Make, study: Exam, validated: Installed) -> None:
    with pacs(make.folder / "ward") as ward:
        work = make(destination(ward.port, test=False), model=validated)
        work.answered(study.objects[0])
        work.deliver()
    assert ward.kinds() == ["source", "capture", "report"]
    assert work.events("held") == []


@pytest.mark.parametrize("refused", [0, 1, 2])
def test_the_report_takes_the_best_form_that_is_accepted(make: Make, study: Exam, refused: int) -> None:
    with pacs(make.folder / "pacs", *[f"refuse:{one}" for one in SR_CLASSES[:refused]]) as peer:
        work = make(destination(peer.port))
        work.answered(study.objects[0])
        work.deliver()
    assert [ds.SOPClassUID for ds in peer.reports()] == [SR_CLASSES[refused]]


def test_a_destination_without_any_form_of_a_report_is_told_to_people(make: Make, study: Exam) -> None:
    with pacs(make.folder / "pacs", *[f"refuse:{one}" for one in REPORT_FORMS]) as peer:
        work = make(destination(peer.port))
        work.answered(*study)
        work.deliver()
    assert peer.kinds() == ["source", "source"]  # a capture is a Secondary Capture like the page of a report
    ended = {(row.kind, row.state, row.reason) for row in work.deliveries() if row.kind != "source"}
    assert ended == {("report", "dead", "class_refused"), ("capture", "dead", "class_refused")}
    told = [(event["kind"], event["reason"]) for event in work.events("undelivered")]
    assert sorted(told) == [("capture", "class_refused"), ("capture", "class_refused"), ("report", "class_refused")]


def test_a_retry_sends_the_stored_bytes(make: Make, study: Exam) -> None:
    with pacs(make.folder / "first", "status:A700") as unwell:
        work = make(destination(unwell.port))
        work.answered(*study)
        work.deliver()
    assert {row.state for row in work.deliveries()} == {"queued"}
    assert all(row.next_at > work.here.clock() for row in work.deliveries())
    with pacs(make.folder / "second") as well:
        work.site = SiteTables(destinations=(destination(well.port),))
        assert work.deliver() == 0  # not due yet
        work.here.clock.forward(11)
        work.deliver()
    sent = [sorted((row["sop_uid"], row["digest"]) for row in peer.rows) for peer in (unwell, well)]
    assert sent[0] == sent[1]
    assert len(sent[0]) == 5
    assert {(row.state, row.attempts) for row in work.deliveries()} == {("sent", 2)}


def test_a_report_is_built_once_per_form_for_all_destinations(make: Make, study: Exam) -> None:
    with (
        pacs(make.folder / "a") as a,
        pacs(make.folder / "b") as b,
        pacs(make.folder / "c", f"refuse:{SR_CLASSES[0]}") as c,
    ):
        work = make(*[destination(peer.port, name) for name, peer in {"a": a, "b": b, "c": c}.items()])
        work.answered(study.objects[0])
        work.deliver("a")
        work.deliver("c")
        work.here.files.path(work.rows(tables.objects)[0].digest).unlink()  # what a report is built from
        work.deliver("b")
    made = [row for row in work.rows(tables.results) if row.kind == "report"]
    assert {row.sop_class for row in made} == set(SR_CLASSES[:2])
    assert len(made) == len({row.uid for row in made}) == 2
    sent = [[row["digest"] for row in peer.rows if row["sop_class"] in SR_CLASSES] for peer in (a, b, c)]
    assert sent[0] == sent[1] != sent[2]
    assert [len(one) for one in sent] == [1, 1, 1]


def test_a_pacs_that_is_down_is_called_again_at_a_later_time(make: Make, study: Exam) -> None:
    work = make(destination(free_port()))
    work.answered(*study)
    before = {job.id for job in work.here.jobs.all()}
    work.deliver()
    rows = work.deliveries()
    assert {(row.state, row.attempts) for row in rows} == {("queued", 1)}
    waits = [(row.next_at - work.here.clock()).total_seconds() for row in rows]
    assert all(5 <= wait <= 10 for wait in waits)
    delays = [job.delay_s for job in work.here.jobs.all() if job.id not in before]
    assert min(delays) <= min(waits) + 0.25  # a job runs when the first is due
    assert work.events("undelivered") == []


def test_after_the_retention_time_a_delivery_is_dead_and_told(make: Make, study: Exam) -> None:
    work = make(destination(free_port()))
    work.receive(study.objects[0])
    for _ in range(8):
        work.deliver()
        work.here.clock.forward(600)
    (row,) = work.deliveries()
    assert (row.state, row.reason, row.next_at) == ("dead", "attempts_spent", None)
    assert [event["reason"] for event in work.events("undelivered")] == ["attempts_spent"]


def test_a_pacs_that_vanishes_in_the_middle_keeps_what_it_has_and_gets_the_rest(make: Make, study: Exam) -> None:
    with pacs(make.folder / "pacs") as peer:
        work = make(destination(peer.port))
        work.receive(*study)
        work.deliver()
    with pacs(make.folder / "slow", "slow:400", "vanish:0.7") as vanishing:
        work.site = SiteTables(destinations=(destination(vanishing.port),))
        work.analyse(work.closed_set())
        work.deliver()
    assert {row.state for row in work.deliveries() if row.kind == "source"} == {"sent"}
    assert "queued" in {row.state for row in work.deliveries()}
    with pacs(make.folder / "later") as later:
        work.site = SiteTables(destinations=(destination(later.port),))
        work.here.clock.forward(100)
        work.deliver()
    assert {row.state for row in work.deliveries()} == {"sent"}
    assert "source" not in later.kinds()


def test_a_destination_taken_out_of_the_tables_ends_its_deliveries_visibly(make: Make, study: Exam) -> None:
    work = make(destination(1))
    work.answered(*study)
    work.site = SiteTables()
    assert work.deliver() == 5
    assert {(row.state, row.reason) for row in work.deliveries()} == {("dead", "no_destination")}
    assert len(work.events("undelivered")) == 5


def test_a_lost_file_holds_up_no_other_delivery(make: Make, study: Exam) -> None:
    with pacs(make.folder / "pacs") as peer:
        work = make(destination(peer.port))
        work.receive(*study)
        lost, _ = work.rows(tables.objects)
        work.here.files.path(lost.digest).unlink()
        work.deliver()
    assert [row["sop_uid"] for row in peer.rows] == [one.SOPInstanceUID for one in study][1:]
    said = {row.object == lost.digest: (row.state, row.reason) for row in work.deliveries()}
    assert said == {True: ("queued", "store_failed"), False: ("sent", None)}


def test_a_report_that_cannot_be_built_ends_and_the_rest_goes_on(make: Make, study: Exam) -> None:
    with pacs(make.folder / "pacs") as peer:
        work = make(destination(peer.port))
        work.answered(*study)
        (capture, _) = [row for row in work.rows(tables.results) if row.kind == "capture"]
        work.here.files.path(capture.digest).unlink()
        work.deliver()
    assert peer.kinds() == ["source", "source", "capture"]
    assert ("report", "dead", "analysis_failed") in states(work)
    assert ("report", "analysis_failed") in {(event["kind"], event["reason"]) for event in work.events("undelivered")}


def test_an_unforeseen_failure_gives_every_waiting_delivery_a_next_time(make: Make, study: Exam) -> None:
    work = make(destination(1))
    work.answered(*study)
    key = work.rows(tables.studies)[0].id, "pacs"
    with write(work.here.engine) as connection:  # as far as the job came
        due = outbox.pick_up(connection, *key, generation=1, now=work.here.clock(), enqueue=work.here.jobs)
    before = {job.id for job in work.here.jobs.all()}
    work.story.deliver_again(*key, "OperationalError")
    times = [row.next_at for row in work.deliveries() if row.state == "queued"]
    assert len(times) == len(due) == 5
    (first, *_) = [job for job in work.here.jobs.all() if job.id not in before]
    assert 0 < first.delay_s <= 10
    assert all(time > work.here.clock() for time in times)


def predecessors(report: Dataset) -> list[str]:
    """The reports it names as the ones before it."""
    named = report.get("PredecessorDocumentsSequence") or []
    series = [one for item in named for one in item.ReferencedSeriesSequence]
    return [one.ReferencedSOPInstanceUID for group in series for one in group.ReferencedSOPSequence]


@pytest.mark.parametrize("between", ["nothing", "a revision that failed"])
def test_the_report_of_a_late_object_names_its_predecessor(make: Make, between: str) -> None:
    first, second, late = lung(*[Shot(frozenset({"b_lines"}))] * 3)
    with pacs(make.folder / "pacs") as peer:
        work = make(destination(peer.port))
        work.answered(first)
        work.deliver()
        if between != "nothing":
            work.receive(second)
            work.story.failed(work.closed_set(), 0, StepFailed("NonFiniteOutput", "quarantine", "non_finite"), "job")
        work.answered(late)
        work.deliver()
    earlier, later = peer.reports()
    assert predecessors(earlier) == []
    assert predecessors(later) == [earlier.SOPInstanceUID]
