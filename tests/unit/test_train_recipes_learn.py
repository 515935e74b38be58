"""Every recipe learns: thirty steps with a falling loss, and sixteen pictures by heart, small enough for a CPU."""

from pathlib import Path

import pytest
import torch

from train.fit import Run, drawn_parts, learned, lessons_of
from train.recipe import Augment, Recipe, read_recipe, recipes, scaled
from train.run_folder import run_recipe
from train.source import Source

pytestmark = [pytest.mark.verify, pytest.mark.timeout(3600)]
RUNS = [name for name in recipes() if read_recipe(name).makes == "run"]
STEPS, BY_HEART, BATCH = 30, 120, 16
STILL = Augment(rotation=0, zoom=(1, 1), shift=0, shear=0, flip="none", grey=False)

torch.set_num_threads(1)


def small(name: str, images: int) -> Recipe:
    """At 64 px, 96 where the network needs them; batches of 16."""
    size = 96 if "inception" in name else 64
    recipe = scaled(read_recipe(name), size=size, images=images, epochs=STEPS // 2)
    return recipe.model_copy(update={"fit": recipe.fit.model_copy(update={"batch": BATCH})})


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


@pytest.mark.parametrize("name", RUNS)
def test_thirty_steps_and_the_loss_falls(name, cache, tmp_path, figure):
    run = Run(steps=STEPS, cache=cache, device="cpu")
    curves = run_recipe(small(name, 2 * BATCH), Source(), run, tmp_path / "run")["curves"]
    losses = [row["train_loss"] for row in curves]
    figure(
        f"{name}: training loss, first and last epoch of {STEPS} steps", f"{losses[0]:.3f}, {losses[-1]:.3f}", "falls"
    )
    assert len(losses) == STEPS // 2
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", RUNS)
def test_sixteen_pictures_are_learned_by_heart(name, cache, tmp_path, figure):
    recipe = small(name, BATCH)
    loss = recipe.fit.loss.model_copy(update={"mixup": 0, "label_smoothing": 0})
    plain = {"epochs": BY_HEART, "patience": None, "schedule": "constant", "ema": 0, "dropout": 0, "loss": loss,
             "keep": "best"}  # fmt: skip
    recipe = recipe.model_copy(update={"augment": STILL, "fit": recipe.fit.model_copy(update=plain)})
    run = Run(cache=cache, device="cpu", folder=tmp_path)
    drawn = lessons_of(recipe, drawn_parts(recipe.model_copy(update={"name": recipe.task}), run))
    curves = learned(recipe, {"train": drawn["train"], "validation": drawn["train"]}, run).curves
    right = [row["validation_right"] for row in curves]
    figure(f"{name}: of {BATCH} pictures by heart within {BY_HEART} steps", f"{max(right):.0%}", "100 %")
    assert max(right) == 1
