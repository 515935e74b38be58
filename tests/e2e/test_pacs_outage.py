"""The PACS goes away during load and comes back: nothing is lost, nothing is doubled, and receiving does not notice."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.e2e import promises
from tests.e2e.pacs import Simulated
from tests.e2e.scanner import LUNG, PatientScanner, studies
from tests.e2e.service import Service, destination
from tests.peers import orthanc

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

QUIET = {"DICOM_AI_STORE__SETTLE_QUIET_S": "5", "DICOM_AI_STORE__SETTLE_LATE_QUIET_S": "10"}


class Pacs(Protocol):
    """What the outage needs of a PACS."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


@contextmanager
def loaded(folder: Path, target: str, exams: int, *, rate: float) -> Iterator[tuple[Service, PatientScanner]]:
    """A service with this destination, and a scanner that is sending."""
    one = Service(folder, **QUIET)
    try:
        one.apply(target)
        one.start()
        scanner = PatientScanner(studies(exams, content=LUNG), one.port, limit_s=300, rate=rate)
        scanner.start()
        yield one, scanner
        assert one.stop() == 0
        assert one.processes() == {}
    finally:
        one.close()


def go_through_an_outage(pacs: Pacs, one: Service, scanner: PatientScanner, outage_s: float) -> None:
    """Stop the PACS when the first object has reached it; start it again; wait for the end of everything."""
    one.wait_until(lambda: one.deliveries().get(("source", "sent"), 0) > 0, 60, "a first object in the PACS")
    pacs.stop()
    time.sleep(outage_s)
    during = one.deliveries()
    assert during.get(("source", "queued"), 0) > 0, f"nothing waited; the outage proves nothing: {during}"
    pacs.start()
    scanner.wait()
    one.wait_until(one.is_at_rest, 120, "every delivery to be over")
    assert scanner.repeats == 0, "receiving must not notice that the PACS is away"
    (attempts,) = one.select("SELECT max(attempts) FROM deliveries")
    assert attempts[0] > 1, "no delivery was tried twice; the outage proves nothing"


def test_an_outage_of_the_pacs_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with (
        Simulated(tmp_path / "pacs") as pacs,
        loaded(tmp_path / "service", pacs.target(), 3, rate=1.0) as (one, scanner),
    ):
        go_through_an_outage(pacs, one, scanner, 5.0)
        promises.check(one, scanner.acknowledged, pacs.received())
        pacs.check_repeats()


@pytest.mark.verify
@pytest.mark.timeout(900)
def test_orthanc_stopped_for_a_minute_during_load(tmp_path: Path, figure: Callable[[str, str, str], None]) -> None:
    (tmp_path / "orthanc").mkdir()
    with orthanc(tmp_path / "orthanc") as pacs:
        target = destination("pacs", pacs.ae_title, pacs.port)
        with loaded(tmp_path / "service", target, 20, rate=1.0) as (one, scanner):
            go_through_an_outage(pacs, one, scanner, 60.0)
            promises.check(one, scanner.acknowledged, pacs.received())
            text = f"0 lost, 0 doubled ({len(scanner.acknowledged)} objects of 20 studies)"
            figure("Orthanc stopped for 60 s during load", text, "0 lost, 0 doubled")
