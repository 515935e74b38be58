"""What a PACS team would hold against a result: errors of dciodvfy, and the text of a report as DCMTK shows it.

Tests that need a tool which is not installed are skipped, visibly.
"""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

import models.card
from dicom_ai.commands.validate import findings


def tool(name: str) -> str:
    """Where a tool lies."""
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


def errors_of(path: Path) -> list[str]:
    """Lines of dciodvfy that say Error."""
    tool("dciodvfy")
    return [line for line in findings("dciodvfy", path) if line.startswith("Error")]


def texts_of(path: Path) -> dict[str, str]:
    """The text of a report as dsrdump and as dsr2html write it; both must take it without complaint."""
    texts = {}
    for name, options in (("dsrdump", ["+Pl"]), ("dsr2html", [])):
        command = [tool(name), *options, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        complaints = [line for line in done.stderr.splitlines() if line.startswith(("E:", "F:"))]
        assert not complaints, f"{name}: {complaints}"
        texts[name] = re.sub(
            r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", done.stdout)) if name == "dsr2html" else done.stdout
        )
    return texts


def classes_of(task: str) -> list[str]:
    """Class ids of the shipped model of a task."""
    for path in sorted((Path(models.card.__file__).parent / "demo").glob("*/card.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        if card["task"] == task:
            return [one["id"] for one in card["classes"]]
    raise AssertionError(f"no model is shipped for {task}")
