"""The map shows what the network uses: taking out its strongest blocks hurts more than taking out any blocks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import wilcoxon
from sklearn.metrics import roc_auc_score

from dicom_ai.classify.catalogue import DEMO
from models import registry
from models.activation_map import class_activation
from models.card import read_card
from models.faithfulness import STEPS, areas, order_of
from models.frame_classifier import FrameClassifier
from models.preprocess import normalised
from models.weights import WEIGHTS, load_weights
from train.fit import Run, drawn_parts, learned, lessons_of
from train.phantoms import one
from train.recipe import Recipe, read_recipe, scaled
from train.run_folder import predicted

SEED = 7_000_000
CELLS = 144
"""A map of 12 x 12 cells is asked about 12 phantoms, a coarser one, which says less of each, about more."""

torch.set_num_threads(1)


def brightness_of(rows: slice, columns: slice) -> Callable[[torch.Tensor], npt.NDArray[np.float64]]:
    """A network that looks at one place only."""
    return lambda frames: frames[:, 0, rows, columns].mean(dim=(1, 2)).double().numpy()


def test_the_place_that_matters_goes_first_and_the_area_says_so() -> None:
    cells = np.zeros((4, 4), np.float32)
    cells[1, 2] = 1
    order = order_of(cells, np.ones((16, 16), np.bool_))
    assert order[0] == 6
    assert sorted(order) == list(range(16))
    picture, empty = torch.ones(1, 16, 16), torch.zeros(1, 16, 16)
    score = brightness_of(slice(4, 8), slice(8, 12))
    first = areas(score, picture, empty, order, 4)
    last = areas(score, picture, empty, order[::-1], 4)
    assert first == pytest.approx((0.5 / STEPS, 1 - 0.5 / STEPS))
    assert last == pytest.approx((1 - 0.5 / STEPS, 0.5 / STEPS))


def test_blocks_without_picture_are_never_taken() -> None:
    where = np.zeros((16, 16), np.bool_)
    where[:8, 3:5] = True
    assert sorted(order_of(np.zeros((4, 4), np.float32), where)) == [0, 1, 4, 5]


def test_few_blocks_go_all_within_the_steps() -> None:
    shown: list[torch.Tensor] = []

    def score(frames: torch.Tensor) -> npt.NDArray[np.float64]:
        shown.append(frames)
        return np.zeros(len(frames))

    areas(score, torch.ones(1, 8, 8), torch.zeros(1, 8, 8), np.array([3, 0, 2]), 2)
    deletion, insertion = shown
    assert len(deletion) == STEPS + 1
    assert torch.equal(deletion, 1 - insertion)
    assert deletion[0].all()
    assert deletion[-1].sum() == 16  # block 1 held no picture
    assert (deletion.flatten(1).sum(dim=1).diff() <= 0).all()


def _network(folder: Path) -> FrameClassifier:
    card = read_card(folder)
    network = registry.build(**card.network)
    load_weights(network, folder / WEIGHTS, card.digests[WEIGHTS])
    return network.eval()


@pytest.mark.verify
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("folder", "recipe_name"), [("lung-signs-demo", "demo-lung"), ("uterine-lesions-demo", "demo-uterus")]
)
def test_deletion_by_the_map_beats_random_blocks(
    folder: str, recipe_name: str, figure: Callable[[str, str, str], None]
) -> None:
    _require_faithful(folder, _network(DEMO / folder), read_recipe(recipe_name), 12, figure)


@pytest.mark.verify
@pytest.mark.timeout(1800)
def test_so_it_does_where_average_and_maximum_stand_side_by_side(
    tmp_path: Path, figure: Callable[[str, str, str], None]
) -> None:
    """No such network is shipped, so a small one learns signs of the lung from a few phantoms first."""
    recipe = scaled(read_recipe("modern-lung"), size=96, images=300, epochs=30)
    loss = recipe.fit.loss.model_copy(update={"mixup": 0.0})
    plain = {"loss": loss, "ema": 0.0, "batch": 16}
    recipe = recipe.model_copy(update={"fit": recipe.fit.model_copy(update=plain)})
    run = Run(device="cpu", folder=tmp_path)
    parts = lessons_of(recipe, drawn_parts(recipe, run))
    found = learned(recipe, parts, run)
    assert found.network.map_kind == "grad_cam"
    told = predicted(found.network, parts["test"], recipe, 0)
    auc = float(roc_auc_score(told.truth, told.logits, average="macro"))
    assert auc > 0.8, f"it has learned too little to be asked what it looks at: {auc}"
    _require_faithful("average and max pooling, 96 px", found.network, recipe, 6, figure, f", AUC {auc:.2f}")


def _require_faithful(
    name: str,
    network: FrameClassifier,
    recipe: Recipe,
    side: int,
    figure: Callable[[str, str, str], None],
    known: str = "",
) -> None:
    """Blocks of side x side by the map against blocks by chance, on phantoms with a sign."""
    rng, found, seed = np.random.default_rng(SEED), [], SEED
    while len(found) < CELLS // side:
        shown, twin, _, labels, good, _ = one(recipe, seed)
        seed += 1
        if good and not np.array_equal(shown, twin):
            frames = normalised(np.stack([shown, _emptied(shown)]), recipe.input)
            found.append(_compared(network, frames, int(labels.argmax()), rng, side))
    by_map, by_chance = np.array(found).transpose(1, 0, 2)
    deletion = wilcoxon(by_map[:, 0], by_chance[:, 0], alternative="less").pvalue
    insertion = wilcoxon(by_map[:, 1], by_chance[:, 1], alternative="greater").pvalue
    text = (
        f"deletion {by_map[:, 0].mean():.3f} against {by_chance[:, 0].mean():.3f} (p {deletion:.1g}), insertion "
        f"{by_map[:, 1].mean():.3f} against {by_chance[:, 1].mean():.3f} (p {insertion:.1g}), "
        f"{len(found)} phantoms from seed {SEED}{known}"
    )
    figure(f"{name}, area under the class's probability, blocks by the map against blocks by chance", text, "p < 0.01")
    assert deletion < 0.01, text
    assert insertion < 0.01, text


def _emptied(shown: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The picture's mean grey wherever there is picture."""
    return np.where(shown > 0, round(float(shown[shown > 0].mean())), 0).astype(np.uint8)


def _compared(
    network: FrameClassifier, frames: torch.Tensor, k: int, rng: np.random.Generator, side: int
) -> list[tuple[float, float]]:
    """Deletion and insertion of class k: by the map, and by chance (mean of two orders)."""
    with torch.inference_mode():
        maps = class_activation(network.features_of(frames[:1]), network.map_weights())

    def score(shown: torch.Tensor) -> npt.NDArray[np.float64]:
        with torch.inference_mode():
            return network.divided(network(shown))[0][:, k].sigmoid().double().numpy()

    cells = maps[0, k].reshape(side, maps.shape[2] // side, side, maps.shape[3] // side).mean(axis=(1, 3))
    order = order_of(cells, (frames[1, 0] > frames.min()).numpy())
    chance = [areas(score, *frames, rng.permutation(order), side) for _ in range(2)]
    return [tuple(areas(score, *frames, order, side)), tuple(np.mean(chance, axis=0))]
