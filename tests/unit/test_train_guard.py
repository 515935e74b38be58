"""The guard lets no patient, clip or near-duplicate stand in two parts unless somebody names it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collected import data_set, picture
from tests.unit.test_train_split import NOWHERE, PATIENTS, SEEDS
from train.guard import KINDS, Leak, guarded, leaks
from train.near import NEAR, bits_apart, hashes_of
from train.split import divided

FAR = 128


def apart(made, *near):
    bits = np.full((len(made.clips),) * 2, FAR, np.uint16)
    np.fill_diagonal(bits, 0)
    for i, j in near:
        bits[i, j] = bits[j, i] = NEAR
    return bits


def parted(made, scheme="6:2:2"):
    """A split, and two clips of it in different parts."""
    split = divided(made, scheme, 0)
    ids = [clip.id for clip in made.clips]
    return split, ids.index(split.folds[0]["train"][0]), ids.index(split.folds[0]["test"][0])


@pytest.fixture
def made():
    return data_set(NOWHERE, [f"{n:032x}" for n in range(30)])


@given(PATIENTS, SEEDS, st.sampled_from(["6:2:2", "9:1"]))
def test_a_split_by_patient_passes(patients, seed, scheme):
    made = data_set(NOWHERE, patients)
    assert guarded(divided(made, scheme, seed), made, apart(made)).allowed == {}


@given(PATIENTS.filter(lambda names: len(set(names)) < len(names)), SEEDS, st.randoms(use_true_random=False))
def test_a_patient_in_two_parts_is_always_found(patients, seed, chance):
    made = data_set(NOWHERE, patients)
    twice = next(name for name in patients if patients.count(name) > 1)
    moved = next(clip.id for clip in made.clips if clip.patient == twice)
    split = divided(made, "6:2:2", seed)
    (fold,) = split.folds
    target = chance.choice([part for part in fold if moved not in fold[part]])
    wrong = {part: tuple(m for m in fold[part] if m != moved) + ((moved,) if part == target else ()) for part in fold}
    with pytest.raises(Leak, match="1 x patient"):
        guarded(replace(split, folds=(wrong,)), made, apart(made))


def test_nearly_the_same_picture_in_two_parts_is_found_and_may_pass_by_name(made):
    split, i, j = parted(made)
    bits = apart(made, (i, j))
    with pytest.raises(Leak, match=r"1 x near_duplicate .*--allow near_duplicate"):
        guarded(split, made, bits)
    with pytest.raises(Leak):
        guarded(split, made, bits, ["patient", "clip"])
    passed = guarded(split, made, bits, ["near_duplicate"])
    assert passed.allowed == {"near_duplicate": 1}
    assert passed.digest != split.digest


def test_nearly_the_same_picture_in_one_part_is_no_leak(made):
    split, i, _ = parted(made)
    other = next(n for n, clip in enumerate(made.clips) if clip.id == split.folds[0]["train"][1])
    assert leaks(split, made, apart(made, (i, other))) == []


def test_a_split_by_image_leaks_and_says_so(made):
    split = divided(made, "6:2:2", 0, by="image")
    assert {one.kind for one in leaks(split, made, apart(made))} == {"clip", "patient"}
    assert guarded(split, made, apart(made), KINDS).allowed["clip"] > 0


@pytest.mark.parametrize("change", ["twice", "unknown", "missing", "frame"])
def test_a_split_that_is_none_of_the_data_set_is_refused(made, change):
    split = divided(made, "6:2:2", 0)
    fold = {part: list(members) for part, members in split.folds[0].items()}
    if change == "twice":
        fold["test"].append(fold["test"][0])
    elif change == "unknown":
        fold["test"].append("f" * 24)
    elif change == "missing":
        fold["train"].pop()
    else:
        fold["train"].append(f"{fold['train'].pop()}#9")
    with pytest.raises(Leak):
        guarded(replace(split, folds=({part: tuple(m) for part, m in fold.items()},)), made, apart(made))


def test_what_may_pass_has_a_name(made):
    with pytest.raises(ValueError, match="near_duplicate"):
        guarded(divided(made, "9:1", 0), made, apart(made), ["everything"])


def squares(count):
    """Drawn lungs of one outline, uint8 (count, 256, 256)."""
    return np.stack([cv2.resize(picture(seed, "a_lines"), (256, 256)) for seed in range(count)])


def test_the_same_picture_after_compression_scaling_or_light_is_near_and_others_are_not():
    drawn = squares(8)
    changed = []
    for one in drawn:
        _, coded = cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, 50])
        small = cv2.resize(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), (128, 128), interpolation=cv2.INTER_AREA)
        changed.append(np.clip(cv2.resize(small, (256, 256)) * 1.15, 0, 255).astype(np.uint8))
    made = data_set(NOWHERE, [str(n) for n in range(16)], frames=1)
    bits = bits_apart(hashes_of(np.concatenate([drawn, np.stack(changed)])), made.clips)
    assert max(bits[n, n + 8] for n in range(8)) <= NEAR
    others = bits[:8, :8][np.triu_indices(8, 1)]
    assert others.min() > NEAR


def test_the_distance_of_two_clips_is_that_of_their_nearest_frames():
    frames = squares(5)
    made = data_set(NOWHERE, ["1", "2"], frames=3)
    bits = bits_apart(hashes_of(frames[[0, 1, 2, 3, 1, 4]]), made.clips)
    assert bits[0, 1] == bits[1, 0] == 0
