"""Predictions to a report: what is judged together, what is not estimable, how sure it is, what may not stand alone."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from dicom_ai.finding import FrameScore, image_score
from tests.predicted import LUNG, curves, predictions, run_folder
from train.__main__ import app
from train.evaluate.calibrate import fitted_elsewhere, loss, temperature_of
from train.evaluate.judge import FEWEST, judged, only
from train.evaluate.report import report_of
from train.evaluate.resample import Chance, draws, interval, resampled
from train.evaluate.runs import VALIDATION, default_rules, read_run
from train.evaluate.units import clips_of, frames_of, probabilities
from train.report_of_test import NoEvidence, read_report
from train.split import divided, read_split
from train.tables import Predictions

QUICK = Chance(resamples=100)
DATA, SPLIT = {"digest": "a" * 64}, {"digest": "b" * 64, "by": "patient"}


def units(told: Predictions, of=frames_of):
    return of(told, probabilities(told.logits, told.head), default_rules(told.class_ids, told.head))


def rows(told: Predictions, mask) -> Predictions:
    columns = {name: value[mask] for name, value in vars(told).items() if isinstance(value, np.ndarray)}
    return replace(told, **columns)


@pytest.mark.parametrize("head", ["sigmoid", "softmax"])
def test_clips_are_pooled_as_the_service_pools(head):
    told = predictions(3, patients=6, head=head)
    made, rules = units(told, clips_of), default_rules(told.class_ids, head)
    probability = probabilities(told.logits, head)
    assert len(made) == 18
    for at, clip in enumerate(made.key):
        there = np.flatnonzero(told.clip == clip)
        scores = [FrameScore(int(told.frame[row]), tuple(probability[row].tolist()), 1.0) for row in there]
        assert made.probability[at].tolist() == pytest.approx(image_score("", scores, rules).probabilities)
        assert made.patient[at] == told.patient[there[0]]
        np.testing.assert_array_equal(made.truth[at], told.truth[there[0]])


def test_the_order_of_rows_changes_nothing():
    told = predictions(4, patients=8)
    mixed = rows(told, np.random.default_rng(0).permutation(len(told.clip)))
    for of in (frames_of, clips_of):
        one, other = (judged(units(each, of), QUICK).row for each in (told, mixed))
        assert json.dumps(_rounded(one)) == json.dumps(_rounded(other))


def _rounded(value):
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, 9) if isinstance(value, float) else value


def test_a_sign_in_one_frame_is_in_the_clip_and_an_unasked_frame_makes_it_unasked():
    told = predictions(5, patients=5, clips=1, frames=3)
    truth = np.zeros_like(told.truth)
    truth[1, 0], truth[1, 1], truth[2, 0] = 1, np.nan, np.nan
    made = units(replace(told, truth=truth), clips_of)
    assert made.truth[0, 0] == 1
    assert np.isnan(made.truth[0, 1])
    assert made.truth[0, 2] == 0


def test_a_class_with_too_few_patients_is_counted_and_not_stated():
    found = judged(units(predictions(0), clips_of), QUICK).row
    effusion = found["classes"]["pleural_effusion"]
    assert effusion["patients"]["positive"] < FEWEST < effusion["patients"]["asked"] == 15
    assert effusion["n"] == 45
    assert not effusion["is_estimable"]
    assert set(effusion["figures"].values()) == {None}
    assert found["macro"]["classes"] == ["a_lines", "b_lines", "consolidation"]
    stated = [found["classes"][name]["figures"]["f1"]["value"] for name in found["macro"]["classes"]]
    assert found["macro"]["figures"]["f1"]["value"] == pytest.approx(np.mean(stated))


def test_many_frames_of_few_patients_stay_few():
    told = predictions(1, patients=FEWEST - 1, clips=10, frames=10)
    assert judged(units(told), QUICK).row["macro"]["classes"] == []


def test_labels_nobody_asked_about_change_no_figure():
    told = predictions(2)
    made = units(told)
    k = made.class_ids.index("consolidation")
    truth = made.truth.copy()
    truth[::3, k] = np.nan
    asked = ~np.isnan(truth[:, k])
    whole, part = (judged(one, QUICK).row["classes"]["consolidation"] for one in
                   (replace(made, truth=truth), made.where(asked)))  # fmt: skip
    values = [{name: one["value"] for name, one in row["figures"].items()} for row in (whole, part)]
    assert values[0] == pytest.approx(values[1])
    assert whole["n"] == part["n"] == int(asked.sum())


def test_one_sign_against_one_other_leaves_out_both_and_a_third():
    told = predictions(0, patients=5, clips=1, frames=1)
    truth = np.array([[1, 0, np.nan, 0], [0, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, np.nan, 0, 0]])
    assert np.array_equal(only(units(replace(told, truth=truth)), 0, 1), [0, 1, *[np.nan] * 3], equal_nan=True)


def test_patients_are_drawn_with_all_that_is_theirs():
    counts = draws(7, QUICK)
    assert (counts.sum(axis=1) == 7).all()
    assert np.array_equal(counts, draws(7, QUICK))
    assert not np.array_equal(counts, draws(7, Chance(100, seed=1)))
    names = np.array(["a", "b", "a", "c"])
    seen = resampled(lambda w: {"same": (w[:, 0] == w[:, 2]).astype(float), "sum": w.sum(axis=1)}, names, QUICK)
    assert seen["same"].all()
    assert {float(n) for n in seen["sum"]} <= {3, 4, 5, 6}


def test_frames_of_one_patient_do_not_make_a_figure_surer():
    told = predictions(6, patients=20, clips=2, frames=2)
    copies = 5
    repeated = rows(told, np.repeat(np.arange(len(told.clip)), copies))
    repeated = replace(repeated, frame=np.tile(np.arange(1, copies + 1), len(told.clip)) + 10 * repeated.frame)
    widths = []
    for one in (told, repeated):
        figure = judged(units(one), QUICK).row["macro"]["figures"]["auc"]
        widths.append((figure["value"], figure["low"], figure["high"]))
    assert widths[0] == pytest.approx(widths[1])


def test_an_interval_covers_what_it_should():
    """200 sets of 30 patients whose recall is 0.7: the 95 % interval holds it in most of them."""
    rng, held = np.random.default_rng(11), 0
    for _ in range(200):
        hit = (rng.random(30) < 0.7).astype(float)
        names = np.array([f"{n}" for n in range(30)])
        values = resampled(lambda w, hit=hit: {"x": w @ hit / 30}, names, Chance(400, seed=int(rng.integers(1e6))))
        low, high = interval(values["x"], 0.95)
        held += low <= 0.7 <= high
    assert 176 <= held <= 199, (
        f"{held} with seed 11"
    )  # 95 % of 200 is 190; percentile intervals of 30 units are a little short


def test_no_interval_where_most_resamples_have_no_figure():
    assert interval(np.array([np.nan, np.nan, 0.5]), 0.95) is None
    assert interval(np.array([np.nan, 0.5, 0.5]), 0.95) == (0.5, 0.5)


@pytest.mark.parametrize("head", ["sigmoid", "softmax"])
def test_a_temperature_is_found_again_and_helps(head):
    rng = np.random.default_rng(8)
    logits = rng.normal(0, 1.5, (4000, 3))
    probability = probabilities(logits, head)
    if head == "softmax":
        truth = np.eye(3)[[rng.choice(3, p=row) for row in probability]]
    else:
        truth = (rng.random(logits.shape) < probability).astype(float)
        truth[rng.random(logits.shape) < 0.1] = np.nan
    assert temperature_of(3 * logits, truth, head) == pytest.approx(3, rel=0.08)
    assert loss(logits, truth, head) < loss(3 * logits, truth, head)


def test_a_temperature_knows_no_label_of_what_it_is_judged_on():
    for told in (predictions(9, folds=3), predictions(9)):
        before = fitted_elsewhere(told, None, seed=0)
        for value in np.unique(before.temperature):
            part = before.temperature == value
            turned = replace(told, truth=np.where(part[:, None], 1 - told.truth, told.truth).astype(np.float32))
            after = fitted_elsewhere(turned, None, seed=0).temperature
            assert after[part] == pytest.approx(before.temperature[part])
            assert not set(told.patient[part]) & set(told.patient[~part])


def test_a_validation_part_that_shares_patients_is_refused(tmp_path):
    told = predictions(0, patients=10)
    folder = run_folder(tmp_path / "run", rows(told, told.patient < told.patient[60]))
    rows(told, told.patient >= told.patient[60]).write(folder / VALIDATION)
    run = read_run(folder)
    assert run.other is not None
    assert fitted_elsewhere(run.told, run.other, 0).on == "validation"
    told.write(folder / VALIDATION)
    with pytest.raises(ValueError, match=r"5 patients or frames .* are judged as well"):
        read_run(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: {"frame": np.ones_like(t.frame)}, "judge a frame twice"),
        (lambda t: {"logits": np.where(t.frame[:, None] == 2, np.nan, t.logits)}, "not finite"),
        (lambda t: {"truth": t.truth + 0.5}, "neither 0 nor 1"),
        (lambda t: {"patient": np.array([f"{n}" for n in range(len(t.frame))])}, "two patients"),
    ],
)
def test_what_cannot_be_judged_is_refused(tmp_path, change, says):
    told = predictions(0, patients=4)
    run_folder(tmp_path, replace(told, **change(told)))
    with pytest.raises(ValueError, match=says):
        report_of([read_run(tmp_path)], QUICK)


def test_differences_are_paired_and_a_run_does_not_differ_from_itself(tmp_path):
    told = predictions(0, patients=20)
    better = replace(told, logits=told.logits + 2 * (np.nan_to_num(told.truth) - 0.5).astype(np.float32))
    folders = [run_folder(tmp_path / name, one) for name, one in (("a", told), ("b", told), ("c", better))]
    report, _ = report_of([read_run(folder) for folder in folders], QUICK)
    same, up = (row["difference"]["macro/auc"] for row in report["compared"][1:])
    assert same == {"value": 0, "low": 0, "high": 0}
    assert 0 < up["low"] <= up["value"] <= up["high"]
    assert "metrics" not in report  # several runs prove none


def test_other_units_are_not_paired(tmp_path):
    one = run_folder(tmp_path / "a", predictions(0, patients=20))
    other = run_folder(tmp_path / "b", predictions(1, patients=20))
    report, _ = report_of([read_run(one), read_run(other)], QUICK)
    assert report["compared"][1]["same_units"] is False
    assert report["compared"][1]["difference"] == {}


def test_a_single_run_is_evidence_that_a_promotion_can_read(tmp_path):
    folder = run_folder(tmp_path / "run", predictions(0), data=DATA, split=SPLIT)
    report, _ = report_of([read_run(folder)], QUICK)
    with pytest.raises(NoEvidence, match="model"):  # no weights lie there
        read_report(json.dumps(report).encode())
    (folder / "weights.safetensors").write_bytes(b"weights")
    report, _ = report_of([read_run(folder)], QUICK)
    read = read_report(json.dumps(report, allow_nan=False).encode())
    figures = report["runs"][0]["levels"]["clip"]["overall"]
    assert read.metrics.macro.auc == figures["macro"]["figures"]["auc"]["value"]
    assert read.metrics.per_class["pleural_effusion"].auc is None
    assert read.metrics.per_class["pleural_effusion"].n == 45
    assert set(read.metrics.per_class) == set(LUNG)


@pytest.mark.parametrize(("language", "heading"), [("en", "Confusion matrix"), ("zh", "混淆矩阵")])
def test_the_command_writes_numbers_and_a_page_that_asks_nobody(tmp_path, language, heading):
    told = predictions(0, patients=16, clips=2, frames=2, folds=2)
    folder = run_folder(tmp_path / "run", told, name="<b>bold</b>", data=DATA, split=SPLIT, curves=curves([0.9, 0.5]))
    words = ["evaluate", str(folder), "--out", str(tmp_path / "out"), "--language", language, "--resamples", "100"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    told_back = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert told_back["schema_version"] == 1
    assert [fold["fold"] for fold in told_back["runs"][0]["levels"]["clip"]["folds"]] == [0, 1]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert heading in page
    assert "<b>bold" not in page
    assert not re.search(r"(src|href)=(?!\"data:image/)|url\(|@import", page), "the page loads something"
    assert "http://" not in page
    assert "https://" not in page
    assert "default-src 'none'" in page
    assert page.count("data:image/svg+xml") == 6  # two matrices, curves, reliability, features, learning


@pytest.mark.parametrize(("words", "says"), [(["--language", "fr"], "--language"), ([], "no predictions.npz")])
def test_the_command_says_what_is_wrong(tmp_path, words, says):
    folder = run_folder(tmp_path / "run", predictions(0, patients=4)) if words else tmp_path
    done = CliRunner().invoke(app, ["evaluate", str(folder), "--out", str(tmp_path / "out"), *words])
    assert done.exit_code == 2
    assert says in done.output.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_the_digest_of_a_split_is_the_one_a_run_states(tmp_path):
    from tests.collected import data_set

    split = divided(data_set(tmp_path, [f"{n:032x}" for n in range(20)]), "6:2:2", 3)
    split.write(tmp_path / "split.json")
    folder = run_folder(tmp_path / "run", predictions(0, patients=6), split={"digest": split.digest, "by": split.by})
    assert read_run(folder).word("split", "digest") == read_split(tmp_path / "split.json").digest
