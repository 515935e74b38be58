"""Verdicts collected from an archive: once, only what is true of our patient, study and images, and in bounded time."""

import dataclasses
import json
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from pathlib import Path

import pytest
import torch
from pydicom.dataset import Dataset

from dicom_ai.archive import association, query
from dicom_ai.archive.association import FIND, GET, MOVE
from dicom_ai.commands import collect as collecting
from dicom_ai.errors import SettingsError
from dicom_ai.report import find
from dicom_ai.report.assessed import Assessment, Missed
from dicom_ai.report.verdict import predecessor
from dicom_ai.settings import Deliver
from dicom_ai.site import SiteTables
from dicom_ai.store import commit, site_rows, tables
from dicom_ai.store.database import write
from tests.archives import Archive, archive
from tests.reported import READER, Reported
from tests.unit.test_verdicts import SQUARE, not_verified, of_another_patient, of_another_study, without_an_assessment
from tests.workplace import destination

torch.set_num_threads(1)
pytestmark = pytest.mark.usefixtures("prepared")
PATIENT = Deliver(connect_timeout_s=20, response_timeout_s=30)
IMPATIENT = Deliver(connect_timeout_s=20, response_timeout_s=5)  # what it waits after it broke off itself


def collect(
    one: Reported,
    of: Archive | int,
    *,
    name: str = "all",
    days: tuple[date | None, date | None] = (None, None),
    deliver: Deliver = PATIENT,
) -> int:
    """Run the command against this archive, known by the name of the destination that has the report."""
    port = of if isinstance(of, int) else of.port
    with write(one.work.here.engine) as connection:
        at = SiteTables(destinations=(destination(port),))
        site_rows.apply(connection, at, by="test", now=one.work.here.clock())
    settings = one.work.settings.model_copy(update={"deliver": deliver})
    return collecting.collect(settings, days, name, clock=one.work.here.clock, as_json=True)


def rows(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, str], dict[str, object]]:
    """Outcomes by document (or "" for those of none), and the row of the archive."""
    *documents, total = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line[0] == "{"]
    return {row["document"] or "": row["outcome"] for row in documents}, total


def accepted(one: Reported, day: int = 3, **changes: str) -> Dataset:
    reader = dataclasses.replace(READER, time=f"2026-01-{day:02}T08:15:00", **changes)
    return one.verdict(Assessment(one.uids()[0], "ACCEPTED"), reader=reader)


