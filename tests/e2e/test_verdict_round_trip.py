"""A verdict and a recall through the service to Debian's Orthanc, and the verdict back again.

`make verify` only: the same is proven in the default run without an engine and an Orthanc.
"""

import json
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_ai.deliver.address import Address
from dicom_ai.report import find
from dicom_ai.report.header import part10
from dicom_ai.simulate.scanner import make_exams, send_exams
from tests.e2e.service import destination, service
from tests.e2e.validators import errors_of, texts_of
from tests.foreign_verdict import ELLIPSE, Word, foreign_verdict
from tests.peers import orthanc

pytestmark = [pytest.mark.e2e, pytest.mark.verify, pytest.mark.timeout(400)]


def test_a_verdict_and_a_recall_reach_the_pacs_and_the_verdict_comes_back(tmp_path: Path) -> None:
    (tmp_path / "orthanc").mkdir()
    (exam,) = make_exams("logiq-e9", "lung", 1, 5)
    with orthanc(tmp_path / "orthanc") as pacs:
        inline = destination("pacs", pacs.ae_title, pacs.port)
        with service(tmp_path / "service", inline) as one:

            def at_rest(what: str) -> list[bytes]:
                one.wait_until(one.is_at_rest, 150, what)
                return list(pacs.received())

            statuses = [row["status"] for row in send_exams([exam], Address("DICOM_AI", "127.0.0.1", one.port))]
            assert statuses == ["0x0000"] * len(exam)
            headers = [dcmread(BytesIO(content)) for content in at_rest("the study to be answered")]
            reports = [ds for ds in headers if ds.Modality == "SR"]
            assert len(reports) == 1, one.diagnosis()
            (report,) = reports
            said = ("--reject", "1", "--by", "Muster^Erika", "--organisation", "Clinic", "--send")
            done = one.command("verdict", report.SOPInstanceUID, *said, "--data", one.data, "--out", "verdict.dcm")
            assert done.returncode == 0, done.stderr
            made = dcmread(one.folder / "verdict.dcm")
            there = {
                str(ds.SOPInstanceUID): (ds, raw) for raw in at_rest("the verdict") for ds in [dcmread(BytesIO(raw))]
            }
            verdict, raw = there[str(made.SOPInstanceUID)]
            assert verdict == made, "Orthanc gives back what was sent"
            path = tmp_path / "verdict-of-orthanc.dcm"
            path.write_bytes(raw)
            assert errors_of(path) == []
            assert "Rejected" in texts_of(path)["dsr2html"]
            assert one.select("SELECT verdict FROM verdicts") == [("REJECTED",)]

            for _ in range(2):
                back = one.command("send", path, "--to", f"DICOM_AI@127.0.0.1:{one.port}")
                assert back.returncode == 0, back.stderr
            at_rest("the verdict that came back")
            assert one.select("SELECT verdict FROM verdicts") == [("REJECTED",)]
            assert one.select("SELECT state, reason FROM objects WHERE sop_uid = ?", str(made.SOPInstanceUID)) == [
                ("forwarded-only", "not_ultrasound")
            ]
            assert one.select("SELECT count(*) FROM sets") == [(1,)], "nothing was analysed for it"

            recalled = one.command(
                "recall", report.SOPInstanceUID, "--by", "Muster^Erika", "--why", "Wrong patient.", "--data", one.data,
                "--json",
            )  # fmt: skip
            assert recalled.returncode == 0, recalled.stderr
            assert json.loads(recalled.stdout)["destinations"] == ["pacs"]
            notes = [ds for raw in at_rest("the note") for ds in [dcmread(BytesIO(raw))] if ds.Modality == "KO"]
            (note,) = notes
            named = {
                item.ReferencedSOPInstanceUID
                for series in note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
                for item in series.ReferencedSOPSequence
            }
            results = {str(ds.SOPInstanceUID) for ds in headers if ds.Manufacturer == "dicom-ai"}
            assert named == results


def test_verdicts_of_two_workstations_are_collected_from_the_pacs(tmp_path: Path) -> None:
    (tmp_path / "orthanc").mkdir()
    (exam,) = make_exams("logiq-e9", "lung", 1, 5)
    with orthanc(tmp_path / "orthanc") as pacs, service(
        tmp_path / "service", destination("pacs", pacs.ae_title, pacs.port)
    ) as one:  # fmt: skip
        list(send_exams([exam], Address("DICOM_AI", "127.0.0.1", one.port)))
        one.wait_until(one.is_at_rest, 150, "the study to be answered")
        (report,) = [ds for raw in pacs.received() for ds in [dcmread(BytesIO(raw))] if ds.Modality == "SR"]
        groups = find.groups(report)
        uids = [find.tracking_uid(group) for group in groups]
        who = ("--by", "Muster^Erika", "--organisation", "Clinic", "--data", one.data)
        made = one.command("verdict", report.SOPInstanceUID, "--accept", "all", "--reject", "1", *who, "--out", "a.dcm")
        assert made.returncode == 0, made.stderr
        image, frame = find.source(find.region(groups[1]) or groups[1])
        sop_class = next(str(ds.SOPClassUID) for ds in exam if ds.SOPInstanceUID == image)
        theirs = foreign_verdict(
            report, Word(uids[0], "ACCEPTED"),
            Word("1.2.3.7", "", ("95436008", "SCT", "Consolidation"), ELLIPSE, (sop_class, image), frame),
            at="20990101120000",
        )  # fmt: skip
        (one.folder / "b.dcm").write_bytes(part10(theirs))
        sent = one.command("send", "a.dcm", "b.dcm", "--to", f"{pacs.ae_title}@127.0.0.1:{pacs.port}")
        assert sent.returncode == 0, sent.stderr

        def collect() -> dict[str, int]:
            done = one.command("verdicts", "collect", "--data", one.data, "--json")
            assert done.returncode == 0, done.stderr + done.stdout
            outcomes: dict[str, int] = json.loads(done.stdout.splitlines()[-1])["outcomes"]
            return outcomes

        assert collect() == {"verdict": 2, "other": 1}
        rows = one.select("SELECT sr_uid, tracking_uid, image, frame, class, verdict, reader_class FROM verdicts")
        assert len(rows) == len(uids) + 2
        assert collect() == {"known": 2, "other": 1}
        assert rows == one.select(
            "SELECT sr_uid, tracking_uid, image, frame, class, verdict, reader_class FROM verdicts"
        )
        said = {row[1]: row[5] for row in rows if row[0] != theirs.SOPInstanceUID}
        assert said == {uid: "REJECTED" if uid == uids[0] else "ACCEPTED" for uid in uids}
        listed = one.command("verdicts", "list", "--data", one.data, "--json")
        in_force = {row["tracking_uid"]: row["verdict"] for row in map(json.loads, listed.stdout.splitlines())}
        assert in_force == {uids[0]: "ACCEPTED", "1.2.3.7": "MISSED"}, "the later document replaces the earlier whole"
        (tmp_path / "list.txt").write_text(one.command("verdicts", "list", "--data", one.data).stdout)
