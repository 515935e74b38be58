"""Splits: what stays together, what never moves, what a file proves."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collected import data_set
from train.split import PARTS, beside, divided, read_split, shares_of

NOWHERE = Path("nowhere")
PATIENTS = st.lists(st.integers(0, 40).map(lambda n: f"{n:032x}"), min_size=6, max_size=60)
SEEDS = st.integers(0, 5)


def sides(split, made, fold=0):
    """Patient -> parts."""
    of = {clip.id: clip.patient for clip in made.clips}
    found: dict[str, set[str]] = {}
    for part in PARTS:
        for member in split.folds[fold][part]:
            found.setdefault(of[member.partition("#")[0]], set()).add(part)
    return found


@given(PATIENTS, PATIENTS, SEEDS, st.sampled_from(["6:2:2", "9:1"]))
def test_a_patient_never_moves_when_others_are_added(patients, others, seed, scheme):
    made, grown = data_set(NOWHERE, patients), data_set(NOWHERE, [*others, *patients])
    before, after = sides(divided(made, scheme, seed), made), sides(divided(grown, scheme, seed), grown)
    assert {name: after[name] for name in before} == before


@given(PATIENTS, SEEDS, st.sampled_from(["6:2:2", "9:1", "kfold:3", "kfold:5"]))
def test_parts_are_disjoint_by_patient_and_hold_everything_once(patients, seed, scheme):
    made = data_set(NOWHERE, patients)
    if scheme.startswith("kfold") and len(set(patients)) < int(scheme[-1]):
        with pytest.raises(ValueError, match="cannot be divided"):
            divided(made, scheme, seed)
        return
    split = divided(made, scheme, seed)
    for number, fold in enumerate(split.folds):
        assert sorted(member for part in PARTS for member in fold[part]) == sorted(clip.id for clip in made.clips)
        assert all(len(parts) == 1 for parts in sides(split, made, number).values())


@given(PATIENTS.filter(lambda names: len(set(names)) >= 5), SEEDS)
def test_every_clip_is_tested_once_over_the_folds(patients, seed):
    split = divided(data_set(NOWHERE, patients), "kfold:5", seed)
    tested = [member for fold in split.folds for member in fold["test"]]
    assert len(tested) == len(set(tested)) == len(patients)


def test_shares_hold_on_average():
    made = data_set(NOWHERE, [f"{n:032x}" for n in range(5000)])
    (fold,) = divided(made, "6:2:2", 0).folds
    counts = [len(fold[part]) / 5000 for part in PARTS]
    assert counts == pytest.approx([0.6, 0.2, 0.2], abs=0.02)  # three standard deviations of a share are 0.021
    assert not divided(made, "9:1", 0).folds[0]["test"]


def test_another_seed_divides_otherwise():
    made = data_set(NOWHERE, [f"{n:032x}" for n in range(50)])
    assert divided(made, "6:2:2", 0).folds != divided(made, "6:2:2", 1).folds
    assert divided(made, "6:2:2", 0) == divided(made, "6:2:2", 0)


def test_folds_are_balanced_by_classes():
    names = ("a_lines", "b_lines", "pleural_effusion", "consolidation")
    clips = []
    for patient in range(50):
        kind = {name: float(name == ("a_lines" if patient < 10 else "b_lines")) for name in names}
        clips += [*data_set(NOWHERE, [f"{patient:032x}"], labels=kind).clips]
    made = data_set(NOWHERE, ["0"])
    made = replace(made, clips=tuple(replace(c, id=f"{n:024x}", first=2 * n) for n, c in enumerate(clips)))
    few = {clip.id for clip in made.clips if clip.labels["a_lines"]}
    assert [len(few & set(fold["test"])) for fold in divided(made, "kfold:5", 0).folds] == [2] * 5


def test_rows_are_those_of_the_clips_and_of_single_frames():
    made = data_set(NOWHERE, [f"{n:032x}" for n in range(20)], frames=3)
    by_patient, by_image = divided(made, "6:2:2", 0), divided(made, "6:2:2", 0, by="image")
    for split in (by_patient, by_image):
        rows = np.concatenate([split.rows(made, 0, part) for part in PARTS])
        assert sorted(rows) == list(range(60))
    assert max(len(parts) for parts in sides(by_image, made).values()) > 1


def test_a_split_of_another_data_set_is_refused():
    made, other = data_set(NOWHERE, ["1", "2"]), data_set(NOWHERE, ["1", "3"])
    with pytest.raises(ValueError, match="another data set"):
        divided(made, "9:1", 0).rows(other, 0, "train")


def test_a_split_by_image_names_the_one_beside_it():
    made = data_set(NOWHERE, [f"{n:032x}" for n in range(20)])
    grouped = divided(made, "6:2:2", 0)
    assert beside(divided(made, "6:2:2", 0, by="image"), grouped).beside == grouped.digest


def test_a_file_reads_back_and_shows_that_it_was_changed(tmp_path):
    split = divided(data_set(NOWHERE, [f"{n:032x}" for n in range(20)]), "6:2:2", 3)
    split.write(tmp_path / "split.json")
    assert read_split(tmp_path / "split.json") == split
    told = json.loads((tmp_path / "split.json").read_text())
    told["folds"][0]["test"].append(told["folds"][0]["train"].pop())
    (tmp_path / "split.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match="digest"):
        read_split(tmp_path / "split.json")


@pytest.mark.parametrize("scheme", ["6", "6:2:2:1", "6:-2", "a:b", "6:0", "kfold:2", "kfold:x", ""])
def test_what_is_no_scheme_is_refused(scheme):
    with pytest.raises(ValueError, match="scheme"):
        divided(data_set(NOWHERE, ["1", "2", "3"]), scheme, 0)


def test_shares_add_up():
    assert sum(shares_of("9:1")) == pytest.approx(1)