def test_a_verdict_of_the_archive_becomes_rows_once(reported: Reported, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = reported.uids()[:2]
    image, frame = find.source(find.region(find.groups(reported.report)[0]) or Dataset())
    missed = (Missed(image, frame, "b_lines", SQUARE),)
    document = reported.verdict(Assessment(first, "REJECTED"), Assessment(second, "MODIFIED", "b_lines"), missed=missed)
    with archive(reported.report, document) as there:
        assert collect(reported, there) == 0
        documents, total = rows(capsys)
        assert documents == {document.SOPInstanceUID: "verdict"}
        assert (total["studies"], total["count"], total["trouble"]) == (1, 3, None)
        assert total["outcomes"] == {"other": 1, "verdict": 1}, "our own report is no verdict"
        before = reported.work.everything()
        assert collect(reported, there) == 0
        assert there.given == [document.SOPInstanceUID], "neither our own report nor what is known is fetched"
    assert rows(capsys)[1]["outcomes"] == {"other": 1, "known": 1}
    after = reported.work.everything()
    assert {name for name in before if before[name] != after[name]} <= {"sites"}
    assert sorted(row.verdict for row in reported.rows()) == ["MISSED", "MODIFIED", "REJECTED"]
    assert len(reported.in_force()) == 3
    assert reported.arrive(document) == ["verdict"], "and the same document from a sender changes nothing"
    assert len(reported.rows()) == 3
    assert list((reported.work.here.data / "spool").glob("*.part")) == []


def test_the_document_stays_in_the_store(reported: Reported) -> None:
    with archive(accepted(reported)) as there:
        assert collect(reported, there) == 0
    (row,) = reported.rows()
    assert reported.work.here.files.path(row.object).is_file()
    assert commit.known(reported.work.here.engine, [row.object, "0" * 64]) == {row.object}


def test_the_last_verified_document_wins_in_whatever_order_they_lie(reported: Reported) -> None:
    early, late = accepted(reported, 3), accepted(reported, 4)
    late = reported.verdict(
        Assessment(reported.uids()[1], "REJECTED"), reader=dataclasses.replace(READER, time="2026-01-04T08:15:00")
    )
    with archive(late, early) as there:
        assert collect(reported, there) == 0
    assert len(reported.rows()) == 2
    assert [row["verdict"] for row in reported.in_force()] == ["REJECTED"]


def test_a_correction_that_names_the_verdict_before_it_counts(
    reported: Reported, capsys: pytest.CaptureFixture[str]
) -> None:
    first = accepted(reported, 3)
    second = reported.verdict(
        Assessment(reported.uids()[0], "REJECTED"), reader=dataclasses.replace(READER, time="2026-01-05T08:15:00")
    )
    second.PredecessorDocumentsSequence = [predecessor(first)]
    with archive(second, first) as there:
        assert collect(reported, there) == 0
    assert rows(capsys)[1]["outcomes"] == {"verdict": 2}
    assert [row["verdict"] for row in reported.in_force()] == ["REJECTED"]


def of_another_instance(document: Dataset) -> None:
    document.SOPInstanceUID = "1.2.3.99"


def beside_the_picture(document: Dataset) -> None:
    (group,) = find.groups(document)
    region = find.region(group)
    assert region is not None
    region.GraphicData = [value + 5000 for value in region.GraphicData]


def on_another_image(document: Dataset) -> None:
    beside_nothing = find.region(find.groups(document)[0])
    assert beside_nothing is not None
    beside_nothing.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3.98"


LIES: dict[Callable[[Dataset], None], str] = {
    of_another_study: "other_study",
    of_another_patient: "other_patient",
    of_another_instance: "sop_mismatch",
    without_an_assessment: "empty",
}


def test_a_document_that_is_not_what_it_was_listed_as_makes_no_row(
    reported: Reported, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = {change: accepted(reported, day) for day, change in enumerate([*LIES, not_verified], 3)}
    bent = {}
    for change, document in documents.items():
        bent[str(document.SOPInstanceUID)] = deepcopy(document)
        change(bent[str(document.SOPInstanceUID)])
    with archive(*documents.values(), give=lambda found: [bent[str(ds.SOPInstanceUID)] for ds in found]) as there:
        assert collect(reported, there) == 1
    told, total = rows(capsys)
    assert told == {documents[change].SOPInstanceUID: outcome for change, outcome in LIES.items()}
    assert total["outcomes"]["other"] == 1, "what nobody verified is no label, and no failure"  # type: ignore[index]
    assert reported.rows() == []


@pytest.mark.parametrize("change", [beside_the_picture, on_another_image])
def test_a_label_that_lies_on_no_image_of_the_study_makes_no_row(
    change: Callable[[Dataset], None], reported: Reported, capsys: pytest.CaptureFixture[str]
) -> None:
    image, frame = find.source(find.region(find.groups(reported.report)[0]) or Dataset())
    document = reported.verdict(missed=(Missed(image, frame, "b_lines", SQUARE),))
    change(document)
    with archive(document) as there:
        assert collect(reported, there) == 1
    assert rows(capsys)[0] == {document.SOPInstanceUID: "other_image"}
    assert reported.rows() == []


def test_a_document_cut_short_on_its_way_makes_no_row(
    reported: Reported, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pynetdicom.association as theirs

    document = accepted(reported)
    whole = theirs.encode
    monkeypatch.setattr(theirs, "encode", lambda ds, *args: _cut(whole(ds, *args), ds))
    with archive(document) as there:
        assert collect(reported, there) == 1
    assert rows(capsys)[0] == {document.SOPInstanceUID: "unreadable"}
    assert reported.rows() == []


def _cut(content: bytes | None, ds: Dataset) -> bytes | None:
    return content[:-700] if content and "ContentSequence" in ds else content


@pytest.mark.parametrize(
    ("keyword", "value", "word"),
    [
        ("StudyInstanceUID", "1.2.3", "other_study"),
        ("PatientID", "SOMEBODY-ELSE", "other_patient"),
        ("Modality", "CT", "other_modality"),
        ("SeriesInstanceUID", "not a uid", "no_uid"),
        ("SOPInstanceUID", "1.2.3\\1.2.4", "no_uid"),
        ("QueryRetrieveLevel", "PATIENT", "other_level"),
    ],
)
def test_an_answer_outside_of_what_was_asked_is_refused_and_not_followed(
    keyword: str, value: str, word: str, reported: Reported, capsys: pytest.CaptureFixture[str]
) -> None:
    def bent(answers: list[Dataset]) -> list[Dataset]:
        for answer in answers:
            if keyword in answer:
                answer[keyword]._value = value
        return answers

    with archive(accepted(reported), say=bent) as there:
        assert collect(reported, there) == 1
    assert rows(capsys)[0] == {"": word}
    assert there.given == []
    assert reported.rows() == []


def test_one_wrong_answer_does_not_hide_the_right_one(reported: Reported, capsys: pytest.CaptureFixture[str]) -> None:
    document = accepted(reported)

    def more(answers: list[Dataset]) -> list[Dataset]:
        extra = [deepcopy(answer) for answer in answers]
        for answer in extra:
            answer.StudyInstanceUID = "1.2.3"
        return [*extra, *answers, *answers]

    with archive(document, say=more) as there:
        assert collect(reported, there) == 1
    told, total = rows(capsys)
    assert told[document.SOPInstanceUID] == "verdict"
    assert total["outcomes"] == {"verdict": 1, "other_study": 3, "repeated": 2}
    assert len(reported.rows()) == 1


def test_an_archive_that_sends_what_was_not_asked_for_is_not_believed(
    reported: Reported, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted, other = accepted(reported, 3), accepted(reported, 4)
    for sent in ([other], [wanted, other], [wanted, wanted]):
        with archive(wanted, give=lambda _, sent=sent: sent) as there:  # type: ignore[misc]
            assert collect(reported, there) == 1
        assert rows(capsys)[0] == {wanted.SOPInstanceUID: "sop_mismatch"}
        assert reported.rows() == []
    with archive(wanted, give=lambda _: []) as there:
        assert collect(reported, there) == 1
    assert rows(capsys)[0] == {"": "no_answer"}


def test_an_archive_that_only_sends_is_asked_to_send_to_our_receiver(
    reported: Reported, capsys: pytest.CaptureFixture[str]
) -> None:
    document = accepted(reported)
    with archive(document, models=(FIND, MOVE)) as there:
        assert collect(reported, there) == 1, "this one knows no such receiver"
        assert there.moved == [("DICOM_AI", document.SOPInstanceUID)]
    assert rows(capsys)[0] == {"": "no_answer"}


def test_an_archive_that_takes_no_queries_or_is_away_is_told_of(
    reported: Reported, capsys: pytest.CaptureFixture[str]
) -> None:
    with archive(accepted(reported), models=(GET,)) as there:
        assert collect(reported, there) == 1
        assert rows(capsys)[0] == {"": "no_answer"}
        port = there.port
    assert collect(reported, port) == 1
    told, total = rows(capsys)
    assert told == {}
    assert "no TCP connection" in str(total["trouble"])
    with archive(models=(FIND, GET)) as there:
        assert collect(reported, there) == 0
    assert rows(capsys)[0] == {"": "not_there"}


def test_an_archive_without_end_is_left(
    reported: Reported, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = accepted(reported)
    monkeypatch.setattr(query, "MOST_ANSWERS", 50)
    with archive(document, say=lambda answers: answers * 51) as there:
        assert collect(reported, there) == 1
    assert rows(capsys)[0] == {"": "broken_off"}
    large = deepcopy(document)
    large.TextValue = "x" * 100_000
    with monkeypatch.context() as patched, archive(document, give=lambda _: [large]) as there:
        patched.setattr(association, "LONGEST_ANSWER", 20_000)
        assert collect(reported, there, deliver=IMPATIENT) == 1
    assert rows(capsys)[0] == {"": "broken_off"}
    assert reported.rows() == []
    with archive(document, say=lambda answers: answers * 50) as there:
        collect(reported, there)
    assert rows(capsys)[0] == {"": "repeated", document.SOPInstanceUID: "verdict"}, "as many as may be are read"


def test_only_reports_of_the_days_asked_for_are_looked_after(
    reported: Reported, capsys: pytest.CaptureFixture[str]
) -> None:
    made = reported.work.rows(tables.analyses)[0].created_at.date()
    with archive(accepted(reported)) as there:
        for days in ((date(2099, 1, 1), None), (None, date(2000, 1, 1))):
            assert collect(reported, there, days=days) == 0
            assert rows(capsys)[1]["studies"] == 0
        assert there.asked == []
        assert collect(reported, there, days=(made, made)) == 0
        assert rows(capsys)[1]["count"] == 1
        with pytest.raises(SettingsError, match="earlier day"):
            collect(reported, there, days=(date(2026, 1, 2), date(2026, 1, 1)))
        with pytest.raises(SettingsError, match="there are: pacs"):
            collect(reported, there, name="nobody")


def test_a_person_is_told_in_a_table_without_the_patient(
    reported: Reported, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bad = accepted(reported, 5)
    of_another_patient(bad)
    with archive(accepted(reported), bad) as there:
        collect(reported, there)
        capsys.readouterr()
        settings = reported.work.settings
        assert collecting.collect(settings, (None, None), "pacs", clock=reported.work.here.clock, as_json=False) == 1
    out = capsys.readouterr().out
    assert "pacs: 1 studies looked through; 1 known, 1 other_patient; 0 new findings" in out
    assert "SOMEBODY" not in out
    assert str(reported.report.PatientID) not in out
    assert READER.name not in out
