"""What the reader of the export proof finds, what it takes for text that is none, and what it costs."""

import shutil
import statistics
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from dicom_ai.crop.ocr import BARS, Reader
from dicom_ai.crop.tiles import tiles
from dicom_ai.simulate import phantom
from tests.written import clean, is_at, windows, written

pytestmark = [pytest.mark.verify, pytest.mark.benchmark, pytest.mark.timeout(7200)]

SEED = 20
EACH = 5
HEIGHTS = (8, 10, 12, 16, 24, 40)
CONTRASTS = (25, 50, 80, 120)
GROUNDS = range(100, 112)
PICTURES = 120
SHARED = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(scope="module")
def sheet():
    """Every cell of height x contrast x script x ground, EACH times: (cell, Written)."""
    rng = np.random.default_rng(SEED)
    grounds = [clean(seed) for seed in GROUNDS]
    supply = {dark: windows(rng, grounds, dark=dark) for dark in (False, True)}
    return [
        ((height, contrast, chinese, dark), written(rng, next(supply[dark]), height, contrast, chinese=chinese))
        for height in HEIGHTS
        for contrast in CONTRASTS
        for chinese in (False, True)
        for dark in (False, True)
        for _ in range(EACH)
    ]


def noted(figure, who, found):
    """One figure for each script, ground and contrast: found per height."""
    for chinese in (False, True):
        for dark in (False, True):
            for contrast in CONTRASTS:
                hits = [
                    [hit for (h, c, z, d), hit in found if (h, c, z, d) == (height, contrast, chinese, dark)]
                    for height in HEIGHTS
                ]
                script, ground = ("Chinese" if chinese else "Latin"), ("dark" if dark else "speckle")
                cells = ", ".join(f"{height}: {sum(hit)}/{len(hit)}" for height, hit in zip(HEIGHTS, hits, strict=True))
                figure(
                    f"{who} finds {script} text over {ground} at +{contrast}, by letter height (px), seed {SEED}", cells
                )


def test_text_found(sheet, figure):
    reader = Reader(threads=2)
    found = []
    for cell, one in sheet:
        readings = reader.find(one.picture[None, :, :, None])
        found.append((cell, any(is_at(reading.box, one.box) for reading in readings)))
    noted(figure, "Text reader", found)
    plain = [
        hit
        for (height, contrast, _, dark), hit in found
        if height >= 10 and (contrast >= 120 or (dark and contrast >= 80))
    ]
    figure("Text reader finds plain text (>= 10 px; +120 over speckle, +80 over dark)",
           f"{sum(plain)}/{len(plain)}", ">= 90 %")  # fmt: skip
    assert sum(plain) >= 0.9 * len(plain)


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed (tesseract-ocr-chi-sim)")
def test_text_found_by_a_second_reader(sheet, figure, tmp_path):
    """Tesseract on the same windows, enlarged as ours are; not a part of the service."""
    found = []
    for cell, one in sheet[::EACH]:
        cv2.imwrite(
            str(tmp_path / "window.png"), cv2.resize(one.picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        )
        said = subprocess.run(
            ["tesseract", str(tmp_path / "window.png"), "-", "-l", "chi_sim+eng", "--psm", "11", "tsv"],
            capture_output=True, text=True, check=True, env={"OMP_THREAD_LIMIT": "1", "PATH": "/usr/bin:/bin"},
        ).stdout.splitlines()  # fmt: skip
        found.append((cell, any(_is_word_at(line.split("\t"), one.box) for line in said[1:])))
    noted(figure, "Tesseract", found)


def _is_word_at(fields, target):
    """A word of two letters or digits and half sure, at the place (columns of Tesseract's TSV)."""
    if len(fields) < 12 or float(fields[10]) < 50 or sum(map(str.isalnum, fields[11])) < 2:
        return False
    left, top, width, height = (int(value) // 2 for value in fields[6:10])
    return is_at((left, top, left + width, top + height), target)


def test_false_alarms_on_drawn_pictures(figure):
    reader = Reader(threads=2)
    alarms = sum(bool(reader.find(clean(seed)[None, :, :, None])) for seed in range(30_000, 30_000 + PICTURES))
    figure("Text reader: false alarms on drawn pictures without text, 560 x 700", f"{alarms}/{PICTURES}", "<= 2 %")
    assert alarms <= 0.02 * PICTURES


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real pictures are not there ({SHARED})")
@pytest.mark.parametrize("folder", ["lung/pocus", "uterus/uterus_tvus"])
def test_alarms_on_real_pictures(figure, folder):
    """Not all false: some pictures do hold a mark or a letter. No bar."""
    reader, files = Reader(threads=2), sorted((SHARED / folder).glob("*.jpg"))[::7][:30]
    alarms = sum(bool(reader.find(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)[None, :, :, None])) for file in files)
    figure(f"Text reader: pictures with a reading, real {folder.split('/')[0]}", f"{alarms}/{len(files)}", "")


@pytest.mark.parametrize("threads", [1, 2])
def test_cost(figure, threads):
    frames = phantom.lung(7, labels=["b_lines"], frames=136, size=(630, 1000)).frames[..., None]
    reader, times = Reader(threads=threads), []
    reader.find(frames[:1, :64, :64])
    for frame in frames[:9]:
        begin = time.perf_counter()
        reader.find(frame[None])
        times.append(time.perf_counter() - begin)
    shown = len(list(tiles(frames[:1], 1)))
    still = statistics.median(times)
    figure(
        f"Text reader: a still of 630 x 1000, {threads} threads", f"{still:.1f} s, {1000 * still / shown:.0f} ms a tile"
    )
    for count in (30, 136):
        begin = time.perf_counter()
        reader.find(frames[:count])
        figure(f"Text reader: a clip of {count} frames of 630 x 1000, {threads} threads",
               f"{time.perf_counter() - begin:.0f} s")  # fmt: skip


def test_the_bars_are_ordered():
    assert sorted(BARS.values(), reverse=True) == list(BARS.values())
