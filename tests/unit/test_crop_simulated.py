"""Simulated scanner screens, whose sector and furniture are known: IoU, and no label of the box is ever kept."""

import numpy as np
import pytest

from dicom_ai.crop.decision import decide
from dicom_ai.crop.region import RegionVote
from dicom_ai.crop.support import picture_support
from dicom_ai.kept import mask_of
from dicom_ai.simulate import phantom
from dicom_ai.simulate.screen import Header, layouts, screen, sector_size

PICTURES = {
    "lung without a sign": lambda seed, size: phantom.lung(seed, labels=[], size=size),
    "effusion and B-lines": lambda seed, size: phantom.lung(seed, labels=["b_lines", "pleural_effusion"], size=size),
    "fibroid": lambda seed, size: phantom.uterus(seed, label="submucous_fibroid", size=size),
    "noise": lambda seed, size: phantom.noise(seed, size=size, shape="curvilinear"),
}


USUAL = ("logiq-e9-still", "logiq-e9-clip", "other-vendor")


@pytest.mark.parametrize(
    ("layout", "name", "seed"),
    [
        pytest.param(
            layout, name, seed, marks=() if layout in USUAL or (seed, name) == (21, "fibroid") else pytest.mark.verify
        )
        for layout in sorted(layouts())
        for name in PICTURES
        for seed in (21, 22)
    ],
)
def test_sector_is_kept_and_no_furniture(layout, name, seed):
    made = screen(PICTURES[name](seed, sector_size(layout)), layout, Header(caption="LEFT LOWER"))
    x0, y0, x1, y1 = made.region
    vote = RegionVote(((x0, y0, x1 + 1, y1 + 1),), None, 1)
    grey = made.frames[0]
    outcome = decide(vote, None, picture_support(grey), size=(grey.shape[0], grey.shape[1]), frames=1)
    assert outcome.status == "cropped"
    mask = mask_of(outcome.keep, *grey.shape)
    assert (mask & made.sector_mask).sum() / (mask | made.sector_mask).sum() >= 0.95
    assert not (mask & made.furniture).any()
    label = np.zeros_like(mask)
    label[y0 : y0 + 22, x0 : x0 + 110] = True  # the model's name inside the region box
    if layout.startswith("logiq"):
        assert (made.furniture & label).any()
    assert not (mask & label).any()
