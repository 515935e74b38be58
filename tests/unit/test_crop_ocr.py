"""The reader of the export proof: reads what a person reads, says nothing about speckle, and tells nobody."""

import ast
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import pytest

from dicom_ai.crop.ocr import BARS, Reader, Reading
from dicom_ai.errors import ModelError
from dicom_ai.simulate import phantom
from dicom_ai.simulate.lettering import Face, letters
from tests import architecture

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def reader():
    return Reader(threads=1)


@pytest.fixture(scope="module")
def ground():
    """Speckle of a drawn lung, uint8 (260, 400), nothing written on it."""
    return phantom.lung(7, labels=["b_lines"]).frames[0, 150:410, 150:550]


def burned(picture, text, at, height=16, level=230, face=Face("uni")):  # noqa: B008 - a frozen value
    out = picture.copy()
    for letter in letters(text, face, height):
        (x, y), (h, w) = letter.at, letter.coverage.shape
        part = out[at[1] + y : at[1] + y + h, at[0] + x : at[0] + x + w]
        alpha = letter.coverage / 255
        part[:] = np.rint(part * (1 - alpha) + alpha * level)
    return out


def clip(*frames):
    return np.stack(frames)[..., None]


def overlap(box, other):
    wide, high = min(box[2], other[2]) - max(box[0], other[0]), min(box[3], other[3]) - max(box[1], other[1])
    return max(0, wide) * max(0, high) / ((other[2] - other[0]) * (other[3] - other[1]))


def test_reads_latin_and_chinese_over_speckle_and_says_where(reader, ground):
    page = burned(burned(ground, "KAMADEN 1971", (40, 60)), "姓名: 方青文", (200, 160))
    found = reader.find(clip(page))
    assert [reading.source for reading in found] == [0] * len(found)
    (latin,) = [reading for reading in found if "KAMADEN" in reading.text]
    (chinese,) = [reading for reading in found if "方青文" in reading.text]
    assert overlap(latin.box, (42, 62, 140, 74)) > 0.9
    assert overlap(chinese.box, (202, 162, 290, 174)) > 0.9
    assert all(0 <= x0 < x1 <= 400 and 0 <= y0 < y1 <= 260 for x0, y0, x1, y1 in (latin.box, chinese.box))


def test_nothing_is_read_where_nothing_is_written(reader, ground):
    assert reader.find(clip(ground)) == ()


def test_what_stands_on_one_frame_only_is_found_in_the_greatest_value(reader, ground):
    small = ground[:128, :256]
    found = reader.find(clip(small, small, burned(small, "GORHA, Lo", (30, 50), level=255), small))
    assert {"max"} <= {reading.source for reading in found}
    assert all("GORHA" in reading.text for reading in found)


def test_what_is_dark_on_bright_is_found_in_the_least_value(ground):
    frames = [np.full((96, 224), 200, np.uint8)] * 5
    frames[3] = burned(frames[0], "ID 4711-08", (30, 40), level=20)
    sources = {reading.source for reading in Reader(every=5).find(clip(*frames))}
    assert "min" in sources
    assert "max" not in sources


@pytest.mark.parametrize("colour", [(255, 60, 60), (60, 60, 255), (255, 255, 0)])
def test_coloured_letters_are_read(reader, ground, colour):
    coverage = burned(np.zeros((96, 224), np.uint8), "NEOL 2031", (30, 40), level=255)[..., None] / 255.0
    page = np.rint(ground[:96, :224, None] // 2 * (1 - coverage) + coverage * np.array(colour)).astype(np.uint8)
    assert any("2031" in reading.text for reading in reader.find(page[None]))


def test_black_frames_cost_nothing_and_load_nothing():
    idle = Reader()
    assert idle.find(np.zeros((3, 50, 50, 1), np.uint8)) == ()
    assert idle._networks is None


def test_a_reading_does_not_show_what_was_read():
    reading = Reading("KAMADEN", 0.97, (1, 2, 3, 4), "mean")
    assert "KAMADEN" not in f"{reading} {reading!r} {[reading]}"


@pytest.mark.parametrize(
    ("text", "score", "counts"),
    [
        ("A", 1.0, False),
        ("--: ..", 1.0, False),
        ("AB", BARS[2] - 0.01, False),
        ("AB", BARS[2], True),
        ("方青", BARS[2], True),
        ("A-1.2", BARS[3], True),
        ("ABCDEFG", BARS[4], True),
        ("ABCDEFG", BARS[4] - 0.01, False),
    ],
)
def test_what_counts(text, score, counts):
    assert Reading(text, score, (0, 0, 1, 1), 0).counts is counts


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"every": 0}])
def test_a_reader_of_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        Reader(**wrong)


