"""By image and by patient: never one without the other, always as a gap, which is paired where it can be."""

from dataclasses import replace

import numpy as np
import pytest

from tests.predicted import predictions, run_folder
from train.evaluate.report import report_of
from train.evaluate.resample import Chance
from train.evaluate.runs import read_run
from train.tables import Predictions

QUICK = Chance(resamples=100)
DATA, SPLIT, BY_IMAGE = {"digest": "a" * 64}, {"digest": "b" * 64, "by": "patient"}, {"digest": "c" * 64, "by": "image"}


def rows(told: Predictions, which) -> Predictions:
    columns = {name: value[which] for name, value in vars(told).items() if isinstance(value, np.ndarray)}
    return replace(told, **columns)


def test_a_split_by_image_never_stands_alone(tmp_path):
    told = predictions(0, patients=12)
    loose = run_folder(tmp_path / "loose", told, recipe="x", data=DATA, split=BY_IMAGE)
    other = run_folder(tmp_path / "other", told, recipe="y", data=DATA, split=SPLIT)
    for folders in ([loose], [loose, other]):
        with pytest.raises(ValueError, match="split by image"):
            report_of([read_run(folder) for folder in folders], QUICK)
    grouped = run_folder(tmp_path / "grouped", told, recipe="x", data=DATA, split=SPLIT)
    report, _ = report_of([read_run(loose), read_run(grouped)], QUICK)
    (gap,) = report["gaps"]
    assert (gap["by_image"], gap["by_patient"]) == ("loose", "grouped")
    assert gap["rows"][0]["by_image"] == gap["rows"][0]["by_patient"]  # the predictions are the same here
    assert gap["rows"][0]["gap"] == {"value": 0, "low": 0, "high": 0}


def test_the_gap_is_paired_over_frames_in_any_order_and_never_over_other_frames(tmp_path):
    told = predictions(0, patients=12)
    better = replace(told, logits=told.logits + 2 * (np.nan_to_num(told.truth) - 0.5).astype(np.float32))
    mixed = rows(better, np.random.default_rng(0).permutation(len(told.clip)))
    grouped = run_folder(tmp_path / "grouped", told, recipe="x", data=DATA, split=SPLIT)
    for name, one in (("mixed", mixed), ("fewer", rows(better, np.arange(len(told.clip)) % 5 > 0))):
        loose = run_folder(tmp_path / name, one, recipe="x", data=DATA, split=BY_IMAGE)
        (gap,) = report_of([read_run(loose), read_run(grouped)], QUICK)[0]["gaps"]
        found = {row["figure"]: row["gap"] for row in gap["rows"]}
        assert found["macro/auc"]["value"] > 0
        assert (found["macro/auc"]["low"] is None) == (name == "fewer")
        assert found["pleural_effusion/auc"] is None  # too few patients


def test_the_split_beside_is_the_one_that_was_named(tmp_path):
    told = predictions(0, patients=12)
    loose = run_folder(tmp_path / "loose", told, recipe="x", data=DATA, split=BY_IMAGE | {"beside": "d" * 64})
    grouped = run_folder(tmp_path / "grouped", told, recipe="x", data=DATA, split=SPLIT)
    with pytest.raises(ValueError, match="split by image"):
        report_of([read_run(loose), read_run(grouped)], QUICK)
