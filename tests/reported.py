"""A study whose report has reached a PACS, for the tests of what people then say about it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from dicom_ai.classify.catalogue import Installed
from dicom_ai.crop.cropper import Cropper
from dicom_ai.report import find
from dicom_ai.report.assessed import Assessment, Missed
from dicom_ai.report.verdict import Reader, verdict_report
from dicom_ai.site import SiteTables
from dicom_ai.store import tables, verdicts
from dicom_ai.store.database import read
from dicom_ai.store.outbox import ARRIVED
from tests import databases
from tests.workplace import SITE, Received, Workplace, destination, lung, pacs, workplace

READER = Reader("Muster^Doktor", "Invented Hospital", "2026-01-03T08:15:00")


@dataclass
class Reported:
    """A study whose report has reached a PACS."""

    work: Workplace
    key: str
    report: Dataset
    peer: Received

    def uids(self) -> list[str]:
        return [find.tracking_uid(group) for group in find.groups(self.report)]

    def verdict(self, *said: Assessment, missed: tuple[Missed, ...] = (), reader: Reader = READER) -> Dataset:
        return verdict_report(self.report, said, missed, reader, namespace=SITE.namespace)

    def arrive(self, *documents: Dataset) -> list[str]:
        """Receive documents and run the jobs that came of it; what each read."""
        before = {job.id for job in self.work.here.jobs.all()}
        self.work.receive(*documents)
        jobs = [job for job in self.work.here.jobs.all() if job.workflow == "verdict" and job.id not in before]
        return [self.work.story.read_verdict(job.arguments[0]) for job in jobs]

    def rows(self) -> list[Any]:
        return list(self.work.rows(tables.verdicts))

    def in_force(self) -> list[dict[str, Any]]:
        with read(self.work.here.engine) as connection:
            return verdicts.rows_in_force(connection, with_identity=False)


class Snapshot:
    """Two stills, analysed and delivered to a PACS: made once, copied for each test, because making takes seconds."""

    def __init__(self, folder: Path, cropper: Cropper, model: Installed) -> None:
        self._folder, self._cropper, self._model = folder, cropper, model
        with pacs(folder / "pacs") as peer:
            self._port = peer.port
            work = self._workplace(folder)
            self._key = work.answered(*lung())
            _arrive(work, peer)
            (self._report,) = peer.reports()
            self._now = work.here.clock()
            work.here.engine.dispose()

    @contextmanager
    def copy(self, folder: Path) -> Iterator[Reported]:
        """The study in a folder of its own, its PACS up on the port that the site's tables name."""
        if databases.current.kind != "sqlite":  # a database server: its tables are no files of ours
            yield from self._anew(folder)
            return
        shutil.copytree(self._folder, folder, dirs_exist_ok=True)
        with pacs(folder / "pacs", port=self._port) as peer:
            work = self._workplace(folder)
            work.here.clock.now = self._now
            yield Reported(work, self._key, deepcopy(self._report), peer)

    def _anew(self, folder: Path) -> Iterator[Reported]:
        with pacs(folder / "pacs", port=self._port) as peer:
            work = self._workplace(folder)
            key = work.answered(*lung())
            _arrive(work, peer)
            (report,) = peer.reports()
            yield Reported(work, key, report, peer)

    def _workplace(self, folder: Path) -> Workplace:
        site = SiteTables(destinations=(destination(self._port),))
        return workplace(folder / "data", self._cropper, [self._model], site=site)


def _arrive(work: Workplace, peer: Received) -> None:
    """Deliver what waits; on a busy machine an association may time out, and the next one carries it."""
    for _ in range(5):
        work.here.clock.forward(20)
        work.deliver()
        if all(row.state in ARRIVED for row in work.deliveries()):
            return
    raise AssertionError(f"{len(peer.rows)} objects arrived")
