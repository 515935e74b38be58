from itertools import combinations

import cv2
import numpy as np
import pytest

from dicom_ai.simulate.geometry import random_sector
from dicom_ai.simulate.phantom import LUNG_SIGNS, UTERINE_LABELS, Phantom, air, lung, noise, uterus, wrong_organ

SIZE = (240, 300)
SIGNS = sorted(LUNG_SIGNS)
LESIONS = [label for label in UTERINE_LABELS if label != "normal"]


def every_kind(seed: int) -> dict[str, Phantom]:
    made = {name: lung(seed, labels={name}, size=SIZE) for name in SIGNS}
    made |= {label: uterus(seed, label=label, size=SIZE) for label in UTERINE_LABELS}
    made["none"] = lung(seed, labels=(), size=SIZE)
    made |= {f.__name__: f(seed, size=SIZE) for f in (wrong_organ, air, noise)}
    return made


@pytest.mark.parametrize("seed", range(3))
def test_same_seed_same_pixels_and_other_seed_other_pixels(seed):
    first, again, other = every_kind(seed), every_kind(seed), every_kind(seed + 100)
    for name, phantom in first.items():
        assert np.array_equal(phantom.frames, again[name].frames), name
        assert not np.array_equal(phantom.frames, other[name].frames), name


@pytest.mark.parametrize("seed", range(3))
def test_black_outside_the_sector_and_lit_inside(seed):
    for name, phantom in every_kind(seed).items():
        assert phantom.frames.shape == (1, *SIZE)
        assert phantom.frames.dtype == np.uint8
        assert not phantom.frames[:, ~phantom.sector_mask].any(), name
        assert phantom.frames[:, phantom.sector_mask].any(), name


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", SIGNS)
def test_a_sign_is_masked_within_the_sector_and_nothing_changes_outside_the_mask(seed, name):
    phantom = lung(seed, labels={name}, size=SIZE, frames=2)
    mask = phantom.signs[name]
    assert set(phantom.signs) == phantom.labels == {name}
    assert mask.any()
    assert not (mask & ~phantom.sector_mask).any()
    assert np.array_equal(phantom.frames[:, ~mask], phantom.twin[:, ~mask])
    assert np.abs(phantom.frames[:, mask].astype(int) - phantom.twin[:, mask]).mean() > 4


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("label", LESIONS)
def test_a_lesion_is_masked_and_nothing_changes_outside_the_mask(seed, label):
    phantom = uterus(seed, label=label, size=SIZE, frames=2)
    mask = phantom.signs[label]
    assert phantom.labels == {label}
    assert 0.002 < mask.sum() / phantom.sector_mask.sum() < 0.4
    assert np.array_equal(phantom.frames[:, ~mask], phantom.twin[:, ~mask])
    assert np.abs(phantom.frames[:, mask].astype(int) - phantom.twin[:, mask]).mean() > 4


@pytest.mark.parametrize("seed", range(3))
def test_the_twin_is_the_picture_without_the_sign(seed):
    without = lung(seed, labels=(), size=SIZE)
    assert without.twin is None
    assert without.signs == {}
    for name in SIGNS:
        assert np.array_equal(lung(seed, labels={name}, size=SIZE).twin, without.frames)
    normal = uterus(seed, label="normal", size=SIZE)
    assert normal.labels == {"normal"}
    assert np.array_equal(uterus(seed, label="endometrial_polyp", size=SIZE).twin, normal.frames)


@pytest.mark.parametrize("pair", list(combinations(SIGNS, 2)))
def test_two_signs_are_both_drawn_side_by_side(pair):
    phantom = lung(11, labels=pair, size=SIZE)
    assert phantom.labels == set(pair) == set(phantom.signs)
    first, second = (phantom.signs[name] for name in pair)
    assert (first & second).sum() < 0.5 * min(first.sum(), second.sum())
    for mask in (first, second):
        own = mask & ~(first & second)
        assert np.abs(phantom.frames[:, own].astype(int) - phantom.twin[:, own]).mean() > 4