def test_a_reader_that_cannot_read_says_so(monkeypatch, ground):
    from rapidocr.ch_ppocr_rec import TextRecognizer

    monkeypatch.setattr(TextRecognizer, "__call__", lambda self, asked: type("Said", (), {
        "txts": [""] * len(asked.img), "scores": [0.0] * len(asked.img),
    }))  # fmt: skip
    with pytest.raises(ModelError, match="plain line"):
        Reader().find(clip(ground))


def test_a_missing_network_is_never_fetched(monkeypatch, ground, tmp_path):
    from rapidocr import main

    monkeypatch.setattr(main, "root_dir", tmp_path)
    with pytest.raises(ModelError, match="lacks"):
        Reader().find(clip(ground))


def test_a_network_that_fails_is_an_error_and_no_empty_answer(reader, ground, monkeypatch):
    def fail(_):
        raise RuntimeError("out of memory")

    reader.find(clip(ground[:64, :64]))
    monkeypatch.setattr(reader._networks._detector, "session", fail)
    with pytest.raises(RuntimeError):
        reader.find(clip(ground))


ALONE = """
import json, os, sys
asked = []
def watch(event, args):
    if event.startswith("socket.") and event not in {"socket.__new__", "socket.gethostname"}:
        if event == "socket.bind" and args[1][0] == "::1":  # urllib3 asks the kernel whether it has IPv6
            return
        asked.append(event)
        raise OSError("no network here")
sys.addaudithook(watch)
import cv2, numpy as np
from dicom_ai.crop.ocr import Reader
page = np.zeros((1, 96, 256, 1), np.uint8)
cv2.putText(page[0, :, :, 0], "KAMADEN 88", (20, 60), 0, 0.7, (220,), 1, cv2.LINE_AA)
read = len(Reader().find(page))
held = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
sockets = [at for at in held if os.path.islink(at) and os.readlink(at).startswith("socket:")]
left = [name for top in ("HOME", "TMPDIR") for _, _, names in os.walk(os.environ[top]) for name in names]
print(json.dumps({"read": read, "asked": asked, "sockets": sockets, "left": left}))
"""


def test_nothing_is_downloaded_reported_or_left_behind(tmp_path):
    """In a process of its own: nobody is asked for anything, no file (a device id, a cache) is left."""
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    environment = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""  # what was read is in no log either
    assert json.loads(done.stdout) == {"read": 1, "asked": [], "sockets": [], "left": []}


def test_only_two_modules_load_the_libraries_that_would_report():
    """One tells ONNX Runtime beforehand not to; the reader asks that one first."""
    users = {
        module
        for module, path in architecture.our_modules().items()
        if {"onnxruntime", "rapidocr"}
        & {name.split(".")[0] for name in architecture.imports(ast.parse(path.read_text()))}
    }
    assert users == {"dicom_ai.crop.ocr", "dicom_ai.crop.onnx_runtime"}


def test_both_opencv_packages_are_one_version_and_letters_are_drawn():
    """They lie in one folder and overwrite each other's files."""
    assert version("opencv-python") == version("opencv-python-headless")
    page = np.zeros((60, 200), np.uint8)
    cv2.putText(page, "姓名", (5, 40), (255,), cv2.FontFace("uni"), 30, 400)
    assert page.any()
