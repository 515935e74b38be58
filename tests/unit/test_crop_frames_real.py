"""Real ultrasound objects, if they lie beside the repository: copies of one acquisition in other syntaxes are alike."""

from pathlib import Path

import numpy as np
import pytest

from dicom_ai.crop.child import _read
from dicom_ai.crop.frames import frames_of

FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "us"
FILES = sorted(FOLDER.glob("*.dcm"))

pytestmark = [
    pytest.mark.skipif(not FILES, reason=f"the real objects are not there ({FOLDER})"),
    pytest.mark.filterwarnings("ignore:Incorrect value for Specific Character Set"),
]


def frames(name, count=1):
    with (FOLDER / f"{name}.dcm").open("rb") as file:
        return frames_of(_read(file, deflated=False), range(1, count + 1)).astype(int)


@pytest.mark.parametrize(
    ("first", "second", "count", "tolerance"),
    [
        ("ge-logiq700-us1_explicit_rgb_tiffpreamble", "ge-logiq700-us1_j2k-lossless_ybrrct", 1, 0),
        ("ge-logiq700-us1_explicit_rgb_tiffpreamble", "ge-logiq700-us1_rle_rgb_tiffpreamble", 1, 0),
        ("acme-tee_explicit_rgb", "acme-tee_explicit_rgb-planar", 1, 0),
        ("acme-echo_rle_palette_10f", "acme-echo_jpegls_palette_10f", 10, 0),
        ("philips-cx50-ob_explicit_palette", "philips-cx50-ob_bigendian_palette", 1, 0),
        ("aloka-ssd4000-dual_implicit_palette16", "aloka-ssd4000-dual_bigendian_palette16", 1, 0),
    ],
)
def test_copies_are_equal(first, second, count, tolerance):
    assert np.abs(frames(first, count) - frames(second, count)).max() <= tolerance


@pytest.mark.parametrize(
    ("first", "second", "count", "mean"),
    [
        ("ge-logiq700-us1_explicit_rgb_tiffpreamble", "ge-logiq700-us1_j2k-lossy_ybrict", 1, 3),
        ("acuson-echo_implicit_rgb_8f", "acuson-echo_jpeg-fragmented_ybrfull_8f", 8, 3),
    ],
)
def test_lossy_copies_are_alike(first, second, count, mean):
    assert np.abs(frames(first, count) - frames(second, count)).mean() <= mean


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_background_is_near_black(file):
    with file.open("rb") as stream:
        (frame,) = frames_of(_read(stream, deflated=False), [1])
    median = np.median(frame.reshape(-1, frame.shape[2]), axis=0)
    assert np.ptp(median) <= 12, "no tint"
    # a tenth of every screen is background
    assert np.percentile(frame.max(axis=2), 10) <= 40
