"""Training and promotion open no socket: the kernel would end the process, whoever in it asked."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.signed import evidence
from train.keys import make_keys
from train.recipe import RECIPES

ROOT = Path(__file__).parents[2]
TINY = {  # of the shipped recipe: what makes it small
    "train = { first_seed = 1_000_000, count = 3000 }": "train = { first_seed = 1_000_000, count = 12 }",
    "validation = { first_seed = 2_000_000, count = 600 }": "validation = { first_seed = 2_000_000, count = 12 }",
    "test = { first_seed = 3_000_000, count = 400 }": "test = { first_seed = 3_000_000, count = 4 }",
    "batch = 32": "batch = 4",
    "size = 192": "size = 64",
}


def watched(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The module in a process that may open no socket of an internet family."""
    command = [sys.executable, "-m", "tests.no_network", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=1500)


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


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["promote", "--help"]], ids=" ".join)
def test_importing_what_trains_opens_no_socket(words: list[str]) -> None:
    done = watched("train", *words)
    assert done.returncode == 0, done.stderr


@pytest.mark.verify
@pytest.mark.timeout(1800)  # it also measures the figures of the card
def test_fit_and_promote_open_no_socket(tmp_path: Path) -> None:
    text = (RECIPES / "demo-lung.toml").read_text(encoding="utf-8")
    for old, new in TINY.items():
        assert old in text, old
        text = text.replace(old, new)
    (tmp_path / "tiny.toml").write_text(text, encoding="utf-8")
    run = str(tmp_path / "run")
    cache = ("--cache", str(tmp_path / "cache"), "--workers", "2", "--limit-epochs", "1")
    done = watched("train", "fit", str(tmp_path / "tiny.toml"), "--out", run, *cache)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    from models.card import read_card

    card = read_card(Path(run))
    names = [one.id for one in card.classes]
    metrics = {"macro": {"auc": 0.5, "f1": 0.5}, "per_class": {n: {"auc": 0.5, "f1": 0.5, "n": 1} for n in names}}
    report = evidence(tmp_path / "report.json", card, metrics)
    pair = make_keys(tmp_path, "ana")
    words = ("--to", str(tmp_path / "to"), "--key", str(pair.private), "--who", "Ana", "--evidence", str(report))
    done = watched("train", "promote", run, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "to" / "signature.json").is_file()
