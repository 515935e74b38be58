"""A random start does not run away: its gradients are shortened where the recipe says so, those of weights never."""

from pathlib import Path

import numpy as np
import pytest
import torch

from train.fit import Run, built, learned
from train.lessons import drawn_lesson
from train.phantoms import Pictures
from train.recipe import read_recipe

torch.set_num_threads(1)
CLIP = 1e-3


@pytest.mark.parametrize("is_random", [True, False])
def test_a_step_of_a_random_start_is_no_longer_than_the_recipe_allows(tmp_path: Path, is_random: bool) -> None:
    rng = np.random.default_rng(3)
    shown = rng.integers(0, 256, (8, 64, 64), dtype=np.uint8)
    labels = rng.integers(0, 2, (8, 4)).astype(np.float32)
    where = np.zeros_like(shown)
    part = drawn_lesson(Pictures(shown, shown, where, labels, np.ones(8, bool), np.full(8, "drawn")), 0)
    recipe = read_recipe("smoke")
    plain = {"epochs": 1, "optimiser": "sgd", "momentum": 0.0, "weight_decay": 0.0, "schedule": "constant", "ema": 0.0,
             "learning_rate": 1.0, "random_start_clip": CLIP}  # fmt: skip
    recipe = recipe.model_copy(update={"fit": recipe.fit.model_copy(update=plain)})
    start = built(recipe, 0)
    given = None if is_random else built(recipe, 0)
    run = Run(device="cpu", folder=tmp_path)
    after = learned(recipe, {"train": part, "validation": part}, run, network=given).network
    pairs = zip(start.parameters(), after.parameters(), strict=True)
    moved = float(torch.cat([(one - other).detach().flatten() for one, other in pairs]).norm())
    assert (0.99 * CLIP < moved < 1.01 * CLIP) == is_random
    assert moved > 0.99 * CLIP
