import numpy as np
import pytest

from dicom_ai.crop.catalogue import Layout
from dicom_ai.crop.decision import LEAST_CONFIDENCE, LEAST_STEADY, MOST_LOPSIDED, decide, needs_pixels
from dicom_ai.crop.fit import Asked
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


def layout(box, status="approved"):
    return Layout("known", "Maker", "Model", None, *SIZE, (rectangle(box),), status)


def mask_kept(outcome):
    assert outcome.status == "cropped", outcome.reason
    return mask_of(outcome.keep, *SIZE)


def inside(mask, *boxes):
    """Nothing of a mask lies outside of any of the boxes, and nearly all that they share is in it."""
    common = np.logical_and.reduce([mask_of([rectangle(box)], *SIZE) for box in boxes])
    return not (mask & ~common).any() and mask.sum() >= 0.97 * common.sum()


SCAN = (150, 80, 650, 520)


def test_approved_layout_and_picture_that_agree_need_no_region():
    close = (152, 82, 650, 520)
    for reason in ("no_regions", "region_overflow", "region_empty", "region_whole_frame"):
        said = vote(reason=reason)
        assert needs_pixels(said, layout(SCAN))
        assert inside(mask_kept(decide(said, layout(SCAN), support(close), size=SIZE, frames=1)), SCAN, close)


@pytest.mark.parametrize("status", ["published", "approved"])
@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(None, id="no picture"),
        pytest.param(support((150, 80, 650, 480)), id="another depth"),
        pytest.param(support(SCAN, confidence=LEAST_CONFIDENCE - 0.01), id="unsure"),
    ],
)
def test_without_region_anything_less_is_quarantined(status, shown):
    outcome = decide(vote(reason="no_regions"), layout(SCAN, status), shown, size=SIZE, frames=1)
    assert (outcome.status, outcome.reason) == ("quarantined", "no_regions")


def test_published_layout_is_no_witness():
    assert not needs_pixels(vote(reason="no_regions"), layout(SCAN, "published"))
    outcome = decide(vote(reason="no_regions"), layout(SCAN, "published"), support(SCAN), size=SIZE, frames=1)
    assert outcome.reason == "no_regions"
    assert decide(vote(REGION), layout(SCAN, "published"), None, size=SIZE, frames=1).reason == "no_picture"


def test_published_layout_is_a_further_bound():
    bound = (0, 100, 800, 600)
    outcome = decide(vote(REGION), layout(bound, "published"), support(SCAN), size=SIZE, frames=1)
    assert inside(mask_kept(outcome), REGION, bound, SCAN)


def test_approved_layout_stands_in_for_a_picture_that_was_not_found():
    outcome = decide(vote(REGION), layout((50, 80, 650, 520)), None, size=SIZE, frames=1)
    assert inside(mask_kept(outcome), REGION, (50, 80, 650, 520))


def test_approved_layout_stands_in_for_an_unsure_picture_but_not_for_a_mixed_clip():
    unsure = support(SCAN, confidence=LEAST_CONFIDENCE - 0.01)
    assert inside(mask_kept(decide(vote(REGION), layout(SCAN), unsure, size=SIZE, frames=1)), REGION, SCAN)
    mixed = decide(vote(REGION), layout(SCAN), support(SCAN), size=SIZE, frames=9, single=(1.0, 0.1, 1.0))
    assert mixed.reason == "witnesses_disagree"


@pytest.mark.parametrize(("status", "left"), [("approved", 180), ("published", 260)])
def test_picture_outside_of_a_known_layout_is_quarantined(status, left):
    known = (left, 50, 800, 600)
    outcome = decide(vote(REGION), layout(known, status), support(SCAN), size=SIZE, frames=1)
    assert (outcome.status, outcome.reason) == ("quarantined", "layout_disagrees")


def test_what_is_never_tissue_is_cut_out_of_the_region():
    trace = (100, 450, 700, 550)
    outcome = decide(RegionVote((REGION,), None, 2, (trace,)), None, support(SCAN), size=SIZE, frames=1)
    mask = mask_kept(outcome)
    assert not mask[450:550].any()
    assert inside(mask, SCAN, (100, 50, 700, 450))


def test_lopsided_picture_is_no_witness():
    shown = Support((rectangle(SCAN),), "sector", 0.97, lopsided=MOST_LOPSIDED + 0.01)
    assert decide(vote(REGION), None, shown, size=SIZE, frames=1).reason == "witnesses_disagree"


@pytest.mark.parametrize(
    ("region", "status"),
    [
        pytest.param(REGION, "quarantined", id="inside the region"),
        pytest.param((100, 50, 700, 500), "cropped", id="cut"),
    ],
)
def test_edge_that_nobody_sees_matters_where_the_region_does_not_cut_it(region, status):
    lower = tuple(Asked(float(x), 520.0, 0.0, 1.0, x % 100 == 0) for x in range(160, 640, 20))
    upper = tuple(Asked(float(x), 80.0, 0.0, -1.0, True) for x in range(160, 640, 20))
    shown = Support((rectangle(SCAN),), "sector", 0.97, edges=(upper, lower))
    assert decide(vote(region), None, shown, size=SIZE, frames=1).status == status


def test_free_shape_is_no_witness():
    shown = Support((rectangle(SCAN),), "free", 0.97)
    assert decide(vote(REGION), None, shown, size=SIZE, frames=1).reason == "witnesses_disagree"
