"""The command `validate`: what the validators a PACS team would use say of files, and our own list of points.

dciodvfy (dicom3tools) for every object, dcentvfy (likewise) for all together, dsrdump (DCMTK) and PixelMed for
reports, `report.checklist` for results of this project, alone and together. Validators quote values, a patient's name
among them: a row holds the sentence and the attribute, and of values nothing unless somebody asks. What this is not: a
judgement. Old scanners' images break rules without harm; our own results must not.
"""

import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import KeyObjectSelectionDocumentStorage

from dicom_ai.commands import pixelmed
from dicom_ai.commands.offline_crop import files_of
from dicom_ai.errors import SettingsError
from dicom_ai.report.checklist.judge import complaints, is_ours, set_complaints
from dicom_ai.report.structured import SR_CLASSES
from dicom_ai.rows import print_row, print_table, say

TOOLS = {"dciodvfy": "dicom3tools", "dcentvfy": "dicom3tools", "dsrdump": "dcmtk", "pixelmed": pixelmed.PACKAGE}
"""Validator -> the Debian and Ubuntu package that brings it."""

OURS = "points"
"""Name of our own list in the rows; it needs nothing installed."""

_OPTIONS = {"dciodvfy": ["-new"], "dsrdump": []}
_LIMIT_S = 60.0
_TEMPLATES = {*SR_CLASSES, KeyObjectSelectionDocumentStorage}  # classes whose templates PixelMed knows of ours
_REPORTS = "1.2.840.10008.5.1.4.1.1.88."
_ERROR, _WARNING = ("Error", "E:", "F:"), ("Warning", "W:")
_NAMES = re.compile(r"<(?:/[^<>]*|[A-Za-z]+)>")  # an attribute's path, or the name of a module, element or entity
_NAMED = re.compile(r"(?:^\w+ - |Module=|Element=|IE=)$")


def validate(paths: Sequence[Path], *, with_values: bool, as_json: bool, without: frozenset[str] = frozenset()) -> int:
    """Print what the validators say; 1 when one of them found an error, 2 when one is missing that was needed.

    Args:
        paths: files and folders.
        with_values: show what the validators quote from the objects.
        as_json: one object per line.
        without: validators that are not asked.

    Raises:
        SettingsError: a path does not exist, no validator is installed, or one is left out that there is not.
    """
    if without - {*TOOLS, OURS}:
        raise SettingsError(f"no such validator; there are {', '.join((*TOOLS, OURS))}")
    missing = {name for name in TOOLS if not is_installed(name)}
    if missing == set(TOOLS):
        raise SettingsError(f"no validator is installed; apt-get install {' '.join(sorted(set(TOOLS.values())))}")
    rows, needed = [], set()
    for row in _rows(files_of(paths), with_values=with_values, without=without):
        if row["tool"] in missing:
            needed.add(row["tool"])
            continue
        rows.append(row)
        if as_json:
            print_row(row)
    if not as_json:
        lines = [(row["file"], row["tool"], row["errors"], row["warnings"], "\n".join(row["findings"])) for row in rows]
        print_table("Validators", ("file", "tool", "errors", "warnings", "findings"), lines)
    for name in sorted(needed):
        say(f"{name} is not installed and was left out; apt-get install {TOOLS[name]}")
    if any(row["errors"] for row in rows):
        return 1
    return 2 if needed else 0


def is_installed(tool: str) -> bool:
    """Whether one of `TOOLS` can be asked."""
    return pixelmed.is_installed() if tool == "pixelmed" else shutil.which(tool) is not None


def findings(tool: str, *paths: Path) -> list[str]:
    """The complaints of one validator as it writes them, values included.

    Args:
        tool: one of `TOOLS`, installed.
        paths: one file; for dcentvfy all files of a study.

    Returns:
        Lines that say Error or Warning; one of ours when the tool failed to come to an end.
    """
    command = pixelmed.command(paths[0]) if tool == "pixelmed" else [tool, *_OPTIONS.get(tool, []), *map(str, paths)]
    limit = pixelmed.LIMIT_S if tool == "pixelmed" else _LIMIT_S
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        return [f"Error - {tool} took longer than {limit:g} s"]
    if tool == "pixelmed":
        return pixelmed.complaints(done.stdout)
    # what dsrdump writes to its standard output is the report itself
    said = (done.stderr if tool == "dsrdump" else done.stdout + done.stderr).split("\n")
    found = [line for line in said if line.startswith(_ERROR + _WARNING)]
    if done.returncode < 0:
        found.append(f"Error - {tool} died of signal {-done.returncode}")
    return found