def test_a_clip_moves_and_its_first_frame_is_the_still():
    clip = lung(5, labels={"b_lines"}, size=SIZE, frames=6)
    assert clip.frames.shape == (6, *SIZE)
    assert np.array_equal(clip.frames[:1], lung(5, labels={"b_lines"}, size=SIZE).frames)
    steps = [np.abs(a.astype(int) - b).mean() for a, b in zip(clip.frames, clip.frames[1:], strict=False)]
    assert all(0.5 < step < 60 for step in steps), steps


def test_unknown_labels_are_refused():
    with pytest.raises(ValueError, match="unknown lung signs"):
        lung(1, labels={"endometrial_polyp"})
    with pytest.raises(ValueError, match="unknown label"):
        uterus(1, label="a_lines")


@pytest.mark.parametrize("kind", ["curvilinear", "transvaginal"])
@pytest.mark.parametrize("seed", range(4))
def test_polygon_and_mask_of_a_sector_are_the_same_shape(kind, seed):
    sector = random_sector(np.random.default_rng(seed), kind, (400, 600), 9.0)
    drawn = np.zeros((400, 600), np.uint8)
    # Pixel (r, c) is the square [c, c+1] x [r, r+1]; fillPoly counts from pixel centres.
    cv2.fillPoly(drawn, [np.round((np.array(sector.polygon()) - 0.5) * 16).astype(np.int32)], 1, shift=4)
    mask = sector.mask(400, 600)
    assert (mask & (drawn > 0)).sum() / (mask | (drawn > 0)).sum() > 0.99
    assert sector.cm_per_px * (sector.r1 - sector.r0) == pytest.approx(9.0)
    rows, columns = np.nonzero(mask)
    assert rows.min() >= 0
    assert 0 < columns.min() < columns.max() < 599  # nothing is cut off at the sides


def test_a_given_sector_is_used():
    sector = random_sector(np.random.default_rng(3), "curvilinear", SIZE, 10.0)
    for phantom in (lung(1, labels=(), size=SIZE, sector=sector), air(1, size=SIZE, sector=sector)):
        assert phantom.sector == sector
        assert np.array_equal(phantom.sector_mask, sector.mask(*SIZE))


def rank_auc(a: np.ndarray, b: np.ndarray) -> float:
    return float((a[:, None] > b[None, :]).mean() + 0.5 * (a[:, None] == b[None, :]).mean())


@pytest.mark.slow
def test_settings_do_not_depend_on_the_label_and_brightness_does_not_betray_it():
    small = (120, 150)
    brightness = {
        name: np.array([_mean(lung(1000 * k + i, labels={name}, size=small)) for i in range(60)])
        for k, name in enumerate(SIGNS)
    }
    for a, b in combinations(SIGNS, 2):
        assert 0.3 < rank_auc(brightness[a], brightness[b]) < 0.7, (a, b)
    for seed in range(3):
        assert len({lung(seed, labels={name}, size=small).sector for name in SIGNS}) == 1


def _mean(phantom: Phantom) -> float:
    return float(phantom.frames[:, phantom.sector_mask].mean())


@pytest.mark.parametrize("count", [400, pytest.param(1200, marks=[pytest.mark.verify, pytest.mark.slow])])
def test_a_linear_model_of_a_downsample_stays_under_sixty_percent(count):
    """Chance is 25 %. Place, brightness and depth must not name a sign; shape must."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    pictures = np.empty((count, 48 * 48), np.float32)
    for i in range(count):
        frame = lung(10_000 + i, labels={SIGNS[i % 4]}, size=SIZE).frames[0]
        pictures[i] = cv2.resize(frame, (48, 48), interpolation=cv2.INTER_AREA).ravel() / 255
    truth, learnt = np.arange(count) % 4, 2 * count // 3
    for strength in (0.001, 0.01, 0.1):
        model = linear_model.LogisticRegression(C=strength, max_iter=2000)
        model.fit(pictures[:learnt], truth[:learnt])
        assert model.score(pictures[learnt:], truth[learnt:]) <= 0.60
