"""Reports are built when a destination has said which form it takes, once per form, and committed before they go out.

What this is not: what a report says (`reporting` made that and the ledger keeps it), or sending (`delivery`).
"""

from dataclasses import replace

from pydicom.dataset import Dataset
from sqlalchemy import Engine

from dicom_ai.deliver.negotiate import REPORT_SYNTAX
from dicom_ai.deliver.send import Item
from dicom_ai.errors import DicomAIError
from dicom_ai.headers import header
from dicom_ai.report.content import Reference, ReportContent
from dicom_ai.report.header import part10
from dicom_ai.report.structured import structured_report
from dicom_ai.store import analyses, outbox, results
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore


class Builder:
    """Builds reports from the ledger's content and the stored objects."""

    def __init__(self, engine: Engine, files: ObjectStore) -> None:
        """Take the ledger and the store."""
        self._engine, self._files = engine, files

    def report(self, due: outbox.Due, sop_class: str) -> Item:
        """The report of an analysis in one SOP class: as it stands in the store, else built, stored and committed."""
        if due.analysis is None:
            raise DicomAIError("a report delivery without an analysis")
        with read(self._engine) as connection:
            analysis = analyses.analysis(connection, due.analysis)
            standing = analyses.results_of(connection, due.analysis, "report")
        if analysis is None:
            raise DicomAIError("an analysis that was committed is gone")
        row = next((one for one in standing if one["sop_class"] == sop_class), None)
        if row is None:
            ds = self._build(analysis, sop_class)
            digest = self._files.write_result(part10(ds))
            row = {"uid": str(ds.SOPInstanceUID), "sop_class": sop_class, "digest": digest}
        with write(self._engine) as connection:
            # Another destination may have been faster: then its bytes are the report, not ours.
            row = analyses.save_result(connection, analysis, kind="report", result=row)
            results.attach_report(connection, due.id, row["uid"])
        return Item(due.id, self._files.path(row["digest"]), sop_class, REPORT_SYNTAX)

    def _build(self, analysis: analyses.Analysis, sop_class: str) -> Dataset:
        content = ReportContent.from_json(analysis.content)
        with read(self._engine) as connection:
            found = analyses.source_set(connection, analysis.set_id)
            captures = analyses.results_of(connection, analysis.key, "capture")
            before = analyses.predecessor_report(connection, found.predecessor, sop_class)
        if before is not None:
            earlier = header(self._files.path(before["digest"]))
            series = str(earlier.SeriesInstanceUID)
            content = replace(content, predecessor=Reference(before["sop_class"], before["uid"], series))
        evidence = [header(self._files.path(member.digest)) for member in found.members]
        pictures = [header(self._files.path(one["digest"])) for one in captures]
        return structured_report(content, evidence, pictures, sop_class=sop_class)
