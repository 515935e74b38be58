"""Fitting: losses that mean what they say, and one short run from recipe to a folder that serves."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from dicom_ai.classify.runtime import Classifier
from train.__main__ import app
from train.model_folder import abstain_of, temperature_of
from train.phantoms import Pictures
from train.recipe import RECIPES

torch.set_num_threads(1)


def drawn(labels: list[list[float]], good: list[bool]) -> Pictures:
    none = np.zeros((len(good), 4, 4), np.uint8)
    return Pictures(none, none, none, np.array(labels, np.float32), np.array(good), np.array([""] * len(good)))


def test_an_overconfident_network_is_cooled() -> None:
    labels = [[1, 0], [0, 1], [1, 0], [0, 1]]
    logits = torch.tensor([[6.0, -6, 0], [-6, 6, 0], [6, -6, 0], [6, -6, 0]])  # one of four is wrong
    assert temperature_of(logits, drawn(labels, [True] * 4), "sigmoid") > 3
    assert temperature_of(logits[:3], drawn(labels[:3], [True] * 3), "sigmoid") == 0.25


def test_abstention_turns_away_at_most_two_percent_of_good_pictures() -> None:
    logits = torch.zeros(200, 3)
    logits[:100, 2] = torch.linspace(-3, 3, 100)
    abstain = abstain_of(logits, drawn([[0, 0]] * 200, [True] * 100 + [False] * 100))
    assert abstain.threshold < 0.5
    assert 0 < abstain.false_alarm <= 0.02
    assert abstain_of(logits + 9, drawn([[0, 0]] * 200, [True] * 200)).threshold == 0.5


@pytest.mark.slow
def test_a_short_run_ends_in_a_folder_that_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (RECIPES / "demo-uterus.toml").read_text(encoding="utf-8")
    for split, count in (("train", 16), ("validation", 9), ("test", 9)):
        text, n_changed = re.subn(rf"(?m)^({split} = .*count = )\d+", rf"\g<1>{count}", text)
        assert n_changed == 1
    text = re.sub(r"(?m)^batch = \d+", "batch = 8", text)
    recipe = tmp_path / "short.toml"
    recipe.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("train.model_folder.EACH", 1)
    arguments = ["fit", str(recipe), "--out", str(tmp_path / "model"), "--limit-epochs", "1", "--workers", "1"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    card = Classifier(tmp_path / "model", device="cpu").card
    assert card.grade == "demonstration"
    assert card.metrics[0]["n_good"] == 3
    assert [split["count"] for split in card.data] == [16, 9, 9]
    assert "Not for clinical use" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


def test_an_unknown_recipe_is_a_usage_error_that_lists_recipes() -> None:
    result = CliRunner().invoke(app, ["fit", "demo-heart", "--out", "nowhere"])
    assert result.exit_code == 2
    assert "demo-lung" in result.output


def test_help_teaches_by_an_example() -> None:
    assert "python -m train fit demo-lung" in CliRunner().invoke(app, ["fit", "--help"]).output
