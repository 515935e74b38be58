"""Small studies of invented patients for an archive, and folders pulled from it.

The header is a simulated scanner's; the picture is a square of noise, because nobody looks at it here. As a module it
is the command `pull` alone, which starts in a second.
"""

import dataclasses
import json
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import typer
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from dicom_ai.report.header import part10
from dicom_ai.simulate.dataset import Moment, add_pixels, identified
from dicom_ai.simulate.device import device
from dicom_ai.simulate.patients import patient_of
from dicom_ai.store.files import part10_digest
from tests.peers import Orthanc, free_port
from train.commands import pull as command

ROOT = Path(__file__).parents[1]
SCANNERS = ("logiq-e9", "epiq-7c", "aplio-i800", "mindray-nuewa-r9s")
FIRST, SIDE = datetime(2025, 1, 6, 8), 16  # noqa: DTZ001 - scanners write local time without a zone
DAYS = ("--since", "2025-01-01", "--until", "2025-12-31")

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(command.command)


def study(number: int, patients: int, *, scanner: str = "logiq-e9", clip: bool = False) -> list[Dataset]:
    """Two stills, or a still and a clip; the patients have their studies in turn, fifteen of them a day."""
    rng, begun = np.random.default_rng(number), FIRST + timedelta(minutes=97 * number)
    made = []
    for image in (1, 2):
        moment = Moment(10_000 + number, image, begun, begun + timedelta(seconds=40 * image))
        made_by = dataclasses.replace(device(scanner), padded_study_uid=False)  # over DIMSE, DCMTK pads UIDs anew
        ds = identified("lung", patient_of(number % patients), moment, made_by)
        ds.AccessionNumber = f"ACC{number:05d}"
        frames = rng.integers(0, 255, (3 if clip and image == 2 else 1, SIDE, SIDE, 3), np.uint8)
        add_pixels(ds, frames, made_by, compressed=True)
        made.append(ds)
    return made


def studies(count: int, patients: int) -> list[Dataset]:
    """Every third one with a clip; of scanners that store uncompressed, lossless, lossy and run-length coded."""
    return [ds for n in range(count) for ds in study(n, patients, scanner=SCANNERS[n % 4], clip=n % 3 == 0)]


def digests(objects: Iterable[Dataset]) -> dict[str, str]:
    """SOP Instance UID -> digest."""
    return {str(ds.SOPInstanceUID).strip(): part10_digest(part10(ds)) for ds in objects}


def lies_in(folder: Path) -> dict[str, str]:
    """SOP Instance UID -> digest of what a pulled folder holds; fails where plan and files differ."""
    with closing(sqlite3.connect(folder / "pull.sqlite")) as plan:
        told = dict(plan.execute("SELECT uid, digest FROM objects WHERE state = 'have'").fetchall())
    files = [(path.stem, part10_digest(path.read_bytes())) for path in (folder / "store").rglob("*.dcm")]
    assert all(name == digest for name, digest in files)
    assert sorted(name for name, _ in files) == sorted(told.values()), "file without a row, row without a file, or two"
    assert list((folder / "spool").iterdir()) == []
    return told


def pull(out: Path, *words: str) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """Run the command in this process: how it ended, what it refused, and its last row."""
    done = CliRunner().invoke(app, ["--out", str(out), "--json", *words])
    rows = [json.loads(line) for line in done.stdout.splitlines() if line[:1] == "{"]
    assert rows, done.output
    return done.exit_code, rows[:-1], rows[-1]


def begun(out: Path, *words: str) -> subprocess.Popen[bytes]:
    """The command in a process of its own, which can be killed."""
    words = (sys.executable, "-m", "tests.pulled", "--out", str(out), "--json", *words)
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def send(pacs: Orthanc, objects: Sequence[Dataset]) -> None:
    """Put objects into an archive over its REST interface, byte for byte."""
    for ds in objects:
        request = urllib.request.Request(f"http://127.0.0.1:{pacs.http_port}/instances", part10(ds), method="POST")
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 200


class Ways:
    """How one Orthanc is asked, in words of the command."""

    def __init__(self, receiver: int) -> None:
        self.receiver = receiver

    @property
    def options(self) -> dict[str, Any]:
        """Of its configuration: it knows our receiver."""
        return {"DicomModalities": {"dicom_ai": ["DICOM_AI", "127.0.0.1", self.receiver]}}

    def of(self, pacs: Orthanc) -> dict[str, tuple[str, ...]]:
        """Words by name."""
        at = f"{pacs.ae_title}@{pacs.host}:{pacs.port}"
        return {
            "C-GET": ("--from", at),
            "C-MOVE": ("--from", at, "--move", f"DICOM_AI@127.0.0.1:{self.receiver}"),
            "DICOMweb": ("--dicomweb", f"http://127.0.0.1:{pacs.http_port}/dicom-web"),
        }


def ways() -> Ways:
    """With a free port for the receiver."""
    return Ways(free_port())


if __name__ == "__main__":
    app()
