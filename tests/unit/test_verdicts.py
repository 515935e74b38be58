"""Verdicts that arrive: rows of the ledger, once; what is none leaves none; nothing of them is ever analysed."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from pydicom.dataset import Dataset

from dicom_ai.classify.catalogue import Installed
from dicom_ai.crop.cropper import Cropper
from dicom_ai.engine import StepFailed
from dicom_ai.errors import After
from dicom_ai.instance import STRUCTURED_REPORTS
from dicom_ai.report import code, find
from dicom_ai.report.assessed import Assessment, Missed
from dicom_ai.report.verdict import Reader, verdict_report
from dicom_ai.site import SiteTables
from dicom_ai.store import tables, verdicts
from dicom_ai.store.database import read, write
from tests.workplace import SITE, Workplace, destination, lung, pacs, small_cropper, tiny, workplace

torch.set_num_threads(1)
READER = Reader("Muster^Doktor", "Invented Hospital", "2026-01-03T08:15:00")
SQUARE = ((300.0, 200.0), (340.0, 200.0), (340.0, 240.0), (300.0, 240.0), (300.0, 200.0))


@pytest.fixture(scope="module")
def cropper() -> Iterator[Cropper]:
    with small_cropper() as one:
        yield one


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return tiny(tmp_path_factory.mktemp("model"))


@dataclasses.dataclass
class Reported:
    """A study whose report has reached a PACS."""

    work: Workplace
    key: str
    report: Dataset

    def uids(self) -> list[str]:
        return [find.tracking_uid(group) for group in find.groups(self.report)]

    def verdict(self, *said: Assessment, missed: tuple[Missed, ...] = (), reader: Reader = READER) -> Dataset:
        return verdict_report(self.report, said, missed, reader, namespace=SITE.namespace)

    def arrive(self, *documents: Dataset) -> list[str]:
        """Receive documents and run the jobs that came of it; what each read."""
        before = {job.id for job in self.work.here.jobs.all()}
        self.work.receive(*documents)
        jobs = [job for job in self.work.here.jobs.all() if job.workflow == "verdict" and job.id not in before]
        return [self.work.story.read_verdict(job.arguments[0]) for job in jobs]

    def rows(self) -> list[Any]:
        return list(self.work.rows(tables.verdicts))

    def in_force(self) -> list[dict[str, Any]]:
        with read(self.work.here.engine) as connection:
            return verdicts.rows_in_force(connection, with_identity=False)


@pytest.fixture
def reported(tmp_path: Path, cropper: Cropper, model: Installed) -> Iterator[Reported]:
    with pacs(tmp_path / "pacs") as received:
        site = SiteTables(destinations=(destination(received.port),))
        work = workplace(tmp_path / "data", cropper, [model], site=site)
        key = work.answered(*lung())
        work.here.clock.forward(5)
        work.deliver()
        (report,) = received.reports()
        yield Reported(work, key, report)


def test_a_verdict_becomes_rows_once_however_often_it_comes(reported: Reported) -> None:
    first, second = reported.uids()[:2]
    image, frame = find.source(find.region(find.groups(reported.report)[0]) or Dataset())
    document = reported.verdict(
        Assessment(first, "REJECTED", reason="typed text"),
        Assessment(second, "MODIFIED", "b_lines", SQUARE),
        missed=(Missed(image, frame, "b_lines", SQUARE),),
    )
    assert reported.arrive(document) == ["verdict"]
    rows = {row.tracking_uid: row for row in reported.rows()}
    assert len(rows) == 3
    rejected, modified = rows.pop(first), rows.pop(second)
    (missed,) = rows.values()
    assert [row.verdict for row in (rejected, modified, missed)] == ["REJECTED", "MODIFIED", "MISSED"]
    assert {row.analysis for row in (rejected, modified, missed)} == {reported.key}
    device = find.text(reported.report, code.DEVICE_OBSERVER_UID, "UID")
    for row in (rejected, modified):
        assert row._mapping["class"] == "a_lines"
        assert (row.threshold, row.device_uid) == (0.01, device)
        assert 0.01 <= row.probability <= 1
    assert (rejected.reader_class, rejected.region) == (None, None)
    assert (modified.reader_class, modified.region) == ("b_lines", [list(point) for point in SQUARE])
    assert (missed.image, missed.frame, missed.reader_class) == (image, frame, "b_lines")
    assert missed.verified_at == datetime(2026, 1, 3, 8, 15, tzinfo=UTC), "the site's zone is UTC here"
    before = reported.work.everything()
    assert reported.arrive(document) == [], "the same object again makes no work"
    reported.work.story.read_verdict(rejected.object)
    assert reported.work.everything()["verdicts"] == before["verdicts"]
    assert reported.work.events("verdict") == [
        {"object": rejected.object, "study": rejected.study, "analysis": reported.key, "count": 3}
    ]


def test_the_name_of_a_reader_and_what_they_typed_are_in_one_table_or_none(reported: Reported) -> None:
    reported.arrive(reported.verdict(Assessment(reported.uids()[0], "REJECTED", reason="typed text")))
    for name, rows in reported.work.everything().items():
        assert name == "readers" or not any("Doktor" in str(row) for row in rows), name
        assert not any("typed text" in str(row) for row in rows), name
    with read(reported.work.here.engine) as connection:
        (shown,) = verdicts.rows_in_force(connection, with_identity=True)
    assert shown["reader"] == {"id": 1, "name": READER.name, "organisation": READER.organisation}
    assert reported.in_force()[0]["reader"] == 1


def test_a_verdict_is_forwarded_and_never_analysed(reported: Reported) -> None:
    n_sets, n_members = len(reported.work.rows(tables.sets)), len(reported.work.rows(tables.members))
    reported.arrive(reported.report, reported.verdict(Assessment(reported.uids()[0], "ACCEPTED")))
    assert (len(reported.work.rows(tables.sets)), len(reported.work.rows(tables.members))) == (n_sets, n_members)
    ours = [row for row in reported.work.rows(tables.objects) if row.sop_class in STRUCTURED_REPORTS]
    assert [(row.state, row.reason) for row in ours] == [("forwarded-only", "not_ultrasound")] * 2
    queued = {row.object for row in reported.work.deliveries("source") if row.state == "queued"}
    assert queued == {row.digest for row in ours}


def test_our_own_report_come_back_is_no_verdict(reported: Reported) -> None:
    assert reported.arrive(reported.report) == ["other"]
    assert reported.rows() == []
    assert reported.work.events("verdict_refused") == []


@pytest.mark.parametrize(
    ("keyword", "value", "outcome"),
    [
        ("StudyInstanceUID", "1.2.3", "other_study"),
        ("PatientID", "SOMEBODY-ELSE", "other_patient"),
        ("PredecessorDocumentsSequence", None, "unknown_report"),
        ("VerifyingObserverSequence", None, "unreadable"),
        ("ContentSequence", None, "unreadable"),
        ("VerificationFlag", "UNVERIFIED", "other"),
    ],
)
def test_a_document_that_cannot_be_believed_makes_no_row(
    reported: Reported, keyword: str, value: str | None, outcome: str
) -> None:
    document = reported.verdict(Assessment(reported.uids()[0], "ACCEPTED"))
    if value is not None:
        setattr(document, keyword, value)
    elif keyword == "PredecessorDocumentsSequence":
        series = document.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
        series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3.4"
    elif keyword == "VerifyingObserverSequence":
        del document.VerifyingObserverSequence[0].VerificationDateTime
    else:
        (group,) = find.groups(document)
        group.ContentSequence = [item for item in group.ContentSequence if item.ValueType != "SCOORD"]
    assert reported.arrive(document) == [outcome]
    assert reported.rows() == []
    refused = reported.work.events("verdict_refused")
    assert [event["outcome"] for event in refused] == ([] if outcome == "other" else [outcome])


def test_the_last_verified_document_is_in_force_whole(reported: Reported) -> None:
    first, second = reported.uids()[:2]
    later = dataclasses.replace(READER, time="2026-01-04T08:15:00")
    last = reported.verdict(Assessment(second, "REJECTED"), reader=later)
    earlier = reported.verdict(Assessment(first, "ACCEPTED"), Assessment(second, "ACCEPTED"))
    assert reported.arrive(last, earlier) == ["verdict", "verdict"]
    assert len(reported.rows()) == 3, "both are kept"
    assert [(row["tracking_uid"], row["verdict"]) for row in reported.in_force()] == [(second, "REJECTED")]


def test_a_verdict_without_a_job_is_found_and_one_that_kills_its_reader_is_not_read(reported: Reported) -> None:
    document = reported.verdict(Assessment(reported.uids()[0], "ACCEPTED"))
    other = reported.verdict(Assessment(reported.uids()[1], "ACCEPTED"))
    reported.work.receive(document, other)
    found = {row.digest for row in reported.work.rows(tables.objects) if row.sop_class in STRUCTURED_REPORTS}
    deadly, lost = sorted(found)
    poison = {"verdict": {"job": deadly}}
    reported.work.story.recover(lambda name: {}, lambda name: poison.get(name, {}))
    again = [job for job in reported.work.here.jobs.all() if job.workflow == "verdict" and ":found-" in job.id]
    assert [job.arguments for job in again] == [(lost,)]
    reported.work.story.recover(lambda name: {"j": lost} if name == "verdict" else {})
    assert len([job for job in reported.work.here.jobs.all() if ":found-" in job.id and job.workflow == "verdict"]) == 1
    assert {row.digest: row.outcome for row in reported.work.rows(tables.readings)} == {deadly: "unreadable"}


def test_a_file_that_cannot_be_read_for_now_is_not_given_up(reported: Reported) -> None:
    document = reported.verdict(Assessment(reported.uids()[0], "ACCEPTED"))
    reported.work.receive(document)
    (job,) = [job for job in reported.work.here.jobs.all() if job.workflow == "verdict"]
    path = reported.work.here.files.path(job.arguments[0])
    path.rename(path.with_suffix(".away"))
    with pytest.raises(OSError, match="No such file"):
        reported.work.story.read_verdict(job.arguments[0])
    reported.work.story.verdict_again(job.arguments[0], StepFailed("OSError", After.RETRY.value, None).error)
    assert reported.work.rows(tables.readings) == []
    path.with_suffix(".away").rename(path)
    assert reported.work.story.read_verdict(job.arguments[0]) == "verdict"


def test_a_document_set_aside_for_another_of_its_uid_is_not_in_force(reported: Reported) -> None:
    reported.arrive(reported.verdict(Assessment(reported.uids()[0], "ACCEPTED")))
    assert len(reported.in_force()) == 1
    (row,) = reported.rows()
    with write(reported.work.here.engine) as connection:
        aside = tables.objects.update().where(tables.objects.c.digest == row.object)
        connection.execute(aside.values(state="replaced", reason="replaced"))
    assert reported.in_force() == []


def test_times_of_another_zone_are_kept_in_utc(reported: Reported) -> None:
    reader = dataclasses.replace(READER, time="2026-01-03T08:15:00")
    document = reported.verdict(Assessment(reported.uids()[0], "ACCEPTED"), reader=reader)
    document.VerifyingObserverSequence[0].VerificationDateTime = "20260103081500.25+0800"
    reported.arrive(document)
    assert reported.rows()[0].verified_at == datetime(2026, 1, 3, 8, 15, tzinfo=UTC) - timedelta(hours=8)
