"""kill -9 between the durable steps: what was acknowledged is there, what is in the ledger has its file."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dicom_ai.ports import data_set_digest
from dicom_ai.store import tables
from tests.databases import url_of
from tests.keep_and_die import N_OBJECTS
from tests.ledger import EXPLICIT_LE, place

pytestmark = pytest.mark.databases("verify")

ROOT = Path(__file__).parents[2]
DIGESTS = {data_set_digest(b"content %d" % number, EXPLICIT_LE) for number in range(N_OBJECTS)}

POINTS = [
    ("before sync_file", 5),
    ("after sync_file", 6),
    ("before rename", 5),
    ("after rename", 5),
    ("before sync_directory", 4),
    ("after sync_directory", 5),
    ("before statement", 25),
    ("before statement", 40),
    ("before commit", 3),
    ("after commit", 2),
]


def run(data: Path, step: str, nth: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.keep_and_die", str(data), step, str(nth), url_of(data)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def check(data: Path, acknowledged: set[str]) -> None:
    here = place(data)
    rows = {row.digest for row in here.rows(tables.objects)}
    assert acknowledged <= rows, "an acknowledged object is not in the ledger"
    for digest in rows:
        content = here.files.path(digest).read_bytes()
        assert data_set_digest(content, EXPLICIT_LE) == digest, "a row points at nothing or at other bytes"
    members = {row.object for row in here.rows(tables.members)}
    deliveries = {row.object for row in here.rows(tables.deliveries)}
    assert rows == members == deliveries, "an object without its work"
    assert len(here.jobs.all()) == (2 if rows else 0)
    here.engine.dispose()


@pytest.mark.parametrize(("step", "nth"), POINTS)
def test_killed_anywhere_nothing_acknowledged_is_missing(tmp_path, step, nth):
    killed = run(tmp_path, step, nth)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    acknowledged = set(killed.stdout.split())
    assert acknowledged < DIGESTS, "it was killed too late to show anything"
    check(tmp_path, acknowledged)
    again = run(tmp_path, "never", 1)  # the sender repeats everything
    assert again.returncode == 0, again.stderr
    assert set(again.stdout.split()) == DIGESTS
    check(tmp_path, DIGESTS)
    assert not list((tmp_path / "spool").iterdir())
