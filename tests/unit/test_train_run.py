"""Runs: from a recipe to predictions, over a stop in the middle, over a collected data set, by several processes."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from dicom_ai.classify.runtime import Classifier
from tests.collected import clip, data_set, store
from train.__main__ import app
from train.evaluate.runs import read_run
from train.fit import Run
from train.recipe import RECIPES, read_recipe
from train.run_folder import run_recipe
from train.source import Source
from train.split import divided

torch.set_num_threads(1)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe `smoke` with fewer pictures, and beside it a folder for them."""
    text = (RECIPES / "smoke.toml").read_text(encoding="utf-8")
    for split, count in (("train", 12), ("validation", 3), ("test", 3)):
        text, n_changed = re.subn(rf"(?m)^({split} = .*count = )\d+", rf"\g<1>{count}", text)
        assert n_changed == 1
    path = tmp_path_factory.mktemp("tiny") / "tiny.toml"
    path.write_text(re.sub(r"(?m)^batch = \d+", "batch = 4", text), encoding="utf-8")
    return path


def words_of(tiny: Path, out: Path, *more: str) -> list[str]:
    cache = ("--cache", str(tiny.parent / "drawn"), "--workers", "1", "--device", "cpu")
    return ["fit", "--recipe", str(tiny), "--out", str(out), *cache, *more]


def fitted(tiny: Path, out: Path, *more: str) -> Any:
    return CliRunner().invoke(app, words_of(tiny, out, *more), catch_exceptions=False)


