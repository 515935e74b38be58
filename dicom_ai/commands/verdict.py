"""The commands `verdict` and `verdicts`: what a reader says of an AI report, as a second document, and what was said.

A report is a file or the UID of one that the service made. Findings are named by their number in the report, or by
tracking UID. What this is not: a viewer.
"""

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pydicom.dataset import Dataset

from dicom_ai.commands.desk import acting
from dicom_ai.commands.desk import reading as reading_ledger
from dicom_ai.commands.said import Reading, Said
from dicom_ai.errors import SettingsError, UnreadableInstance
from dicom_ai.headers import header
from dicom_ai.instance import MULTI_FRAME_CLASSES
from dicom_ai.report import code, find
from dicom_ai.report.assessed import Library
from dicom_ai.report.header import part10
from dicom_ai.report.text import report_lines
from dicom_ai.report.verdict import require_report, verdict_report
from dicom_ai.report.verdict_rows import read_verdict
from dicom_ai.rows import print_row, print_table, say
from dicom_ai.settings import Settings
from dicom_ai.store import places, rejections, verdicts
from dicom_ai.store.database import read, write
from dicom_ai.store.files import ObjectStore
from dicom_ai.store.rejections import Made
from dicom_ai.store.site_id import site_id
from dicom_ai.verdicts import verified

_REMEDY = '; name the reader: --by "Muster^Erika" --organisation "Clinic"'


def verdict(
    which: str, said: Said, settings: Settings, *, out: Path | None, send: bool, clock: Callable[[], datetime]
) -> int:
    """Make a verdict; without one, print the findings of the report. Return the exit code.

    Args:
        which: path of a report, or its SOP Instance UID.
        said: about its findings, and by whom.
        settings: of the service.
        out: file to write the document to.
        send: put it into the outbox of every destination that has the report, and into the ledger.
        clock: aware times.

    Raises:
        SettingsError: there is no such report, finding or class, the reader is not named, or nothing says where to.
    """
    report = _report(which, settings)
    if said.is_silent:
        _print_findings(report)
        return 0
    if out is None and not send:
        raise SettingsError("say where the verdict goes: --out FILE, --send, or both")
    when = clock().astimezone(ZoneInfo(settings.site.timezone)).replace(tzinfo=None, microsecond=0).isoformat()
    reading = Reading(said, report, _frames(report, settings))
    assessments, missed, reader = reading.assessments(), reading.missed(), said.reader(when)
    try:
        namespace = site_id(settings.store.data).namespace
        document = verdict_report(report, assessments, missed, reader, namespace=namespace)
    except ValueError as exc:
        raise SettingsError(f"{exc}{_REMEDY if not said.by or not said.organisation else ''}") from None
    if out is not None:
        out.write_bytes(part10(document))
        say(f"written: {out}")
    if send:
        _send(report, document, settings, clock)
    return 0


def list_verdicts(settings: Settings, *, with_identity: bool, as_json: bool) -> int:
    """Print the verdicts in force; return the exit code.

    Raises:
        SettingsError: there is no ledger yet.
    """
    with reading_ledger(settings) as opened, read(opened) as connection:
        found = verdicts.rows_in_force(connection, with_identity=with_identity)
    if as_json:
        for row in found:
            print_row(row)
        return 0
    lines = [
        (
            row["verified_at"][:16],
            row["study"],
            f"{row['image']} {row['frame'] or ''}".strip(),
            row["class"],
            "" if row["probability"] is None else f"{100 * row['probability']:.2f} %",
            row["verdict"],
            row["reader_class"],
            row["reader"]["name"] if with_identity else row["reader"],
        )
        for row in found
    ]
    columns = ("verified (UTC)", "study", "image", "AI class", "probability", "verdict", "reader's class", "reader")
    print_table("Verdicts", columns, lines)
    return 0


def _report(which: str, settings: Settings) -> Dataset:
    path = Path(which)
    if not path.exists():
        with reading_ledger(settings) as opened, read(opened) as connection:
            ours = verdicts.ours_among(connection, [which])
        if ours is None:
            raise SettingsError("no such file, and no report of this UID was made here")
        path = ObjectStore(settings.store.data).path(ours.digest)
    try:
        report = header(path)
        require_report(report)
    except (UnreadableInstance, ValueError) as exc:
        raise SettingsError(str(exc)) from None
    return report


def _frames(report: Dataset, settings: Settings) -> dict[str, int]:
    """Number of frames of the report's images, as far as the ledger knows them: a report may come from elsewhere."""
    try:
        with reading_ledger(settings) as opened, read(opened) as connection:
            ours = verdicts.ours_among(connection, [str(report.SOPInstanceUID)])
            extents = places.of_study(connection, ours.study) if ours is not None else {}
    except SettingsError:
        return {}
    return {uid: extent.frames for uid, extent in extents.items()}


def _print_findings(report: Dataset) -> None:
    lines = []
    for number, group in enumerate(find.groups(report), 1):
        named = [line for line in report_lines(group, brief=True) if line.startswith(("  Prob", "  Cert"))]
        found = find.class_found(group, code.FINDING) or "-"
        lines.append((number, find.text(group, code.TRACKING_IDENTIFIER), found, "\n".join(map(str.strip, named))))
    print_table("Findings", ("id", "where", "class", "the AI says"), lines)
    library = Library.of(report)
    images = [
        (number, uid, f"{library.sizes[uid][1]} x {library.sizes[uid][0]}", "clip" if is_clip else "still")
        for number, (uid, sop_class) in enumerate(library.classes.items(), 1)
        for is_clip in [sop_class in MULTI_FRAME_CLASSES]
    ]
    print_table("Images", ("image", "SOP Instance UID", "columns x rows", "kind"), images)


def _send(report: Dataset, document: Dataset, settings: Settings, clock: Callable[[], datetime]) -> None:
    """Into the store, the ledger and the outbox: the rows stand whether or not the PACS sends the document back."""
    files, zone = ObjectStore(settings.store.data, role="command-"), ZoneInfo(settings.site.timezone)
    with acting(settings, clock) as desk:
        with read(desk.engine) as connection:
            ours = verdicts.ours_among(connection, [str(report.SOPInstanceUID)])
        if ours is None:
            raise SettingsError("this report was not made here; write the verdict to a file and send that")
        digest = files.write_result(part10(document))
        made = Made("verdict", str(document.SOPInstanceUID), str(document.SOPClassUID), digest)
        told = verified(read_verdict(document, report, zone=zone), digest)
        with write(desk.engine) as connection:
            found = rejections.arrived(connection, ours.analysis)
            for one in found:
                rejections.send(connection, made, one, now=clock(), enqueue=desk.enqueue, by="")
            verdicts.save(connection, ours, told, clock())
    named = rejections.places(found)
    sys.stdout.write(f"sent to {', '.join(named)}\n" if named else "the report has arrived nowhere; kept here only\n")
