"""A verdict and a recall through the service to Debian's Orthanc, and the verdict back again.

`make verify` only: the same is proven in the default run without an engine and an Orthanc.
"""

import json
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_ai.deliver.address import Address
from dicom_ai.simulate.scanner import make_exams, send_exams
from tests.e2e.service import destination, service
from tests.e2e.validators import errors_of, texts_of
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
