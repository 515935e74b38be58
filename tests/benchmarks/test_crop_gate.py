"""What the gate and the emission cost, in milliseconds at 1164 x 873 on one core, and the sound screens let in."""

import statistics
import time

import cv2
import numpy as np
import pytest

from dicom_ai.crop.colour import spread_of, thinned
from dicom_ai.crop.emit import kept
from dicom_ai.crop.gate import DARK, WHITE, require_screen
from dicom_ai.crop.polygon import box_of, polygons_of
from dicom_ai.kept import CropOutcome, mask_of
from dicom_ai.simulate import phantom
from dicom_ai.simulate.drawn_layouts import drawn_layout
from dicom_ai.simulate.screen import Header, layouts, screen

pytestmark = [pytest.mark.verify, pytest.mark.benchmark, pytest.mark.timeout(900)]

SEED, DRAWN, RUNS = 20240312, 120, 41


@pytest.fixture
def one_core():
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


def milliseconds(call):
    taken = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        call()
        taken.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(taken)


def still(layout):
    drawn = phantom.lung(3, labels={"a_lines"}, size=(layout.picture[3], layout.picture[2]))
    return screen(drawn, layout, Header())


@pytest.mark.parametrize("channels", [1, 3])
def test_emission_of_a_frame(one_core, figure, channels):
    shown = still(layouts()["logiq-e9-still"])
    rows, columns = shown.sector_mask.shape
    keep = polygons_of(shown.sector_mask)
    outcome = CropOutcome("cropped", None, rows, columns, 1, keep=keep, box=box_of(mask_of(keep, rows, columns)))
    frame = np.ascontiguousarray(np.repeat(shown.frames[0][..., None], channels, axis=2))
    first = milliseconds(lambda: kept([frame], [1], outcome))
    ten_more = milliseconds(lambda: kept([frame] * 11, range(1, 12), outcome))
    look = milliseconds(lambda: require_screen(frame, [(2, 109, 1058, 806)]))
    later = (ten_more - first) / 10
    what = f"1164 x 873, {channels} channel(s), one core, {RUNS} runs"
    figure(f"emission of a further frame, {what}", f"{later:.2f} ms (first frame {first:.2f} ms)", "1 ms")
    figure(f"look at a frame as a screen, {what}", f"{look:.2f} ms", "none")
    assert later <= 1.0


def test_no_sound_screen_is_refused(figure):
    rng = np.random.default_rng(SEED)
    dark, white, spread = [], [], []
    for layout in [*layouts().values(), *(drawn_layout(rng, f"drawn-{n}") for n in range(DRAWN))]:
        shown = still(layout)
        frame = shown.frames[0][..., None]
        x0, y0, x1, y1 = layout.region
        require_screen(frame, [(x0, y0, x1 + 1, y1 + 1)])
        grid, _ = thinned(frame)
        dark.append(float((grid.max(axis=2) <= DARK).mean()))
        white.append(float((grid.min(axis=2) >= WHITE).mean()))
        spread.append(spread_of(grid))
    figure(
        f"sound screens the gate lets in, {DRAWN} of them drawn with seed {SEED}",
        f"{len(dark)} of {len(dark)}; near black {min(dark):.2f} to {max(dark):.2f}, white at most {max(white):.2f}",
        "all",
    )
