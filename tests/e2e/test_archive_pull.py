"""Studies pulled out of Debian's Orthanc: the same set by every way, complete after every kill, and nothing twice."""

import random
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from dicom_ai.report.header import part10
from tests.peers import Orthanc, orthanc
from tests.pulled import DAYS, Ways, begun, digests, lies_in, pull, send, studies, ways

pytestmark = pytest.mark.e2e
Archive = tuple[Orthanc, dict[str, tuple[str, ...]], list[Dataset]]
WAYS = ("C-GET", "C-MOVE", "DICOMweb")


def archive_of(folder: Path, count: int, patients: int) -> Iterator[Archive]:
    known: Ways = ways()
    held = studies(count, patients)
    with orthanc(folder, **known.options) as pacs:
        send(pacs, held)
        yield pacs, known.of(pacs), held


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    yield from archive_of(tmp_path_factory.mktemp("orthanc"), 12, 5)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    yield from archive_of(tmp_path_factory.mktemp("orthanc"), 300, 60)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_brings_the_same_set(small: Archive, tmp_path: Path, way: str) -> None:
    _, words, held = small
    code, refused, last = pull(tmp_path / "out", *words[way], *DAYS)
    assert (code, refused, last["complete"], last["trouble"]) == (0, [], True, None)
    assert (last["studies"], last["have"], last["wanted"]) == (12, 24, 0)
    assert lies_in(tmp_path / "out") == digests(held)
    assert pull(tmp_path / "out", *words[way], *DAYS)[2] == last, "again does no harm"


def test_what_was_pulled_from_one_folder_to_another_is_the_same(tmp_path: Path) -> None:
    held = studies(4, 2)
    (tmp_path / "in").mkdir()
    for number, ds in enumerate(held):
        (tmp_path / "in" / f"{number}.dcm").write_bytes(part10(ds))
    (tmp_path / "in" / "readme.txt").write_text("no DICOM")
    code, _, last = pull(tmp_path / "out", "--folder", str(tmp_path / "in"), *DAYS)
    assert (code, last["have"]) == (0, 8)
    assert lies_in(tmp_path / "out") == digests(held)


def test_a_run_that_was_killed_goes_on(small: Archive, tmp_path: Path) -> None:
    _, words, held = small
    out = tmp_path / "out"
    run = begun(out, *words["C-GET"], *DAYS, "--rate", "8/s")
    try:
        wait_for(lambda: len(list((out / "store").rglob("*.dcm"))) >= 5, run)
    finally:
        run.kill()
        run.wait(10)
    some = len(list((out / "store").rglob("*.dcm")))
    assert 5 <= some < 24
    code, _, last = pull(out, *words["C-GET"], *DAYS)
    assert (code, last["have"], last["complete"]) == (0, 24, True)
    assert lies_in(out) == digests(held)


def wait_for(happened: Callable[[], bool], run: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert run.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.02)


@pytest.mark.verify
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("way", WAYS)
def test_three_hundred_studies(
    large: Archive, tmp_path: Path, way: str, figure: Callable[[str, str, str], None]
) -> None:
    _, words, held = large
    begin = time.monotonic()
    code, refused, last = pull(tmp_path / "out", *words[way], *DAYS)
    took = time.monotonic() - begin
    assert (code, refused, last["studies"], last["have"]) == (0, [], 300, 600)
    truth, got = digests(held), lies_in(tmp_path / "out")
    assert got == truth
    told = f"{len(got)} of {len(truth)} objects, all digests equal, in {took:.0f} s"
    figure(f"300 studies of 60 patients pulled from Orthanc by {way}", told, "the same set by digest")


@pytest.mark.verify
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("way", WAYS)
def test_killed_at_random_points_it_becomes_complete(
    large: Archive, tmp_path: Path, way: str, figure: Callable[[str, str, str], None]
) -> None:
    _, words, held = large
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - repeats a failure
    chance, out, kills, truth = random.Random(seed), tmp_path / "out", 0, digests(held)
    while kills < 40:
        run = begun(out, *words[way], *DAYS)
        try:
            code = run.wait(timeout=chance.uniform(1.0, 5.0))
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait(10)
            kills += 1
            continue
        assert code == 0
        break
    code, refused, last = pull(out, *words[way], *DAYS)
    assert (code, refused, last["have"], last["complete"]) == (0, [], 600, True)
    assert lies_in(out) == truth
    print(f"{kills} kills")  # noqa: T201
    told = f"{kills} kills at random points (seed {seed}), complete, nothing twice"
    figure(f"300 studies pulled by {way}, killed and begun again", told, "complete without a duplicate")
    assert kills >= 3, "it was never killed while it worked"
