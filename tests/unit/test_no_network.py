"""Training, judging and promoting open no socket: the kernel would end the process, whoever in it asked."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def watched(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The module in a process that may open no socket of an internet family."""
    command = [sys.executable, "-m", "tests.no_network", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=280)


@pytest.fixture(scope="module", autouse=True)
def kernel() -> None:
    done = watched("tests.unit.opens_local_socket")
    if "takes no filter" in done.stderr or "KeyError" in done.stderr:
        pytest.skip("this kernel lets no process limit itself")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [[], ["6"], ["child"]], ids=["IPv4", "IPv6", "in a child process"])
def test_a_socket_ends_the_process(words: list[str]) -> None:
    done = watched("tests.unit.opens_socket", *words)
    assert done.returncode in {-signal.SIGSYS, 7}, done.stderr  # 7: the child was killed, as its parent tells
    assert "open" not in done.stdout


def test_importing_what_trains_opens_no_socket() -> None:
    done = watched("train", "--help")
    assert done.returncode == 0, done.stderr


def test_training_judging_and_promoting_open_no_socket(tmp_path: Path) -> None:
    done = watched("tests.unit.trains_judges_promotes", str(tmp_path))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "image/svg" in (tmp_path / "beside" / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "promoted" / "signature.json").is_file()
