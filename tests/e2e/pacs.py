"""The simulated PACS as a fixture: on a port that it takes again after an outage, with a memory of the wire."""

import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from dicom_ai.simulate.pacs import SimulatedPacs
from tests.e2e.service import destination
from tests.peers import free_port

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Simulated:
    """The simulated PACS on a port that it takes again; drops open associations when it stops, as a power cut does."""

    def __init__(self, folder: Path, *, is_held: bool = False) -> None:
        self.folder, self.port = folder, free_port()
        self._answers = threading.Event()
        if not is_held:
            self._answers.set()
        self.wire: list[tuple[str, str]] = []  # SOP Instance UID and digest of every object that was answered
        self._pacs: SimulatedPacs | None = None

    def start(self) -> None:
        self._pacs = SimulatedPacs(self.folder, clock=lambda: NOON, tell=self._tell)
        self._pacs.start(self.port)

    def stop(self) -> None:
        self._answers.set()
        if self._pacs is not None:
            self._pacs.stop()

    def answer(self) -> None:
        """From now on answer at once; one that is held takes an object and keeps its answer back until then."""
        self._answers.set()

    def received(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.folder.rglob("*.dcm"))]

    def target(self, *, forward: str = "all", test: bool = True) -> str:
        """This PACS as a destination of a site file."""
        return destination("pacs", "PACS", self.port, forward=forward, test=test)

    def check_repeats(self) -> None:
        """Fail if an object went over the wire twice with different bytes."""
        bytes_of = Counter(uid for uid, _ in set(self.wire))
        assert set(bytes_of.values()) == {1}, "an object was sent with other bytes than the first time"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _tell(self, row: dict[str, Any]) -> None:
        self.wire.append((row["sop_uid"], row["digest"]))
        self._answers.wait()
