"""The commands `verdict`, `verdicts` and `recall` over a real ledger and engine, and what reaches the PACS."""

import json
from io import BytesIO
from pathlib import Path

import pytest
import torch
from pydicom import dcmread
from pydicom.dataset import Dataset
from sqlalchemy import select

from dicom_ai.commands import recall as recalls
from dicom_ai.commands import verdict as verdicts
from dicom_ai.commands.said import Said
from dicom_ai.errors import SettingsError
from dicom_ai.report.header import part10
from dicom_ai.report.verdict_rows import is_verdict
from dicom_ai.store import outbox, rejections, tables
from dicom_ai.store.database import read, write
from dicom_ai.store.outbox import Outcome
from dicom_ai.store.recalls import arrived_all_the_same, fault_of
from tests.builders_report import named
from tests.reported import Reported

torch.set_num_threads(1)
pytestmark = pytest.mark.usefixtures("prepared")
WHY = "The images are of another patient."


def deliver(one: Reported) -> None:
    """What the service would do with the newest job of the outbox."""
    (row,) = one.work.rows(tables.outbox)
    one.work.story.deliver(row.study, row.destination, row.generation)


def at_the_pacs(one: Reported, uid: str) -> Dataset:
    (content,) = one.peer.files(uid)
    return dcmread(BytesIO(content))


def give(one: Reported, said: Said, *, out: Path | None = None, send: bool = False, which: str = "") -> int:
    uid = which or str(one.report.SOPInstanceUID)
    return verdicts.verdict(uid, said, one.work.settings, out=out, send=send, clock=one.work.here.clock)


def take_back(one: Reported, target: str, *, as_json: bool = False) -> int:
    return recalls.recall(
        target, one.work.settings, by="Muster^Erika", why=WHY, clock=one.work.here.clock, as_json=as_json
    )


def test_a_verdict_goes_where_the_report_is_and_into_the_ledger(
    reported: Reported, capsys: pytest.CaptureFixture[str]
) -> None:
    said = Said(accept=["1"], modify=["2=b_lines"], by="Muster^Erika", organisation="Invented Hospital")
    assert give(reported, said, send=True) == 0
    assert capsys.readouterr().out == "sent to pacs\n"
    (delivery,) = reported.work.deliveries("verdict")
    deliver(reported)
    document = at_the_pacs(reported, delivery.result)
    assert is_verdict(document)
    assert [(row.verdict, row.reader_class) for row in sorted(reported.rows(), key=lambda row: row.verdict)] == [
        ("ACCEPTED", None),
        ("MODIFIED", "b_lines"),
    ]
    assert reported.arrive(document) == ["verdict"], "the PACS sends it back; it was read when it was made"
    assert len(reported.rows()) == 2
    assert verdicts.list_verdicts(reported.work.settings, with_identity=False, as_json=True) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert sorted(row["verdict"] for row in shown) == ["ACCEPTED", "MODIFIED"]
    assert {row["reader"] for row in shown} == {1}
    verdicts.list_verdicts(reported.work.settings, with_identity=False, as_json=False)
    assert "Muster" not in capsys.readouterr().out
    verdicts.list_verdicts(reported.work.settings, with_identity=True, as_json=False)
    assert "Muster^Erika" in capsys.readouterr().out


def test_a_verdict_on_a_file_is_written_to_a_file(reported: Reported, tmp_path: Path) -> None:
    path, out = tmp_path / "report.dcm", tmp_path / "verdict.dcm"
    path.write_bytes(part10(reported.report))
    said = Said(reject=["1"], by="Muster^Erika", organisation="Invented Hospital")
    assert give(reported, said, out=out, which=str(path)) == 0
    assert is_verdict(dcmread(out))
    assert reported.rows() == []
    assert reported.work.deliveries("verdict") == []


def test_without_a_word_the_findings_are_listed(reported: Reported, capsys: pytest.CaptureFixture[str]) -> None:
    assert give(reported, Said()) == 0
    text = capsys.readouterr().out
    assert "Image 1" in text
    assert "Probability of A-lines" in text


