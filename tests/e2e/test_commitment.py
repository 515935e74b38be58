"""Storage Commitment through the whole service: a report outlives kill -9, and an exam is closed long before its time.

`make verify` only: the same is proven in the default run without an engine.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from dicom_ai.deliver.address import Address
from dicom_ai.simulate.commitment import ask, listening
from dicom_ai.simulate.scanner import make_exams, send_exams
from tests.e2e.service import service
from tests.peers import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.verify, pytest.mark.timeout(400)]

QUIET_S = 600


def test_a_report_outlives_the_service_and_the_exam_is_closed_soon(tmp_path: Path, figure: Any) -> None:
    port = free_port()
    peer = f'[[peers]]\nae_title = "LOGIQE9"\nhost = "127.0.0.1"\nport = {port}\n'
    (exam,) = make_exams("logiq-e9", "lung", 1, 3)
    with service(tmp_path / "service", peer, DICOM_AI_STORE__SETTLE_QUIET_S=str(QUIET_S)) as one:
        to = Address("DICOM_AI", "127.0.0.1", one.port)
        listed = [(str(ds.SOPClassUID), str(ds.SOPInstanceUID)) for ds in exam]
        assert {row["status"] for row in send_exams([exam], to)} == {"0x0000"}
        assert ask(to, "LOGIQE9", "1.2.77.1", listed) == 0x0000  # nobody listens for the report yet
        one.wait_until(lambda: one.select("SELECT attempts FROM commitments") >= [(1,)], 60, "an attempt in vain")
        one.wait_until(lambda: one.select("SELECT state FROM sets") == [("closed",)], 60, "the exam to be closed")
        one.kill()
        with listening("LOGIQE9", port) as listener:
            one.start()
            report = listener.wait_for("1.2.77.1", 60)
            assert report is not None, one.diagnosis()
            assert (report.event_type, sorted(report.stored)) == (1, sorted(uid for _, uid in listed))
            one.wait_until(
                lambda: one.select("SELECT state FROM commitments") == [("reported",)], 30, "the report written down"
            )
        last_at, closed_at = one.select("SELECT last_at, closed_at FROM studies JOIN sets ON sets.study = studies.id")[
            0
        ]
    waited_s = (datetime.fromisoformat(closed_at) - datetime.fromisoformat(last_at)).total_seconds()
    assert 5.0 <= waited_s < 60.0
    figure("exam closed after its last object, with a commitment request", f"{waited_s:.1f} s", "5 to 60 s")
