"""Real ultrasound objects, if they lie beside the repository: none crashes, reasons are true, layouts are cropped."""

from pathlib import Path

import pytest

from dicom_ai.crop.cropper import Cropper
from dicom_ai.kept import mask_of

FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "us"
FILES = sorted(FOLDER.glob("*.dcm"))

# Stem begins with this: expected reason, None for cropped.
EXPECTED = {
    "acme-": "no_regions",
    "atl-": "no_regions",
    "ge-logiq700": "no_regions",
    "philips-cx50-ob_cut350rows": "region_overflow",
    "sonosite": "region_overflow",
    "mindray-dc30": "no_picture",  # probe in air
    "philips-cx50": "no_picture",  # probe in air
    "acuson": "witnesses_disagree",  # the region ends above the picture's last rows
    "aloka": "witnesses_disagree",  # a full bladder leaves half of the sides black
    "esaote": "witnesses_disagree",  # the lower half of the picture is black
    "ge-logiqe-r11": None,
    "hp-echo": None,
    "philips-clearvue650": None,
    "philips-epiq5g_explicit_mono": None,  # a depth is written across a corner, which is taken off
    "philips-epiq5g_explicit_mono_27f": "witnesses_disagree",  # probe in air: a side is black
    "philips-epiq7c": "witnesses_disagree",  # the picture fades out above its lower arc
}

# Boxes x0, y0, x1, y1 that a person saw on the screen: text, logo, bar or mark beside the picture, never kept.
FORBIDDEN = {
    "ge-logiqe-r11": [(0, 0, 1660, 67), (2, 67, 60, 100), (2, 170, 60, 420), (1240, 60, 1660, 860)],
    "philips-clearvue650": [(0, 0, 800, 60), (0, 60, 118, 600), (275, 75, 296, 98), (160, 495, 240, 545)],
    "philips-epiq5g_explicit_mono.": [(0, 0, 1024, 60), (0, 60, 122, 768), (930, 60, 1024, 768)],
    "philips-epiq5g_explicit_mono_27f": [(0, 0, 800, 45), (0, 45, 95, 600), (735, 45, 800, 600)],
    "philips-epiq7c": [(0, 0, 1024, 125), (0, 360, 135, 500), (820, 300, 850, 340), (0, 690, 1024, 768)],
    "esaote": [(0, 0, 800, 72), (0, 72, 182, 555), (184, 330, 800, 555)],
    "hp-echo": [(438, 0, 480, 430), (0, 0, 40, 430), (360, 60, 438, 110), (42, 374, 480, 430)],
    "aloka": [(0, 0, 640, 23), (0, 416, 640, 480), (165, 24, 225, 44), (32, 40, 62, 104), (540, 24, 640, 44)],
    "acuson": [(0, 0, 320, 16), (0, 218, 320, 240), (8, 66, 19, 76)],
}  # fmt: skip

pytestmark = pytest.mark.skipif(not FILES, reason=f"the real objects are not there ({FOLDER})")


@pytest.fixture(scope="module")
def cropper():
    with Cropper(children=1, memory_mib=768, timeout_s=30.0, recycle_after=100) as real:
        yield real


def entry_of(table, file):
    return table[max((start for start in table if file.name.startswith(start)), key=len)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_outcome_is_the_true_one(cropper, file):
    outcome, kept = cropper.crop(file, 8)
    assert outcome.reason == entry_of(EXPECTED, file)
    assert (outcome.status == "cropped") == (kept is not None)
    if kept is None:
        return
    mask = mask_of(outcome.keep, outcome.rows, outcome.columns)
    x0, y0, x1, y1 = outcome.box
    assert not kept.frames[:, ~mask[y0:y1, x0:x1]].any()
    assert kept.frames.any()
    for left, top, right, bottom in entry_of(FORBIDDEN, file):
        assert not mask[top:bottom, left:right].any(), (left, top, right, bottom)


def test_copies_of_one_acquisition_are_cropped_alike(cropper):
    for start in ("aloka", "acuson"):
        outcomes = [cropper.crop(file, 1)[0] for file in FILES if file.name.startswith(start)]
        assert len(outcomes) == 2
        assert len({outcome.reason for outcome in outcomes}) == 1, start
        masks = [mask_of(outcome.keep, outcome.rows, outcome.columns) for outcome in outcomes]
        assert (masks[0] & masks[1]).sum() >= 0.97 * (masks[0] | masks[1]).sum(), start
