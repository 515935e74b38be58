"""Kill points from outside: armed by files, hit by the service at work, watched until it works again.

What this is not: the promises (`promises` compares what was sent, the ledger and the PACS).
"""

import json
import math
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicom_ai.points import POINTS, VARIABLE
from dicom_ai.simulate.exam import Exam
from tests.e2e.scanner import PatientScanner
from tests.e2e.service import Service

HIT_LIMIT_S = 120.0  # from arming until the process has died there
BACK_LIMIT_S = 120.0  # from the kill until the role works again; torch on a loaded machine
_LOOK_S = 0.02


@dataclass
class Hit:
    """One kill: where, which role died, and the seconds until it listened or completed a step again."""

    point: str
    role: str
    back_s: float = float("nan")
    watch: threading.Thread | None = None

    def wait(self) -> None:
        """Wait until the role was back, and fail if it never was."""
        if self.watch is not None:
            self.watch.join(BACK_LIMIT_S + 10)
        assert not math.isnan(self.back_s), f"{self.role} did not come back after {self.point}"


class Armed:
    """A service whose points can be armed one after another while it works; keeps every hit."""

    def __init__(self, folder: Path, *, database_url: str = "", **changes: str) -> None:
        self._folder = folder / "armed"
        self._folder.mkdir(parents=True)
        self.service = Service(
            folder / "service", database_url=database_url, **changes, **{VARIABLE: str(self._folder)}
        )
        self.hits: list[Hit] = []
        self.scanners: list[PatientScanner] = []

    def hit(self, point: str, role: str, exam: Exam) -> None:
        """Arm a point, send a study, wait for the kill. While a role comes back the other one may be hit."""
        assert point in POINTS
        for earlier in self.hits:
            if earlier.role == role:
                earlier.wait()  # a process that is not back yet would be killed in its start
        (self._folder / point).touch()
        self.send(exam)
        self.service.wait_until(lambda: not (self._folder / point).exists(), HIT_LIMIT_S, f"a kill at {point}")
        at, deaths = time.monotonic(), len(self.hits) + 1
        self.service.wait_until(lambda: len(self.deaths()) == deaths, 10, "the supervisor to notice the kill")
        hit = Hit(point, self.deaths()[-1]["role"])
        hit.watch = threading.Thread(target=self._watch, args=(hit, at, time.time()), daemon=True)
        hit.watch.start()
        self.hits.append(hit)

    def send(self, exam: Exam) -> None:
        """Send a study as a patient scanner does, beside everything else."""
        scanner = PatientScanner([exam], self.service.port, limit_s=HIT_LIMIT_S)
        self.scanners.append(scanner)
        scanner.start()

    def finish(self, limit_s: float) -> None:
        """Wait until everything was sent, answered and delivered, and every role was back."""
        for scanner in self.scanners:
            scanner.wait()
        for hit in self.hits:
            hit.wait()
        one = self.service
        one.wait_until(one.is_at_rest, limit_s, "every set to be answered and every delivery to be over")

    @property
    def acknowledged(self) -> dict[str, str]:
        """SOP Instance UID -> digest of everything that was answered with 0x0000."""
        return {uid: digest for scanner in self.scanners for uid, digest in scanner.acknowledged.items()}

    def deaths(self) -> list[dict[str, Any]]:
        """What the supervisor said of roles that died."""
        lines = self.service.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if '"role died"' in line]

    def _watch(self, hit: Hit, at: float, clock: float) -> None:
        """Note when the role is back: `receive` when it listens, `work` when it has completed a step."""
        deadline = at + BACK_LIMIT_S
        while time.monotonic() < deadline:
            if self._listens() if hit.role == "receive" else self._steps(clock):
                hit.back_s = time.monotonic() - at
                return
            time.sleep(_LOOK_S)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.service.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _steps(self, clock: float) -> bool:
        found = "SELECT count(*) FROM operation_outputs WHERE completed_at_epoch_ms > ?"
        return self.service.select(found, int(clock * 1000)) != [(0,)]


def recovery(hits: Iterable[Hit], role: str) -> Sequence[float]:
    """Sorted seconds until a role was back, of all hits."""
    return sorted(hit.back_s for hit in hits if hit.role == role)
