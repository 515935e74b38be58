"""A study whose report has reached a PACS, for the tests of what people then say about it."""

from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def reported_study(folder: Path, cropper: Cropper, model: Installed) -> Iterator[Reported]:
    """Two stills, analysed and delivered to a PACS that stays up."""
    with pacs(folder / "pacs") as peer:
        site = SiteTables(destinations=(destination(peer.port),))
        work = workplace(folder / "data", cropper, [model], site=site)
        key = work.answered(*lung())
        work.here.clock.forward(5)
        work.deliver()
        (report,) = peer.reports()
        yield Reported(work, key, report, peer)
