"""Recipes: complete, disjoint in their seeds, and refused when a key is wrong."""

from itertools import combinations
from pathlib import Path

import pytest
from pydantic import ValidationError

from models import registry
from train.model_folder import MEASURE_SEED
from train.recipe import RECIPES, read_recipe, recipes

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
    assert network.head.out_features == len(recipe.classes) + 1


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