def without_values(line: str) -> str:
    """A validator's line without what it quotes from the object.

    Names of attributes, modules and entities stay; from the first other bracket to the last one nothing does, for a
    value may hold brackets of its own.

    Examples:
        >>> without_values("Warning - </PatientName(0010,0010)> - Value dubious = <Doe> - Retired form")
        'Warning - </PatientName(0010,0010)> - Value dubious = <...> - Retired form'
    """
    at = line.find("<")
    while at >= 0:
        name = _NAMES.match(line, at)
        if name is None or not _NAMED.search(line[:at]):
            end = line.rfind(">")
            return f"{line[:at]}<...>{line[end + 1 :] if end > at else ''}"
        at = line.find("<", name.end())
    return line


def _rows(files: Sequence[Path], *, with_values: bool, without: frozenset[str]) -> Iterator[dict[str, Any]]:
    classes = {file: _sop_class(file) for file in files}
    for file, sop_class in classes.items():
        if sop_class is None:
            yield _row(file, None, ["Error - no DICOM file with File Meta Information"])
    asked = [(tool, file) for tool, file in _questions(classes) if tool not in without]
    there = [(tool, file) for tool, file in asked if is_installed(tool)]
    small = [(tool, file) for tool, file in there if tool != "pixelmed"]
    large = [(tool, file) for tool, file in there if tool == "pixelmed"]  # gigabytes each: one after another
    with ThreadPoolExecutor(max_workers=2) as pool:
        answers = chain(pool.map(lambda one: findings(*one), small), (findings(*one) for one in large))
        for (tool, file), lines in zip([*small, *large], answers, strict=True):
            yield _row(file, tool, lines if with_values else [_plain(tool, line) for line in lines])
    for tool, file in asked:
        if (tool, file) not in there:
            yield _row(file, tool, [])
    together = [file for file, sop_class in classes.items() if sop_class is not None]
    if len(together) > 1 and "dcentvfy" not in without:
        lines = findings("dcentvfy", *together) if is_installed("dcentvfy") else []
        yield _row(None, "dcentvfy", lines if with_values else [without_values(line) for line in lines])
    if OURS not in without:
        yield from _points(together)


def _questions(classes: Mapping[Path, str | None]) -> list[tuple[str, Path]]:
    asked = [("dciodvfy", file) for file, sop_class in classes.items() if sop_class is not None]
    asked += [("dsrdump", file) for file, sop_class in classes.items() if (sop_class or "").startswith(_REPORTS)]
    return asked + [("pixelmed", file) for file, sop_class in classes.items() if sop_class in _TEMPLATES]


def _points(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Our own list; it quotes no values."""
    headers: dict[Path, Dataset] = {}
    for file in files:
        with suppress(InvalidDicomError, OSError, ValueError, EOFError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's remarks on what old scanners wrote
            headers[file] = dcmread(file, stop_before_pixels=True)
    among = list(headers.values())
    for file, ds in headers.items():
        if is_ours(ds):
            yield _row(file, OURS, [complaint.line() for complaint in complaints(ds, among)])
    if len(among) > 1 and any(is_ours(ds) for ds in among):
        yield _row(None, OURS, [complaint.line() for complaint in set_complaints(among)])


def _plain(tool: str, line: str) -> str:
    return pixelmed.without_values(line) if tool == "pixelmed" else without_values(line)


def _row(file: Path | None, tool: str | None, lines: Sequence[str]) -> dict[str, Any]:
    return {
        "file": str(file) if file is not None else None,
        "tool": tool,
        "errors": sum(line.startswith(_ERROR) for line in lines),
        "warnings": sum(line.startswith(_WARNING) for line in lines),
        "findings": list(lines),
    }


def _sop_class(file: Path) -> str | None:
    try:
        return str(read_file_meta_info(file).MediaStorageSOPClassUID)
    except (OSError, InvalidDicomError, AttributeError, ValueError, EOFError):
        return None
