"""A scanner that opens an association for every image: one study, one report; and the way back beside the service."""

import time
from pathlib import Path

import pytest

from dicom_ai.deliver.address import Address
from dicom_ai.simulate.exam import Exam, Shot
from dicom_ai.simulate.scanner import send_exams
from tests.e2e import promises
from tests.e2e.pacs import Simulated
from tests.e2e.scanner import digest_sent, studies
from tests.e2e.service import rows, service

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

PAUSE_S = 0.3
SIX = (Shot(frozenset({"b_lines"})), *[Shot(frozenset())] * 5)


def test_six_images_over_six_associations_make_one_report(tmp_path: Path) -> None:
    (exam,) = studies(1, content=SIX)
    quiet = {"DICOM_AI_STORE__SETTLE_QUIET_S": "1.5", "DICOM_AI_STORE__SETTLE_LATE_QUIET_S": "2"}
    with Simulated(tmp_path / "pacs") as pacs, service(tmp_path / "service", pacs.target(), **quiet) as one:
        to = Address("DICOM_AI", "127.0.0.1", one.port)
        acknowledged = {}
        for ds in exam:
            (row,) = send_exams([Exam((ds,), {})], to)
            assert row["status"] == "0x0000"
            acknowledged[row["sop_uid"]] = digest_sent(ds)
            time.sleep(PAUSE_S)
        one.wait_until(one.is_at_rest, 120, "the study to be answered and delivered")
        promises.check(one, acknowledged, pacs.received())  # one report, one set
        answered = pacs.received()

        ((study,),) = one.select("SELECT id FROM studies")
        done = one.command("studies", "again", study, "--by", "a person", "--json", "--data", one.data)
        assert done.returncode == 0, done.stderr
        assert rows(done.stdout) == [{"study": study, "tasks": {"lung-signs": 6}, "no_task": 0, "unreadable": 0}]
        one.wait_until(one.is_at_rest, 120, "the revision to be answered")
        assert one.select("SELECT revision, answered_at IS NOT NULL FROM sets ORDER BY 1") == [(1, 1), (2, 1)]
        assert pacs.received() == answered, "nothing new could be said, and yet something was sent"
