"""Verdicts that arrive: rows of the ledger, once; what is none leaves none; nothing of them is ever analysed."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
import torch
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE

from dicom_ai.engine import StepFailed
from dicom_ai.errors import After
from dicom_ai.instance import STRUCTURED_REPORTS
from dicom_ai.receive.acceptor import PynetdicomAcceptor
from dicom_ai.receive.tables import accepted
from dicom_ai.report import code, find
from dicom_ai.report.assessed import Assessment, Missed
from dicom_ai.settings import Receive
from dicom_ai.store import tables, verdicts
from dicom_ai.store.committer import Committer
from dicom_ai.store.database import read, write
from tests.reported import READER, Reported

torch.set_num_threads(1)
SQUARE = ((300.0, 200.0), (340.0, 200.0), (340.0, 240.0), (300.0, 240.0), (300.0, 200.0))


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


def of_another_study(document: Dataset) -> None:
    document.StudyInstanceUID = "1.2.3"


def of_another_patient(document: Dataset) -> None:
    document.PatientID = "SOMEBODY-ELSE"


def about_an_unknown_report(document: Dataset) -> None:
    series = document.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3.4"


def without_a_time(document: Dataset) -> None:
    del document.VerifyingObserverSequence[0].VerificationDateTime


def with_a_strange_word(document: Dataset) -> None:
    (group,) = find.groups(document)
    find.below(group, code.AI_ASSESSMENT)[0].ConceptCodeSequence[0].CodeValue = "PERHAPS"


def without_an_assessment(document: Dataset) -> None:
    (group,) = find.groups(document)
    group.ContentSequence = [item for item in group.ContentSequence if not find.is_called(item, code.AI_ASSESSMENT)]


def not_verified(document: Dataset) -> None:
    document.VerificationFlag = "UNVERIFIED"


def test_a_document_that_cannot_be_believed_makes_no_row(reported: Reported) -> None:
    cases = {
        of_another_study: "other_study",
        of_another_patient: "other_patient",
        about_an_unknown_report: "unknown_report",
        without_a_time: "unreadable",
        with_a_strange_word: "unreadable",
        without_an_assessment: "empty",
        not_verified: "other",
    }
    outcomes = {}
    for day, change in enumerate(cases, 10):
        reader = dataclasses.replace(READER, time=f"2026-01-{day}T08:15:00")
        document = reported.verdict(Assessment(reported.uids()[0], "ACCEPTED"), reader=reader)
        change(document)
        (outcomes[change],) = reported.arrive(document)
    assert outcomes == cases
    assert reported.rows() == []
    refused = [event["outcome"] for event in reported.work.events("verdict_refused")]
    assert refused == [outcome for outcome in cases.values() if outcome != "other"]


def test_over_a_socket_to_a_receiver_that_forwards_nothing_a_verdict_comes_in_once(reported: Reported) -> None:
    work = reported.work
    committer = Committer(work.here.keeper, wait_ms=0, batch=32)
    acceptor = PynetdicomAcceptor(
        Receive(port=0), lambda: accepted(False), authorise=lambda *_: True, keep=committer.keep, notices=committer,
        spool=work.here.files.new_spool,
    )  # fmt: skip
    document = reported.verdict(Assessment(reported.uids()[0], "REJECTED"))
    port = acceptor.start()
    try:
        for _ in range(2):
            ae = AE("READER")
            ae.add_requested_context(document.SOPClassUID, ExplicitVRLittleEndian)
            association = ae.associate("127.0.0.1", port, ae_title="DICOM_AI")
            assert association.is_established
            assert association.send_c_store(document).Status == 0
            association.release()
    finally:
        acceptor.drain(5.0)
        committer.stop()
    jobs = [job for job in work.here.jobs.all() if job.workflow == "verdict"]
    assert [work.story.read_verdict(job.arguments[0]) for job in jobs] == ["verdict"]
    assert [row.verdict for row in reported.rows()] == ["REJECTED"]


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