def test_what_cannot_be_meant_is_refused_and_nothing_is_written(reported: Reported) -> None:
    before = reported.work.everything()
    who = {"by": "A^B", "organisation": "X"}
    for said, which in (
        (Said(accept=["1"], organisation="X"), ""),
        (Said(accept=["1"], by="A^B"), ""),
        (Said(accept=["99"], **who), ""),
        (Said(accept=["1"], reject=["1"], **who), ""),
        (Said(modify=["1="], **who), ""),
        (Said(modify=["1=no_class"], **who), ""),
        (Said(accept=["1"], **who), "1.2.3"),
    ):
        with pytest.raises(SettingsError):
            give(reported, said, send=True, which=which)
        with pytest.raises(SettingsError, match=r"where the verdict goes|no such file"):
            give(reported, said, which=which)
    assert reported.work.everything() == before


def test_a_recalled_result_is_followed_by_a_note_where_it_arrived(
    reported: Reported, capsys: pytest.CaptureFixture[str]
) -> None:
    study = reported.work.rows(tables.studies)[0].id
    assert take_back(reported, study[:6], as_json=True) == 0
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (row["destinations"], row["stopped"]) == (["pacs"], 0)
    (delivery,) = reported.work.deliveries("recall")
    deliver(reported)
    note = at_the_pacs(reported, delivery.result)
    assert note.ConceptNameCodeSequence[0].CodeValue == "113037"
    assert WHY in named(note, "113012")[0].TextValue
    arrived = {one.result for kind in ("report", "capture") for one in reported.work.deliveries(kind)}
    references = [item for item in note.ContentSequence if "ReferencedSOPSequence" in item]
    assert {one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for one in references} == arrived
    (done,) = reported.work.deliveries("recall")
    assert done.state in outbox.ARRIVED
    with read(reported.work.here.engine) as connection:
        assert fault_of(connection, reported.work.rows(tables.sets)[0].id) == "recalled"


def test_a_report_is_recalled_by_its_uid_as_well(reported: Reported) -> None:
    assert take_back(reported, str(reported.report.SOPInstanceUID)) == 0
    assert len(reported.work.deliveries("recall")) == 1


def test_what_waits_when_it_is_recalled_never_goes(reported: Reported, capsys: pytest.CaptureFixture[str]) -> None:
    d = tables.deliveries.c
    with write(reported.work.here.engine) as connection:
        waits = tables.deliveries.update().where(d.kind == "report")
        connection.execute(waits.values(state="queued", next_at=None))
    assert take_back(reported, reported.work.rows(tables.studies)[0].id) == 0
    assert "1 deliveries that waited never go" in capsys.readouterr().out
    (report,) = reported.work.deliveries("report")
    assert (report.state, report.reason) == ("dead", "recalled")
    with write(reported.work.here.engine) as connection:
        assert (
            outbox.revive(connection, [report.id], now=reported.work.here.clock(), enqueue=reported.work.here.jobs)
            == ()
        )


def test_a_report_that_arrives_while_it_is_recalled_raises_an_alarm(reported: Reported) -> None:
    d = tables.deliveries.c
    with write(reported.work.here.engine) as connection:
        connection.execute(tables.deliveries.update().where(d.kind == "report").values(state="queued", next_at=None))
        rejections.stop(connection, reported.key, reported.work.here.clock())
        (number,) = connection.scalars(select(d.id).where(d.kind == "report"))
        arrived_all_the_same(connection, number, reported.work.here.clock())
        outbox.record(connection, number, Outcome("sent", "0x0000"))
    assert [(row.reason, row.delivery) for row in reported.work.rows(tables.alarms)] == [("recalled", number)]
    take_back(reported, reported.work.rows(tables.studies)[0].id)
    assert len(reported.work.deliveries("recall")) == 1, "a second recall names what had slipped through"


def test_what_is_unknown_cannot_be_recalled(reported: Reported) -> None:
    with pytest.raises(SettingsError, match="no result of"):
        take_back(reported, "1.2.3")
    with pytest.raises(SettingsError, match="who takes"):
        recalls.recall(
            str(reported.report.SOPInstanceUID), reported.work.settings, by="", why="x",
            clock=reported.work.here.clock, as_json=False,
        )  # fmt: skip
