"""Work files: what is missing or damaged is made again, what ended is swept."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from dicom_ai.kept import CropOutcome, Kept
from dicom_ai.store.workfiles import WorkFiles, work_folder

OUTCOME = CropOutcome("cropped", None, 10, 12, 3, box=(0, 0, 5, 4))
KEPT = Kept(np.arange(40, dtype=np.uint8).reshape(2, 4, 5, 1), (1, 3), OUTCOME)
HEAT = {2: np.full((2, 4, 5), 7, np.uint8)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return work_folder(tmp_path)


def test_a_work_file_comes_back_as_it_was_saved(folder: Path) -> None:
    work = WorkFiles(folder)
    work.save("a", KEPT, HEAT)
    found = work.load("a", OUTCOME)
    assert found is not None
    assert np.array_equal(found[0].frames, KEPT.frames)
    assert (found[0].frame_numbers, found[0].outcome) == ((1, 3), OUTCOME)
    assert list(found[1]) == [2]
    assert np.array_equal(found[1][2], HEAT[2])


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_work_file_cut_by_a_power_failure_is_none(folder: Path, share: float) -> None:
    work = WorkFiles(folder)
    work.save("a", KEPT, HEAT)
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert work.load("a", OUTCOME) is None


def test_a_work_file_with_a_flipped_bit_is_none(folder: Path) -> None:
    work = WorkFiles(folder)
    work.save("a", KEPT, HEAT)
    (path,) = folder.iterdir()
    content = bytearray(path.read_bytes())
    content[content.index(KEPT.frames.tobytes())] ^= 1
    path.write_bytes(content)
    assert work.load("a", OUTCOME) is None


def test_sweep_removes_what_nobody_touched(folder: Path) -> None:
    work = WorkFiles(folder)
    work.save("old", KEPT, HEAT)
    (folder / "old.0a1b.part").write_bytes(b"half")
    for path in folder.iterdir():
        os.utime(path, (time.time() - 1000, time.time() - 1000))
    work.save("young", KEPT, {})
    assert work.sweep(900) == 2
    assert work.load("old", OUTCOME) is None
    assert work.load("young", OUTCOME) is not None


def test_a_half_written_file_goes_with_its_own_unless_it_is_being_written(tmp_path):
    files = WorkFiles(tmp_path)
    left, young, other = tmp_path / "a.0001.part", tmp_path / "a.0002.part", tmp_path / "b.0003.part"
    for path in (left, young, other):
        path.write_bytes(b"half")
    for path in (left, other):
        os.utime(path, (0, 0))
    files.remove("a")
    assert sorted(tmp_path.iterdir()) == [young, other]
