"""Readers' verdicts, however they come: judged against our own report, written into the ledger once.

What is not a verdict on a report of ours leaves a note that it was looked at and nothing else; one that was received
is forwarded like any object, whatever it is. What this is not: how a document is read (`report.verdict_rows`), the
rows (`store.verdicts`), or asking an archive for documents (`collecting`).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import tzinfo
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import Connection

from dicom_ai.crop.strict import pixel_bytes
from dicom_ai.errors import InputError
from dicom_ai.headers import header
from dicom_ai.inflate import is_deflated
from dicom_ai.ledger import Ledger
from dicom_ai.log import get_logger
from dicom_ai.report.patient_study import decoded
from dicom_ai.report.verdict_rows import VerdictDocument, VerdictRow, is_verdict, predecessors, read_verdict
from dicom_ai.store import events, places, verdicts
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore
from dicom_ai.store.places import Extent
from dicom_ai.store.verdicts import Ours, Verified

_FOREIGN = (ValueError, TypeError, AttributeError, LookupError, RecursionError, ArithmeticError, NotImplementedError)
"""What a document of another maker may raise when it is read."""

QUIET = ("other",)  # outcomes nobody needs to hear of: scanners send reports of their own


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
            about, found = self.judge(self._files.path(digest), digest)
        except Refused as exc:
            return self.refuse(digest, str(exc))
        return self.save(about, found)

    def judge(self, path: Path, digest: str) -> tuple[Ours, Verified]:
        """Read a document and hold it against the report of ours that it is about; nothing is written down.

        Args:
            path: Part 10 file.
            digest: of its data set.

        Raises:
            Refused: it is no verdict on a report of ours, or not one that can be believed.
            OSError, UnreadableInstance: the store cannot be read for now.
        """
        document, about = self._document(path)
        report = header(self._files.path(about.digest))
        try:
            if str(document.StudyInstanceUID) != about.study_uid:
                raise Refused("other_study")
            if patient_of(document) != patient_of(report):
                raise Refused("other_patient")
            told = verified(read_verdict(document, report, zone=self._zone), digest)
        except _FOREIGN as exc:
            raise Refused("unreadable") from exc
        with read(self._ledger.engine) as connection:
            images = places.of_study(connection, about.study)
        return about, replace(told, rows=[_placed(row, images) for row in told.rows])

    def save(self, about: Ours, found: Verified) -> str:
        """Write the rows of a document; return the outcome."""
        with write(self._ledger.engine) as connection:
            verdicts.save(connection, about, found, self._ledger.clock())
        self._log.info("verdict read", action="verdict", study=about.study, count=len(found.rows))
        return verdicts.VERDICT

    def refuse(self, digest: str, outcome: str) -> str:
        """Write down that a document makes no rows, and why; return that."""
        now = self._ledger.clock()
        with write(self._ledger.engine) as connection:
            is_new = verdicts.note(connection, digest, outcome, now)
            if is_new and outcome not in QUIET:
                events.add(connection, now, "verdict_refused", {"object": digest, "outcome": outcome})
        if outcome not in QUIET:
            self._log.warning("verdict refused", action="verdict", object=digest[:16], state=outcome)
        return outcome

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

    def _document(self, path: Path) -> tuple[Dataset, Ours]:
        path.open("rb").close()  # a disk that is unwell for now says nothing against the document
        try:
            _require_whole(path)
            document = header(path)
            if not is_verdict(document):
                raise Refused("other")
            named = predecessors(document)
        except (InputError, *_FOREIGN) as exc:
            raise Refused("unreadable") from exc
        with read(self._ledger.engine) as connection:
            about = verdicts.ours_among(connection, named)
        if about is None:
            raise Refused("unknown_report")
        return document, about


def verified(document: VerdictDocument, digest: str) -> Verified:
    """A document that was read, as the ledger keeps it; what the reader typed stays in the object.

    Raises:
        Refused: it says nothing of any finding.
    """
    if not document.rows:
        raise Refused("empty")
    rows = [_columns(row) for row in document.rows]
    return Verified(document.uid, digest, document.reader, document.organisation, document.verified_at, rows)


def patient_of(ds: Dataset) -> str:
    """Patient ID of a data set; "" when it names none.

    Raises:
        Refused: it cannot be read in its character set, so nobody knows whose it is.
    """
    known = decoded(ds, ("PatientID",))
    if "PatientID" in ds and "PatientID" not in known:
        raise Refused("other_patient")
    return str(known.get("PatientID") or "").strip(" \0")


def _require_whole(path: Path) -> None:
    """A document cut short would read as one in which the reader was silent about the rest.

    Raises:
        InputError: it does not end where its elements say.
    """
    with path.open("rb") as file:
        if is_deflated(file):
            raise InputError("nobody can tell whether a deflated document is whole")
        pixel_bytes(file)


def _placed(row: Mapping[str, Any], images: Mapping[str, Extent]) -> Mapping[str, Any]:
    """The row, with no frame number on a still; a label on somebody else's image, or beside the picture, is refused."""
    image = images.get(row["image"])
    if image is None or not image.holds(row["frame"], row["region"]):
        raise Refused("other_image")
    return {**row, "frame": None} if image.frames == 1 else row


def _columns(row: VerdictRow) -> dict[str, object]:
    values = asdict(row)
    region = [list(point) for point in row.region] if row.region is not None else None
    return {name: values.get(name) for name in verdicts.ROW} | {"class": row.class_id, "region": region}