@pytest.fixture(scope="module")
def whole(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    result = fitted(tiny, out)
    assert result.exit_code == 0, result.output
    return out


def test_smoke_ends_in_a_folder_that_can_be_judged(whole: Path) -> None:
    run = read_run(whole)
    assert run.told.logits.shape == run.told.truth.shape == (3, 4)
    assert run.told.features.shape[1] > 0
    assert run.other is not None
    assert run.weights is not None
    assert [row["epoch"] for row in run.word("curves")] == [1, 2, 3, 4]
    assert all(np.isfinite(row["validation_loss"]) for row in run.word("curves"))
    assert "random start" in run.word("start")
    assert run.word("finished") is True
    assert list((whole / "log").glob("events.*"))


def test_a_finished_run_is_not_done_again_and_never_another_one(tiny: Path, whole: Path) -> None:
    before = (whole / "weights.safetensors").stat().st_mtime_ns
    assert fitted(tiny, whole).exit_code == 0
    assert (whole / "weights.safetensors").stat().st_mtime_ns == before
    result = fitted(tiny, whole, "--seed", "1")
    assert result.exit_code == 2
    assert "another run" in result.output


def test_a_killed_run_goes_on_and_ends_as_if_nobody_had_killed_it(tiny: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "train", *words_of(tiny, out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        checkpoint, until = out / "checkpoint.ckpt", time.monotonic() + 240
        while not checkpoint.is_file() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        stderr = process.communicate()[1].decode()
    assert process.returncode == -signal.SIGKILL, stderr[-2000:]
    assert not (out / "weights.safetensors").exists()
    assert torch.load(checkpoint, weights_only=True)["epoch"] < 3  # of 0 to 3: it had work left
    result = fitted(tiny, out)
    assert result.exit_code == 0, result.output
    ours, other = (load_file(folder / "weights.safetensors") for folder in (out, whole))
    assert all(torch.equal(ours[name], other[name]) for name in other)
    curves = [[row["validation_loss"] for row in read_run(folder).word("curves")] for folder in (out, whole)]
    assert curves[0] == curves[1]


def test_a_run_becomes_a_model_that_is_proven_but_not_vouched_for(tiny: Path, whole: Path) -> None:
    result = fitted(tiny, whole, "--model")
    assert result.exit_code == 0, result.output
    card = Classifier(whole / "model", device="cpu").card
    assert (card.grade, card.map.kind, card.calibration.kind) == ("research", "grad_cam", "temperature")
    assert card.digests["weights.safetensors"] == read_run(whole).weights
    assert card.abstain.kind == "feature_distance"


def collected(folder: Path) -> Any:
    """Twelve patients with clips of three frames; a bright square says B-lines, some labels are unknown."""
    rng, clips, frames = np.random.default_rng(11), [], []
    for number in range(12):
        labels = {"a_lines": float(number % 2 == 0), "b_lines": float(number % 2)}
        labels |= {"consolidation": 0.0} if number % 3 else {}
        clips.append(clip(number, f"patient-{number}", first=3 * number, frames=3, labels=labels))
        square = rng.integers(20, 60, (3, 80, 80), dtype=np.uint8)
        square[:, 20:50, 20:50] += np.uint8(120 * (number % 2))
        frames.append(square)
    return store(replace(data_set(folder, []), clips=tuple(clips)), np.concatenate(frames))


def test_a_cross_validation_of_a_data_set_judges_every_clip_once(tmp_path: Path) -> None:
    made = collected(tmp_path / "set")
    recipe = read_recipe("smoke")
    fit = recipe.fit.model_copy(update={"epochs": 1, "batch": 4, "keep": "best"})
    recipe = recipe.model_copy(update={"fit": fit, "grey": "equalised"})
    split = divided(made, "kfold:3", 0)
    told = run_recipe(recipe, Source(made, split), Run(device="cpu"), tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert sorted(run.told.clip) == sorted(one.id for one in made.clips for _ in range(3))
    assert set(run.told.fold) == {0, 1, 2}
    assert (run.word("data", "digest"), run.word("split", "digest")) == (made.digest, split.digest)
    tables = [fold["grey_table"] for fold in told["folds"]]
    assert all(len(table) == 256 for table in tables)
    assert tables[0] != tables[1]
    assert np.isnan(run.told.truth).any()
    wrong = Source(made, replace(split, data="0" * 64))
    with pytest.raises(ValueError, match="another data set"):
        run_recipe(recipe, wrong, Run(), tmp_path / "other")


def test_phantoms_come_first_where_the_recipe_says_so(tiny: Path, tmp_path: Path) -> None:
    made = collected(tmp_path / "set")
    recipe = read_recipe(str(tiny))
    recipe = recipe.model_copy(update={"fit": recipe.fit.model_copy(update={"epochs": 1, "pretrain": 1})})
    run = Run(device="cpu", cache=tiny.parent / "drawn")
    told = run_recipe(recipe, Source(made, divided(made, "kfold:3", 0), fold=1), run, tmp_path / "run")
    assert "1 epochs of 12 phantoms" in told["start"]
    assert (tmp_path / "run" / "phantoms" / "weights.safetensors").is_file()


def test_usage_errors_say_what_to_do(tiny: Path, tmp_path: Path) -> None:
    for words, said in (
        (["fit", "--out", str(tmp_path)], "name one recipe"),
        (["fit", "smoke", "--fold", "1"], "name it with --data"),
        (["fit", "demo-lung", "--data", str(tmp_path)], "phantoms alone"),
        (["table", "--recipes", "heart-*"], "no recipe fits"),
    ):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 2
        assert said in " ".join(result.output.split())


def test_the_table_of_recipes_is_one_command(tmp_path: Path, tiny: Path) -> None:
    words = ["table", "--recipes", "smoke", "--out", str(tmp_path), "--images", "8", "--epochs", "1", "--size", "32"]
    result = CliRunner().invoke(app, [*words, "--workers", "1", "--cache", str(tiny.parent / "table"), "--json"])
    assert result.exit_code == 0, result.output
    assert '"recipe": "smoke"' in result.output
    assert read_run(tmp_path / "smoke").told.logits.shape == (8, 4)


@pytest.mark.verify
@pytest.mark.timeout(1800)
def test_two_processes_learn_what_one_learns(tiny: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("--standalone", "--nproc-per-node", "2", "-m", "train", *words_of(tiny, out))
    command = [sys.executable, "-m", "torch.distributed.run", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    ours, other = (load_file(folder / "weights.safetensors") for folder in (out, whole))
    apart = max(float((ours[name] - other[name]).abs().max()) for name in other)
    moved = max(float(tensor.abs().max()) for tensor in other.values())
    assert apart < 1e-4 * moved, f"{apart} of {moved}"
    assert np.allclose(read_run(out).told.logits, read_run(whole).told.logits, atol=1e-3)
