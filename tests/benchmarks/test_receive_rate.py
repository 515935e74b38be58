"""How fast objects become durable, against a pynetdicom SCP that writes the same bytes and promises nothing."""

import json
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicom_ai.deliver.address import Address
from dicom_ai.deliver.send import Sender
from dicom_ai.settings import Deliver
from dicom_ai.simulate.exam import Shot, exam
from dicom_ai.simulate.pacs import SimulatedPacs
from dicom_ai.simulate.patients import patient_of
from tests.e2e.service import environment
from tests.peers import free_port

pytestmark = pytest.mark.benchmark

PAIRS, STILLS = 9, 20


def stills(folder: Path) -> list[Path]:
    """Distinct objects of about 1 MB: one drawn still under many UIDs."""
    one = next(iter(exam("lung", seed=1, patient=patient_of(1), content=(Shot(labels=frozenset({"b_lines"})),))))
    paths = []
    for number in range(PAIRS * STILLS):
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"2.25.{10**30 + number}"
        paths.append(folder / f"{number}.dcm")
        one.save_as(paths[-1], enforce_file_format=True)
    return paths


def seconds(address: Address, paths: list[Path]) -> float:
    wanted = [("1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.1.2.1")]
    with Sender(Deliver()).associate(address, wanted) as association:
        begin = time.perf_counter()
        statuses = {association.store(path) for path in paths}
        elapsed = time.perf_counter() - begin
    assert statuses == {0}
    return elapsed


def test_durable_receiving_against_receiving_without_a_promise(tmp_path, figure):
    (tmp_path / "objects").mkdir()
    paths = stills(tmp_path / "objects")
    port = free_port()
    command = [sys.executable, "-m", "dicom_ai", "serve", "--roles", "receive", "--port", str(port)]
    command += ["--data", str(tmp_path / "data")]
    env = environment(DICOM_AI_LOG__LEVEL="error")
    service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, cwd=tmp_path)
    try:
        assert json.loads(service.stdout.readline())["ready"]
        with SimulatedPacs(tmp_path / "pacs", clock=lambda: datetime.now(UTC)) as plain:
            others = Address("PACS", "127.0.0.1", plain.start())
            ours = Address("DICOM_AI", "127.0.0.1", port)
            pairs = []
            for n in range(PAIRS):
                batch = paths[n * STILLS : (n + 1) * STILLS]
                pairs.append((seconds(ours, batch), seconds(others, batch)))
    finally:
        service.terminate()
        service.communicate(timeout=30)
    ratios = sorted(plain_s / ours_s for ours_s, plain_s in pairs)
    low, median, high = ratios[1], statistics.median(ratios), ratios[-2]  # 96 % interval of the median of 9
    rate = STILLS / statistics.median(ours_s for ours_s, _ in pairs)
    text = f"{median:.2f} ({low:.2f} to {high:.2f}, {PAIRS} pairs of {STILLS} stills of 1 MB; ours {rate:.0f}/s)"
    figure("objects/s received durably : pynetdicom SCP that writes without fsync, one association", text, "none")
