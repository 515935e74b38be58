"""Large text a few pixels beside a picture is joined to it on blocks, and is no part of it all the same."""

import cv2
import numpy as np
import pytest

from dicom_ai.commands.bench.cases import cases
from dicom_ai.commands.bench.subject import subject
from dicom_ai.crop.decision import LEAST_SEEN, MOST_LOPSIDED, decide
from dicom_ai.crop.region import RegionVote
from dicom_ai.crop.support import picture_support
from dicom_ai.kept import mask_of

SEEDS = [(44, 27, "side"), (33, 42, "side"), (7, 16, "caption")]
"""Screens on which such a text made the picture lopsided, free, or larger by the text (13 % of it)."""


@pytest.mark.parametrize(("seed", "number", "place"), SEEDS)
def test_large_text_beside_the_picture_is_no_part_of_it(seed, number, place):
    shown = subject(seed, number, "all")
    painted = next(case.painted for case in cases(shown) if case.painted is not None and case.painted.place == place)
    grey, clean = (
        frames.reshape(*frames.shape[:3], -1).max(axis=(0, 3)) for frames in (painted.frames, shown.shown.frames)
    )
    truth, text = shown.shown.sector_mask, grey != clean
    near = cv2.dilate(truth.astype(np.uint8), np.ones((49, 49), np.uint8)) > 0
    assert (text & near).sum() > 50, "the text has moved away from the picture: take another screen"
    support = picture_support(grey)
    assert support is not None
    found = mask_of(support.polygons, *grey.shape)
    assert (found & truth).sum() / (found | truth).sum() >= 0.97
    assert not (found & text & ~truth).any()
    assert support.lopsided <= MOST_LOPSIDED
    x0, y0, x1, y1 = shown.shown.region
    vote = RegionVote(((x0, y0, min(x1 + 1, grey.shape[1]), min(y1 + 1, grey.shape[0])),), None, 1)
    outcome = decide(vote, None, support, size=grey.shape, frames=1)
    assert outcome.status == "cropped"
    assert outcome.votes is not None
    assert outcome.votes["support"]["seen"] >= LEAST_SEEN
