"""`kill -9` of every process in turn during load: nothing acknowledged is lost, nothing is answered twice.

The short version has a PACS that is simulated in this process; the long one (`make verify`) has 20 studies and a real
Orthanc.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import promises
from tests.e2e.pacs import Simulated
from tests.e2e.scanner import LUNG, LUNG_WITH_CLIP, PatientScanner, studies
from tests.e2e.service import Service, destination
from tests.peers import orthanc

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

QUIET = {"DICOM_AI_STORE__SETTLE_QUIET_S": "5", "DICOM_AI_STORE__SETTLE_LATE_QUIET_S": "10"}
"""Longer than a scanner needs to come back after a restart of ours, so that no study is closed in two parts."""


def n_stored(one: Service) -> int:
    """Objects in the ledger."""
    return int(one.select("SELECT count(*) FROM objects")[0][0])


def finish(one: Service, scanner: PatientScanner, limit_s: float) -> None:
    """Wait until everything was sent, answered and delivered."""
    scanner.wait()
    one.wait_until(one.is_at_rest, limit_s, "every set to be answered and every delivery to be over")


def kill_in_turn(one: Service, scanner: PatientScanner, each: int) -> None:
    """Kill receive, work, a decoding child and the supervisor, each after `each` more objects were stored."""

    before = n_stored(one)

    def after(count: int) -> None:
        one.wait_until(lambda: n_stored(one) >= before + count or scanner.is_over, 120, f"{count} more objects")

    after(each)
    one.kill_role("receive")
    after(2 * each)
    one.kill_role("work")
    after(3 * each)
    one.kill()
    one.start()
    one.wait_until(lambda: one.pid_of("child") is not None, 120, "a decoding child")
    one.kill_role("child")


def test_kill_of_every_process_loses_and_doubles_nothing(tmp_path: Path) -> None:
    exams = studies(3, content=LUNG)
    with Simulated(tmp_path / "pacs") as pacs:
        one = Service(tmp_path / "service", **QUIET)
        try:
            one.apply(pacs.target())
            one.start()
            scanner = PatientScanner(exams, one.port, limit_s=120, rate=1.0)
            scanner.start()
            kill_in_turn(one, scanner, 1)
            finish(one, scanner, 120)
            promises.check(one, scanner.acknowledged, pacs.received())
            pacs.check_repeats()
            assert one.stop() == 0
            assert one.processes() == {}
        finally:
            one.close()


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.verify)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_signal_to_all_processes_at_once_harms_no_object(tmp_path: Path, number: signal.Signals) -> None:
    """A terminal's Ctrl-C and systemd's stop reach the decoding child too, in the middle of an innocent object."""
    (exam,) = studies(1, content=LUNG_WITH_CLIP)
    with Simulated(tmp_path / "pacs") as pacs:
        one = Service(tmp_path / "service")
        try:
            one.apply(pacs.target())
            one.start()
            scanner = PatientScanner([exam], one.port, limit_s=60)
            scanner.start()
            one.wait_until(lambda: one.pid_of("child") is not None, 60, "a decoding child")
            for pid in one.processes():
                os.kill(pid, number)
            one.wait_until(lambda: not one.processes(), 35, "the end of every process")
            one.close()
            one.start()
            finish(one, scanner, 60)
            promises.check(one, scanner.acknowledged, pacs.received())
            pacs.check_repeats()
        finally:
            one.close()


@pytest.mark.verify
@pytest.mark.timeout(1200)
def test_kill_of_every_process_during_twenty_studies_with_orthanc(
    tmp_path: Path, figure: Callable[[str, str, str], None]
) -> None:
    exams = studies(20, content=LUNG_WITH_CLIP)
    (tmp_path / "orthanc").mkdir()
    with orthanc(tmp_path / "orthanc") as pacs:
        one = Service(tmp_path / "service", **QUIET)
        try:
            one.apply(destination("pacs", pacs.ae_title, pacs.port))
            one.start()
            scanner = PatientScanner(exams, one.port, limit_s=600, rate=1.0)
            scanner.start()
            for _ in range(3):
                kill_in_turn(one, scanner, 5)
            finish(one, scanner, 600)
            promises.check(one, scanner.acknowledged, pacs.received())
            assert one.stop() == 0
            n = len(scanner.acknowledged)
            text = f"0 lost, 0 doubled, one report per study ({n} objects of 20 studies acknowledged, 12 kills)"
            figure("kill -9 of receive, work, decoder and supervisor in turn, Orthanc as PACS", text, "0 lost")
            assert one.processes() == {}
        finally:
            one.close()
