"""The commands `rules`: the routing table in force, and for a file which row takes it and why the others do not.

A file is read exactly as the receiver reads an object from the network, and the rows are compared by the receiver's
own code. Of descriptions it is only said that they do not contain a text: people type them and may name the patient.
"""

import mmap
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydicom.errors import InvalidDicomError
from pynetdicom.dsutils import split_dataset

from dicom_ai.classify.routing import Route, rows_of, traps
from dicom_ai.commands import desk
from dicom_ai.commands.offline_crop import files_of
from dicom_ai.errors import UnreadableInstance
from dicom_ai.instance import BARRED, Instance
from dicom_ai.reasons import REASONS
from dicom_ai.receive.scan import scan
from dicom_ai.rows import print_row, print_table, say
from dicom_ai.settings import Settings
from dicom_ai.site import read_site
from dicom_ai.store import site_rows
from dicom_ai.store.database import read


@dataclass(frozen=True)
class Question:
    """What `rules test` is asked: files, the association they are imagined to come over, and a table not in force."""

    paths: tuple[Path, ...]
    calling_ae: str
    called_ae: str | None
    site: Path | None


def show(settings: Settings, *, as_json: bool) -> int:
    """Print the table in force: its version, who put it there and when."""
    with desk.reading(settings) as opened, read(opened) as connection:
        version = site_rows.in_force(connection)
    if version is None:
        say("no site file is in force yet; write deploy/site.toml and run `dicom-ai apply deploy/site.toml`")
        return 0
    rows = rows_of(version.tables)
    head = {"version": version.number, "by": version.by, "at": version.at.isoformat()}
    if as_json:
        for number, row in enumerate(rows, start=1):
            print_row({**head, "row": number, "task": row.task, "wants": row.wants})
    else:
        title = f"Version {version.number}, put into force by {version.by} at {version.at:%Y-%m-%d %H:%M:%S} UTC"
        lines = [(number, row.task, _said(row.wants)) for number, row in enumerate(rows, start=1)]
        print_table(title, ("row", "task", "what must match"), lines)
    for trap in traps(rows):
        say(f"warning: {trap}")
    return 0


def test(question: Question, settings: Settings, *, as_json: bool) -> int:
    """Print for each file which row takes it; 1 when a file could not be read."""
    paths = files_of(question.paths)
    table, name = _table(question.site, settings)
    called_ae = settings.receive.ae_title if question.called_ae is None else question.called_ae
    answers = []
    for path in paths:
        answer = _answer(path, table, question.calling_ae.strip(), called_ae.strip())
        if answer["task"] is not None and not settings.models.is_enabled(answer["task"]):
            answer["reason"] = "disabled"
        answers.append(answer)
        if as_json:
            print_row({**answer, "table": name})
    if not as_json:
        _print_groups(answers, name)
    for trap in traps(table):
        say(f"warning: {trap}")
    return int(any(row["status"] == "failed" for row in answers))


def _table(site: Path | None, settings: Settings) -> tuple[tuple[Route, ...], str]:
    """The rows asked for, and what to call them."""
    if site is not None:
        return rows_of(read_site(site)), str(site)
    with desk.reading(settings) as opened, read(opened) as connection:
        version = site_rows.in_force(connection)
    return (rows_of(version.tables), f"version {version.number}") if version else ((), "an empty table")


def _answer(path: Path, table: Sequence[Route], calling_ae: str, called_ae: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"file": str(path), "status": "failed", "reason": "unreadable", "task": None, "row": None}
    try:
        instance = instance_of(path)
    except UnreadableInstance:
        return {**answer, "rows": []}
    differences = [row.differences(instance, calling_ae, called_ae) for row in table]
    answer["rows"] = [
        {"row": number, "task": row.task, "differences": [asdict(one) for one in differences[number - 1]]}
        for number, row in enumerate(table, start=1)
    ]
    if instance.barred is not None:
        return {**answer, "status": "unmatched", "reason": instance.barred}
    if () not in differences:
        return {**answer, "status": "unmatched", "reason": "no_task"}
    taken = differences.index(())
    return {**answer, "status": "matched", "reason": None, "task": table[taken].task, "row": taken + 1}


def instance_of(path: Path) -> Instance:
    """The facts of a Part 10 file as the receiver would read them from its sender.

    Raises:
        UnreadableInstance: no Part 10 file, or a data set that the receiver would refuse.
    """
    try:
        meta, offset = split_dataset(path)
        syntax = str(meta.TransferSyntaxUID)
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
            memoryview(content) as whole,
            whole[offset:] as data_set,
        ):
            return Instance.of(scan(data_set, syntax), syntax)
    except (OSError, InvalidDicomError, AttributeError, ValueError, EOFError) as exc:
        raise UnreadableInstance(type(exc).__name__) from exc


def _print_groups(answers: Sequence[Mapping[str, Any]], name: str) -> None:
    """Files with the same answer together: a folder is an exam, and its files differ in nothing that is asked."""
    groups: dict[tuple[str, str], list[str]] = {}
    for answer in answers:
        groups.setdefault((_verdict(answer), _why(answer)), []).append(answer["file"])
    sys.stdout.write(f"What {name} says:\n")
    for (verdict, why), files in groups.items():
        sys.stdout.write("\n".join([f"\n{verdict}", *(f"    {file}" for file in files), why]).rstrip() + "\n")


def _verdict(answer: Mapping[str, Any]) -> str:
    if answer["row"] is None:
        reason = REASONS[answer["reason"]]
        return f"{reason.code}: {reason.meaning}. {reason.remedy}"
    switched = " (analysis is switched off in the settings)" if answer["reason"] == "disabled" else ""
    return f"{answer['task']} by row {answer['row']}{switched}"


def _why(answer: Mapping[str, Any]) -> str:
    """One line for every row that did not take the file."""
    if answer["reason"] in BARRED:
        return ""  # no row is asked
    lines = []
    for row in answer["rows"]:
        if row["row"] != answer["row"]:
            why = "; ".join(_difference(one) for one in row["differences"]) or "matches too, but comes later"
            lines.append(f"  not row {row['row']} ({row['task']}): {why}")
    return "\n".join(lines)


def _difference(one: Mapping[str, str | None]) -> str:
    field, wanted, found = one["field"], one["wanted"], one["found"]
    if found is None:
        return f"no description contains {wanted!r}"
    if found:
        return f"{field} is {found!r}, not {wanted!r}"
    return f"{field} is empty, not {wanted!r}" + (" (give --calling)" if field == "calling_ae" else "")


def _said(wants: Mapping[str, str]) -> str:
    return "\n".join(f"{name} = {value!r}" for name, value in wants.items()) or "(everything)"
