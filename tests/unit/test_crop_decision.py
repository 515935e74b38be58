import numpy as np
import pytest

from dicom_ai.crop.decision import LEAST_CONFIDENCE, LEAST_STEADY, decide
from dicom_ai.crop.polygon import rectangle
from dicom_ai.crop.region import RegionVote
from dicom_ai.crop.support import Support
from dicom_ai.kept import CropOutcome, mask_of

SIZE = (600, 800)
REGION = (100, 50, 700, 550)


def vote(*boxes, reason=None):
    return RegionVote(boxes, reason, len(boxes))


def support(*boxes, confidence=0.97):
    return Support(tuple(rectangle(box) for box in boxes), "rectangle", confidence)


def test_agreeing_witnesses_keep_their_common_part_less_a_margin():
    outcome = decide(vote(REGION), None, support((150, 30, 650, 500)), size=SIZE, frames=1)
    assert (outcome.status, outcome.reason) == ("cropped", None)
    mask = mask_of(outcome.keep, *SIZE)
    common = mask_of([rectangle((152, 52, 648, 498))], *SIZE)
    assert not (mask & ~common).any()
    assert mask.sum() / common.sum() >= 0.99
    assert outcome.box == (152, 52, 647, 497)


@pytest.mark.parametrize(
    ("said", "shown", "reason"),
    [
        pytest.param(vote(reason="no_regions"), None, "no_regions", id="silent object"),
        pytest.param(vote(reason="region_overflow"), support(REGION), "region_overflow", id="no belief"),
        pytest.param(vote(REGION), None, "no_picture", id="blind pixels"),
        pytest.param(vote(REGION), support((380, 55, 450, 90)), "no_picture", id="a crumb"),
        pytest.param(vote(REGION), support((0, 60, 300, 500)), "witnesses_disagree", id="sticks out"),
        pytest.param(vote((100, 50, 300, 250)), support(REGION), "witnesses_disagree", id="region of another size"),
        pytest.param(vote(REGION), support((720, 60, 790, 500)), "witnesses_disagree", id="elsewhere"),
        pytest.param(
            vote(REGION), support(REGION, confidence=LEAST_CONFIDENCE - 0.01), "witnesses_disagree", id="unsure"
        ),
    ],
)
def test_anything_else_is_quarantined_with_its_reason(said, shown, reason):
    outcome = decide(said, None, shown, size=SIZE, frames=1)
    assert (outcome.status, outcome.reason, outcome.keep, outcome.box) == ("quarantined", reason, (), None)


@pytest.mark.parametrize(
    ("single", "status"),
    [
        ((1.0, 0.9, 0.8), "cropped"),
        ((1.0, LEAST_STEADY - 0.01, 0.8), "quarantined"),
        ((1.0, 0.9, 0.0), "quarantined"),
    ],
)
def test_frames_of_a_clip_must_agree_with_the_clip(single, status):
    outcome = decide(vote(REGION), None, support(REGION), size=SIZE, frames=30, single=single)
    assert outcome.status == status
    assert outcome.reason == (None if status == "cropped" else "witnesses_disagree")


def test_dual_view_keeps_two_polygons_that_do_not_cross_the_divider():
    outcome = decide(
        vote((10, 50, 400, 550), (400, 50, 790, 550)), None, support((20, 60, 780, 540)), size=SIZE, frames=1
    )
    assert len(outcome.keep) == 2
    assert not mask_of(outcome.keep, *SIZE)[:, 398:402].any()


def test_nothing_outside_either_witness_is_ever_kept():
    random = np.random.default_rng(11)
    kept = 0
    for _ in range(60):
        x, y = np.sort(random.integers(0, 800, 2)), np.sort(random.integers(0, 600, 2))
        shown = (int(x[0]), int(y[0]), int(x[1]) + 2, int(y[1]) + 2)
        outcome = decide(vote(REGION), None, support(shown), size=SIZE, frames=1)
        mask = mask_of(outcome.keep, *SIZE)
        assert not (mask & ~mask_of([rectangle(shown)], *SIZE)).any(), (shown, "seed 11")
        assert not (mask & ~mask_of([rectangle(REGION)], *SIZE)).any(), (shown, "seed 11")
        kept += outcome.status == "cropped"
    assert kept > 5


def test_votes_are_small_json_and_survive_the_row():
    outcome = decide(vote(REGION), None, support(REGION), size=SIZE, frames=1)
    assert outcome.votes is not None
    assert set(outcome.votes) == {"regions", "layout", "support"}
    assert outcome.votes["support"] | {"steady": 1.0, "inside": 1.0} == outcome.votes["support"]
    assert CropOutcome.of(outcome.row()) == outcome
