"""Recipes: complete, disjoint in their seeds, and refused when a key is wrong."""

from itertools import combinations
from pathlib import Path

import pytest
from pydantic import ValidationError

from models import registry
from train.model_folder import MEASURE_SEED
from train.recipe import RECIPES, read_recipe, recipes, scaled

CONTRACT = {
    "lung-signs": ("a_lines", "b_lines", "pleural_effusion", "consolidation"),
    "uterine-lesions": ("endometrial_polyp", "submucous_fibroid", "normal"),
}


def test_the_two_demonstration_recipes_are_there() -> None:
    assert {"demo-lung", "demo-uterus"} <= set(recipes())


@pytest.mark.parametrize("name", recipes())
def test_classes_are_the_contracts_in_its_order(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.class_ids == CONTRACT[recipe.task]


@pytest.mark.parametrize("name", recipes())
def test_no_seed_is_in_two_splits_or_behind_the_cards_figures(name: str) -> None:
    phantoms = read_recipe(name).phantoms
    ranges = [
        range(split.first_seed, split.first_seed + split.count)
        for split in (phantoms.train, phantoms.validation, phantoms.test)
    ]
    ranges.append(range(MEASURE_SEED, MEASURE_SEED + 100_000))
    assert all(a.stop <= b.start or b.stop <= a.start for a, b in combinations(ranges, 2))


@pytest.mark.parametrize("name", recipes())
def test_the_network_has_an_output_per_class(name: str) -> None:
    recipe = read_recipe(name)
    arguments = dict(recipe.network)
    network = registry.build(arguments.pop("name"), **arguments)
    assert network.head.out_features == len(recipe.classes) + network.with_assessability
    assert network.with_assessability == (recipe.makes == "demonstration")


def test_an_unknown_recipe_lists_those_there_are() -> None:
    with pytest.raises(FileNotFoundError, match="demo-lung"):
        read_recipe("demo-heart")


def test_a_misspelt_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(
        (RECIPES / "demo-lung.toml").read_text(encoding="utf-8").replace("epochs =", "epoch ="), encoding="utf-8"
    )
    with pytest.raises(ValidationError, match="epoch"):
        read_recipe(str(path))


def test_the_eight_networks_of_the_uterus_paper_share_everything_but_network_and_size() -> None:
    eight = [read_recipe(name) for name in recipes() if name.startswith("uterus-")]
    assert len({recipe.network["name"] for recipe in eight}) == 8
    assert len({recipe.fit.model_dump_json() + recipe.augment.model_dump_json() for recipe in eight}) == 1
    assert {recipe.input.size for recipe in eight} == {224, 299}
    fit, how = eight[0].fit, eight[0].augment
    assert (fit.optimiser, fit.learning_rate, fit.momentum, fit.weight_decay) == ("sgd", 1e-3, 0.9, 1e-4)
    assert (fit.schedule, fit.warm_up, fit.cosine_until, fit.batch) == ("warm_up_cosine", 5, 10, 16)
    assert (how.flip, how.rotation) == ("vertical", 10)
    assert {recipe.grey for recipe in eight} == {"equalised"}


def test_the_lung_papers_recipe_is_its_own() -> None:
    recipe = read_recipe("lung-resnet152")
    assert (recipe.fit.optimiser, recipe.fit.learning_rate, recipe.head) == ("adam", 0.01, "softmax")
    assert (recipe.network["name"], recipe.augment.flip) == ("resnet152", "horizontal")


def test_a_base_lies_under_what_stands_on_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "uterus-paper"\nname = "mine"\nnetwork = { name = "resnet18", n_classes = 3 }\n'
                    "[fit]\nepochs = 3\n", encoding="utf-8")  # fmt: skip
    recipe = read_recipe(str(path))
    assert (recipe.fit.epochs, recipe.fit.batch, recipe.task) == (3, 16, "uterine-lesions")
    path.write_text('base = "nowhere"\n', encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_recipe(str(path))


def test_a_smaller_recipe_keeps_its_proportions() -> None:
    recipe = scaled(read_recipe("uterus-inception-v3"), size=96, images=300, epochs=4)
    assert (recipe.input.size, recipe.network["size"], recipe.fit.epochs) == (96, 96, 4)
    assert (recipe.fit.warm_up, recipe.fit.cosine_until) == (2, 4)
    counts = [getattr(recipe.phantoms, name).count for name in ("train", "validation", "test")]
    assert counts == [300, 100, 100]
    assert scaled(recipe) == recipe
