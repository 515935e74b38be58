"""Readers' verdicts that arrive as structured reports: looked at in the work process, written into the ledger once.

What is not a verdict on a report of ours leaves a note that it was looked at and nothing else; it is forwarded like
any object, whatever it is. What this is not: how a document is read (`report.verdict_rows`), or the rows
(`store.verdicts`).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import tzinfo

from pydicom.dataset import Dataset
from sqlalchemy import Connection

from dicom_ai.errors import UnreadableInstance
from dicom_ai.headers import header
from dicom_ai.ledger import Ledger
from dicom_ai.log import get_logger
from dicom_ai.report.patient_study import decoded
from dicom_ai.report.verdict_rows import VerdictDocument, VerdictRow, is_verdict, predecessors, read_verdict
from dicom_ai.store import events, verdicts
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore
from dicom_ai.store.verdicts import Ours, Verified

_FOREIGN = (ValueError, TypeError, AttributeError, LookupError, RecursionError, ArithmeticError, NotImplementedError)
"""What a document of another maker may raise when it is read."""

_QUIET = ("other",)  # outcomes nobody needs to hear of: scanners send reports of their own
_COLUMNS = ("tracking_uid", "image", "frame", "probability", "threshold", "device_uid", "verdict", "reader_class")


class Refused(Exception):
    """A document makes no rows; the text is the outcome that is written down."""


class Verdicts:
    """Reads verdicts. Every method may be repeated."""

    def __init__(self, ledger: Ledger, files: ObjectStore, zone: tzinfo) -> None:
        """Take the real parts; `zone` is that of the site, for documents that state none."""
        self._ledger, self._files, self._zone = ledger, files, zone
        self._log = get_logger()

    def read(self, digest: str) -> str:
        """Look at a stored structured report and write down what came of it; return the outcome.

        Raises:
            OSError, UnreadableInstance: the store cannot be read for now; nothing was written down.
        """
        with read(self._ledger.engine) as connection:
            standing = verdicts.outcome_of(connection, digest)
        if standing is not None:
            return standing
        try:
            document, about = self._document(digest)
            found = self._verified(document, digest, about)
        except Refused as exc:
            return self._refuse(digest, str(exc))
        with write(self._ledger.engine) as connection:
            verdicts.save(connection, about, found, self._ledger.clock())
        self._log.info("verdict read", action="verdict", study=about.study, count=len(found.rows))
        return verdicts.VERDICT

    def find(
        self,
        connection: Connection,
        jobs: Callable[[str], Mapping[str, str]],
        poison: Callable[[str], Mapping[str, str]],
    ) -> int:
        """Enqueue a job for every structured report that has none; one that kills who reads it is never read."""
        now = self._ledger.clock()
        open_ends = verdicts.unread(connection)
        deadly = set(poison("verdict").values()).intersection(open_ends) if open_ends else set()
        for digest in sorted(deadly):
            verdicts.note(connection, digest, "unreadable", now)
        lost = set(open_ends) - deadly - (set(jobs("verdict").values()) if open_ends else set())
        for digest in sorted(lost):
            self._ledger.enqueue(connection, verdicts.reading_job(digest, f":found-{now:%Y%m%d%H%M%S%f}"))
        return len(lost)

    def _document(self, digest: str) -> tuple[Dataset, Ours]:
        path = self._files.path(digest)
        path.open("rb").close()  # a disk that is unwell for now says nothing against the document
        try:
            document = header(path)
            if not is_verdict(document):
                raise Refused("other")
            named = predecessors(document)
        except (UnreadableInstance, *_FOREIGN) as exc:
            raise Refused("unreadable") from exc
        with read(self._ledger.engine) as connection:
            about = verdicts.ours_among(connection, named)
        if about is None:
            raise Refused("unknown_report")
        return document, about

    def _verified(self, document: Dataset, digest: str, about: Ours) -> Verified:
        report = header(self._files.path(about.digest))
        try:
            if str(document.StudyInstanceUID) != about.study_uid:
                raise Refused("other_study")
            if _patient(document) != _patient(report):
                raise Refused("other_patient")
            return verified(read_verdict(document, report, zone=self._zone), digest)
        except _FOREIGN as exc:
            raise Refused("unreadable") from exc

    def _refuse(self, digest: str, outcome: str) -> str:
        now = self._ledger.clock()
        with write(self._ledger.engine) as connection:
            is_new = verdicts.note(connection, digest, outcome, now)
            if is_new and outcome not in _QUIET:
                events.add(connection, now, "verdict_refused", {"object": digest, "outcome": outcome})
        if outcome not in _QUIET:
            self._log.warning("verdict refused", action="verdict", object=digest[:16], state=outcome)
        return outcome


def verified(document: VerdictDocument, digest: str) -> Verified:
    """A document that was read, as the ledger keeps it; what the reader typed stays in the object.

    Raises:
        Refused: it says nothing of any finding.
    """
    if not document.rows:
        raise Refused("empty")
    rows = [_columns(row) for row in document.rows]
    return Verified(document.uid, digest, document.reader, document.organisation, document.verified_at, rows)


def _columns(row: VerdictRow) -> dict[str, object]:
    values = asdict(row)
    region = [list(point) for point in row.region] if row.region is not None else None
    return {name: values[name] for name in _COLUMNS} | {"class": row.class_id, "region": region}


def _patient(ds: Dataset) -> str:
    known = decoded(ds, ("PatientID",))
    if "PatientID" in ds and "PatientID" not in known:
        raise Refused("other_patient")  # it cannot be read, so nobody knows whose it is
    return str(known.get("PatientID") or "").strip(" \0")
