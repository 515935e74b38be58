"""Reports are built when a destination has said which form it takes, once per form, and committed before they go out.

So are the stills that stand in for a clip's capture. What this is not: what a report says (`reporting` made that and
the ledger keeps it), or sending (`delivery`).
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from sqlalchemy import Engine

from dicom_ai.deliver.negotiate import REPORT_SYNTAX, STILL
from dicom_ai.deliver.send import Item
from dicom_ai.errors import DicomAIError, UnreadableInstance
from dicom_ai.headers import header
from dicom_ai.report.content import Reference, ReportContent
from dicom_ai.report.header import part10
from dicom_ai.report.pages import PAGES, page_uid, report_page
from dicom_ai.report.stills import as_taken, key_frame_stills, variant
from dicom_ai.report.structured import DOCUMENTS, report_uid, structured_report
from dicom_ai.store import analyses, outbox, results, substitutes
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore


class Builder:
    """Builds reports from the ledger's content and the stored objects."""

    def __init__(self, engine: Engine, files: ObjectStore) -> None:
        """Take the ledger and the store."""
        self._engine, self._files = engine, files

    def begun(self, due: outbox.Due) -> str | None:
        """The SOP class in which an earlier attempt sent this report; None when none did, or all were refused."""
        with read(self._engine) as connection:
            found = results.report_begun(connection, due.result)
        return found["sop_class"] if found is not None else None

    def report(self, due: outbox.Due, sop_class: str) -> Item:
        """The report of an analysis in one form: as it stands in the store, else built, stored and committed."""
        analysis = self._analysis(due)
        with read(self._engine) as connection:
            begun = results.report_begun(connection, due.result)
        if begun is not None and begun["sop_class"] == sop_class:
            row: Mapping[str, Any] = begun
        else:
            row = self._made(analysis, due, sop_class)
        with write(self._engine) as connection:
            results.attach_report(connection, due.id, row["uid"])
        return Item(due.id, self._files.path(row["digest"]), sop_class, REPORT_SYNTAX)

    def begin_anew(self, due: outbox.Due) -> None:
        """Every form was refused: whoever tries again begins with the best one."""
        with write(self._engine) as connection:
            results.attach_report(connection, due.id, None)

    def stills(self, due: outbox.Due, status: str | None, now: datetime) -> list[tuple[outbox.Due, Item]]:
        """Stills of the key frames of the clip's capture that `due` means, queued in its place.

        Args:
            due: delivery of the capture, picked up.
            status: DIMSE status with which it was refused, None when its context was.
            now: aware time.

        Returns:
            The deliveries that are still to be made, with their files; none when all of them arrived before.

        Raises:
            UnreadableInstance, ValueError: the capture cannot be read, or it has no key frame.
        """
        analysis = self._analysis(due)
        content = ReportContent.from_json(analysis.content)
        with read(self._engine) as connection:
            digest = results.stored_digest(connection, digest=None, result=due.result)
        made = [self._stored(still) for still in key_frame_stills(content, _with_pixels(self._files.path(digest)))]
        if not made:
            raise ValueError("a capture without key frames")
        with write(self._engine) as connection:
            queued = substitutes.substitute(connection, due, analysis, made, status=status, now=now)
        paths = {one["uid"]: self._files.path(one["digest"]) for one in made}
        return [(one, Item(one.id, paths[str(one.result)], *STILL)) for one in queued]

    def _analysis(self, due: outbox.Due) -> analyses.Analysis:
        if due.analysis is None:
            raise DicomAIError("a delivery of a result without an analysis")
        with read(self._engine) as connection:
            analysis = analyses.analysis(connection, due.analysis)
        if analysis is None:
            raise DicomAIError("an analysis that was committed is gone")
        return analysis

    def _made(self, analysis: analyses.Analysis, due: outbox.Due, sop_class: str) -> Mapping[str, Any]:
        """The row of the report; another destination may have been faster, then its bytes are the report, not ours."""
        whole = ReportContent.from_json(analysis.content)
        is_page = sop_class in PAGES  # it shows its pictures itself, so it is the same everywhere
        content = whole if is_page else self._as_taken(whole, analysis, due, sop_class)
        apart = variant(content, whole)
        uid = page_uid(whole.analysis, sop_class) if is_page else report_uid(whole.analysis, sop_class, apart)
        with read(self._engine) as connection:
            standing = results.report_begun(connection, uid)
        if standing is not None:
            return standing
        row = self._stored(self._build(analysis, content, sop_class, apart))
        with write(self._engine) as connection:
            return analyses.save_result(connection, analysis, kind="report", result=row)

    def _stored(self, ds: Dataset) -> dict[str, str]:
        digest = self._files.write_result(part10(ds))
        return {"uid": str(ds.SOPInstanceUID), "sop_class": str(ds.SOPClassUID), "digest": digest}

    def _as_taken(
        self, whole: ReportContent, analysis: analyses.Analysis, due: outbox.Due, sop_class: str
    ) -> ReportContent:
        """What the report says at this destination: it refers to what lies there, or is about to."""
        with read(self._engine) as connection:
            found = analyses.source_set(connection, analysis.set_id)
            before = substitutes.report_at(connection, found.predecessor, due.destination)
            if before is None:
                before = analyses.predecessor_report(connection, found.predecessor, sop_class)
            taken = substitutes.taken(connection, analysis.key, due.destination)
        return replace(as_taken(whole, taken), predecessor=self._reference(before))

    def _reference(self, row: Mapping[str, Any] | None) -> Reference | None:
        """A report as the predecessor of another one; None for a page or PDF, which no document can name."""
        if row is None or row["sop_class"] not in DOCUMENTS:
            return None
        earlier = header(self._files.path(row["digest"]))
        return Reference(row["sop_class"], row["uid"], str(earlier.SeriesInstanceUID))

    def _build(self, analysis: analyses.Analysis, content: ReportContent, sop_class: str, apart: str) -> Dataset:
        with read(self._engine) as connection:
            found = analyses.source_set(connection, analysis.set_id)
            captures = analyses.results_of(connection, analysis.key, "capture")
            stills = analyses.results_of(connection, analysis.key, substitutes.STILL)
        evidence = [header(self._files.path(member.digest)) for member in found.members]
        if sop_class in PAGES:
            paths = {one["uid"]: self._files.path(one["digest"]) for one in captures}
            return report_page(content, evidence, lambda uid: _with_pixels(paths[uid]), sop_class=sop_class)
        pictures = [header(self._files.path(one["digest"])) for one in (*captures, *stills)]
        return structured_report(content, evidence, pictures, sop_class=sop_class, variant=apart)


def _with_pixels(path: Path) -> Dataset:
    try:
        return dcmread(path)
    except (OSError, ValueError, AttributeError, EOFError) as exc:
        raise UnreadableInstance(type(exc).__name__) from exc
