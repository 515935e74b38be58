"""One layout through a whole clip is steady; a change of depth or layout in mid-clip is not."""

import numpy as np
import pytest

from dicom_ai.crop.decision import LEAST_STEADY
from dicom_ai.crop.steady import steadiness
from dicom_ai.crop.support import picture_support
from dicom_ai.simulate import phantom
from dicom_ai.simulate.screen import Header, screen, sector_size

LAYOUT = "epiq-7c-clip"


def clip(kind: str, seed: int) -> np.ndarray:
    size = sector_size(LAYOUT)
    drawn = {
        "lung": lambda: phantom.lung(seed, labels=["b_lines"], frames=6, size=size),
        "uterus": lambda: phantom.uterus(seed, label="normal", frames=6, size=size),
    }[kind]()
    return screen(drawn, LAYOUT, Header()).frames


@pytest.mark.parametrize("kind", ["lung", "uterus"])
def test_every_frame_of_one_layout_shows_the_picture(kind):
    frames = clip(kind, 900)
    support = picture_support(frames.max(axis=0))
    assert min(steadiness(frame, support) for frame in frames) >= LEAST_STEADY + 0.2


@pytest.mark.parametrize("kind", ["lung", "uterus"])
def test_two_layouts_in_one_clip_are_noticed(kind):
    frames = np.concatenate([clip(kind, 900)[:3], clip(kind, 950)[3:]])
    support = picture_support(frames.max(axis=0))
    assert min(steadiness(frame, support) for frame in frames[[0, 3, 5]]) < LEAST_STEADY
