"""Training pictures: the same from the same seed, shown as serving shows them, signs where the twin differs."""

from pathlib import Path

import numpy as np
import pytest

from dicom_ai.simulate import phantom
from models.preprocess import letterboxed
from train.phantoms import draw, one, pictures
from train.recipe import Recipe, Split, read_recipe


@pytest.fixture(scope="module", params=["demo-lung", "demo-uterus"])
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return read_recipe(request.param)


def of_kind(recipe: Recipe, good: dict[str, float], bad: dict[str, float], erode_px: int = 0) -> Recipe:
    phantoms = recipe.phantoms.model_copy(update={"good": good, "bad": bad, "erode_px": erode_px})
    return recipe.model_copy(update={"phantoms": phantoms})


def test_a_split_is_the_same_from_the_cache_and_drawn_by_two_processes(recipe: Recipe, tmp_path: Path) -> None:
    split = Split(first_seed=77, count=4)
    first = pictures(recipe, split, cache=tmp_path, workers=2)
    assert len(list(tmp_path.iterdir())) == 1
    assert pictures(recipe, split, cache=tmp_path).digest == first.digest
    assert pictures(recipe, split).digest == first.digest
    assert pictures(recipe, Split(first_seed=78, count=4)).digest != first.digest


def test_another_recipe_does_not_read_this_ones_cache(recipe: Recipe, tmp_path: Path) -> None:
    split = Split(first_seed=77, count=1)
    pictures(recipe, split, cache=tmp_path)
    pictures(of_kind(recipe, recipe.phantoms.good, {"black": 1}), split, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_sign_is_drawn_where_picture_and_twin_differ() -> None:
    recipe = of_kind(read_recipe("demo-lung"), {"pleural_effusion": 1}, {})
    shown, twin, where, labels, good, kind = one(recipe, 5)
    assert (kind, good) == ("good:pleural_effusion", True)
    assert labels.tolist() == [0, 0, 1, 0]
    assert set(np.unique(where)) == {0, 4}
    assert np.array_equal(shown[where == 0], twin[where == 0])
    assert (shown != twin).sum() > 50


def test_what_is_turned_away_has_no_label(recipe: Recipe) -> None:
    for kind in recipe.phantoms.bad:
        _, _, where, labels, good, _ = one(of_kind(recipe, {}, {kind: 1}), 3)
        assert not good
        assert not labels.any()
        if kind != "other_task":
            assert not where.any()


def test_a_picture_is_shown_as_serving_shows_its_crop() -> None:
    recipe = of_kind(read_recipe("demo-uterus"), {"normal": 1}, {})
    shown = one(recipe, 9)[0]
    sizes = [(560, 700), (480, 640), (694, 948)]
    candidates = []
    for size in sizes:
        drawn = phantom.uterus(9, label="normal", size=size)
        ys, xs = (np.flatnonzero(drawn.sector_mask.any(axis=axis)) for axis in (1, 0))
        crop = (drawn.frames * drawn.sector_mask)[:, ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1, None]
        candidates.append(letterboxed(crop, recipe.input, recipe.crop.fill)[0])
    assert any(np.array_equal(shown, candidate) for candidate in candidates)


def test_eroding_the_kept_shape_leaves_less() -> None:
    recipe = read_recipe("demo-lung")
    drawn = draw("lung-signs", "good:", 4, size=(480, 640), shape="curvilinear")
    from train.measure import case_of

    areas = [case_of(drawn, good=True, erode_px=n).kept.frames.astype(bool).sum() for n in (0, 6)]
    assert areas[1] < areas[0]
    assert recipe.phantoms.erode_px > 0
