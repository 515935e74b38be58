"""Verdicts collected from Debian's Orthanc: ours and another maker's, by C-FIND and C-GET, the last one in force."""

import json
from pathlib import Path

import pytest
import torch
from pydicom.dataset import Dataset

from dicom_ai.commands import collect as collecting
from dicom_ai.deliver.paths import send_paths
from dicom_ai.report import find
from dicom_ai.report.assessed import Assessment
from dicom_ai.report.header import part10
from dicom_ai.site import SiteTables
from dicom_ai.store import site_rows
from dicom_ai.store.database import write
from tests.foreign_verdict import ELLIPSE, Word, foreign_verdict
from tests.peers import orthanc
from tests.reported import Reported
from tests.workplace import destination

torch.set_num_threads(1)
pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("prepared")]


def test_the_verdicts_orthanc_holds_become_rows(
    reported: Reported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = reported.uids()[:2]
    group = find.groups(reported.report)[1]
    image, _ = find.source(find.region(group) or Dataset())
    here = ("1.2.840.10008.5.1.4.1.1.6.1", image)
    ours = reported.verdict(Assessment(first, "ACCEPTED"), Assessment(second, "ACCEPTED"))
    theirs = foreign_verdict(
        reported.report,
        Word(first, "REJECTED"),
        Word("1.2.3.7", "", ("BLINE", "99DICOMAI", "B-lines"), ELLIPSE, here, 1),
    )
    draft = reported.verdict(Assessment(first, "MODIFIED", "b_lines"))
    draft.VerificationFlag, draft.SOPInstanceUID = "UNVERIFIED", "1.2.3.8"
    draft.file_meta.MediaStorageSOPInstanceUID = "1.2.3.8"
    (tmp_path / "orthanc").mkdir()
    (tmp_path / "sent").mkdir()
    for number, ds in enumerate((reported.report, ours, theirs, draft)):
        (tmp_path / "sent" / f"{number}.dcm").write_bytes(part10(ds))
    with orthanc(tmp_path / "orthanc") as pacs:
        at = destination(pacs.port, ae_title=pacs.ae_title)
        with write(reported.work.here.engine) as connection:
            site_rows.apply(connection, SiteTables(destinations=(at,)), by="test", now=reported.work.here.clock())
        rows = list(send_paths([tmp_path / "sent"], at, reported.work.settings.deliver))
        assert [row["status"] for row in rows] == ["sent"] * 4
        for again in (False, True):
            clock = reported.work.here.clock
            assert collecting.collect(reported.work.settings, (None, None), "pacs", clock=clock, as_json=True) == 0
            said = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line[0] == "{"]
            new = {"known": 2} if again else {"verdict": 2}
            assert said[-1]["outcomes"] == {"other": 2, **new}
    assert len(reported.rows()) == 4
    in_force = {row["tracking_uid"]: (row["verdict"], row["reader_class"]) for row in reported.in_force()}
    assert in_force == {first: ("REJECTED", None), "1.2.3.7": ("MISSED", "b_lines")}, "the second was not assessed"
