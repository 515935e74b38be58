"""Distance of features: Mahalanobis', ranked among good pictures, and the same in trainer and service."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dicom_ai.classify.runtime import Classifier
from dicom_ai.errors import CardMismatch
from models import registry
from models.card import ModelCard, read_card, write_card
from models.feature_distance import DISTANCE, DistanceFault, FeatureDistance, pooled_of
from models.preprocess import network_input
from models.weights import VECTORS, load_tensors, load_weights, save_tensors
from tests.unit.tiny_model import NETWORK, kept_pixels, write_tiny_model
from train.distance import abstain_at, fit_distance, with_distance

torch.set_num_threads(1)
SEED = 20


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    sys.stdout.write(f"seed {SEED}\n")
    return np.random.default_rng(SEED)


def drawn(rng: np.random.Generator, n: int, shift: float = 0.0) -> np.ndarray:
    """Features whose variances differ a thousandfold, the first two correlated."""
    mixing = np.diag([30.0, 3.0, 1.0, 0.03])
    mixing[1, 0] = 9.0
    return ((rng.standard_normal((n, 4)) + shift) @ mixing.T).astype(np.float32)


def test_it_is_mahalanobis_distance(rng: np.random.Generator) -> None:
    fitted, ranked, other = drawn(rng, 4000), drawn(rng, 50), drawn(rng, 20, 1.0)
    made = fit_distance(fitted, ranked)
    centred = other - fitted.mean(axis=0)
    precision = np.linalg.inv(np.cov(fitted.T))
    wanted = np.sqrt(np.einsum("ni,ij,nj->n", centred, precision, centred))
    found = made.distances(torch.from_numpy(other)).numpy()
    assert np.abs(found - wanted).max() < 0.1 * wanted.max()  # the covariance is shrunk a little
    assert np.corrcoef(found, wanted)[0, 1] > 0.99


def test_the_nearest_class_counts(rng: np.random.Generator) -> None:
    near, far = drawn(rng, 200), drawn(rng, 200) + np.float32([900, 0, 0, 0])
    groups = np.repeat([0, 2], 200)
    made = fit_distance(np.concatenate([near, far]), drawn(rng, 20), groups)
    assert made.means.shape == (2, 4)
    between = torch.from_numpy((near + far) / 2)
    assert made.distances(torch.from_numpy(far)).median() < 4 < made.distances(between).median()


def test_the_threshold_is_the_share_of_good_pictures_that_are_turned_away(rng: np.random.Generator) -> None:
    made = fit_distance(drawn(rng, 2000), drawn(rng, 999))
    good = abstain_at(made, drawn(rng, 4000), 0.05)
    assert (good.kind, good.threshold) == ("feature_distance", 0.05)
    assert 0.03 < good.false_alarm < 0.07
    assert abstain_at(made, drawn(rng, 500, 4.0), 0.05).false_alarm > 0.95


def test_fewer_pictures_than_features_are_enough(rng: np.random.Generator) -> None:
    wide = rng.standard_normal((40, 300)).astype(np.float32)
    made = fit_distance(wide, rng.standard_normal((30, 300)).astype(np.float32))
    strange = torch.from_numpy(5 * rng.standard_normal((10, 300)).astype(np.float32))
    assert float(made.nearness(made.distances(strange)).max()) == pytest.approx(1 / 31)


def test_what_is_not_finite_is_nowhere_near() -> None:
    made = FeatureDistance(torch.zeros(1, 2), torch.eye(2), torch.tensor([0.5, 1.0, 2.0]))
    nearness = made.nearness(torch.tensor([0.0, 1.0, 3.0, float("nan"), float("inf")]))
    assert nearness.tolist() == pytest.approx([1.0, 0.75, 0.25, 0.0, 0.0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"means": torch.zeros(1, 3)}, "do not fit"),
        ({"means": torch.zeros(0, 2)}, "do not fit"),
        ({"whitening": torch.full((2, 2), float("inf"))}, "not finite"),
        ({"good": torch.tensor([2.0, 1.0])}, "ascending"),
        ({"good": torch.zeros(0)}, "none"),
        ({"good": None}, "needs the tensors"),
    ],
)
def test_statistics_that_do_not_fit_are_refused(change: dict[str, torch.Tensor | None], said: str) -> None:
    sound = {"means": torch.zeros(1, 2), "whitening": torch.eye(2), "good": torch.tensor([1.0])}
    tensors = {name: value for name, value in (sound | change).items() if value is not None}
    with pytest.raises(DistanceFault, match=said):
        FeatureDistance.of(tensors)


def far_away(folder: Path) -> ModelCard:
    """A tiny model that knows random pictures of the brightness of its vectors and no others."""
    card = write_tiny_model(folder)
    arguments = dict(NETWORK)
    network = registry.build(arguments.pop("name"), **arguments)
    load_weights(network, folder / "weights.safetensors", card.digests["weights.safetensors"])
    generator = torch.Generator().manual_seed(SEED)

    def pooled(frames: torch.Tensor) -> np.ndarray:
        with torch.inference_mode():
            return pooled_of(network.eval().features_of(frames)).numpy()

    known = pooled(torch.randn(48, 1, 64, 64, generator=generator))
    made = fit_distance(known[:24], known[24:36])
    shown = load_tensors(folder / VECTORS, card.digests[VECTORS])["input"]
    card = with_distance(folder, card, made, abstain_at(made, known[36:], 0.1), pooled(shown))
    write_card(card, folder)
    return card


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("distance")
    far_away(path)
    return path


def test_the_service_turns_away_what_lies_far_out(folder: Path) -> None:
    classifier = Classifier(folder, device="cpu")
    assert classifier.rules.assessable_from == 0.1
    kept = replace(kept_pixels(frames=3), frames=np.full((3, 40, 60, 1), 255, np.uint8))  # flat, not one of noise
    scored = classifier.score(kept)
    assert [frame.assessability for frame in scored.frames] == pytest.approx([1 / 13] * 3)
    frames = network_input(kept.frames, classifier.card.input)
    with torch.inference_mode():
        features = classifier._network.features_of(frames)
    assert classifier._distances(features).min() > classifier._distance.good.max()  # type: ignore[union-attr]


def test_statistics_are_proven_like_weights(folder: Path, tmp_path: Path) -> None:
    card = read_card(folder)
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = load_tensors(folder / DISTANCE, card.digests[DISTANCE])
    save_tensors({**tensors, "means": tensors["means"] + 0.5}, tmp_path / DISTANCE)
    with pytest.raises(CardMismatch, match=re.escape(DISTANCE)):
        Classifier(tmp_path, device="cpu")
    digest = save_tensors({**tensors, "whitening": tensors["whitening"] * 1.1}, tmp_path / DISTANCE)
    write_card(card.model_copy(update={"digests": {**card.digests, DISTANCE: digest}}), tmp_path)
    with pytest.raises(CardMismatch, match="stored distances"):
        Classifier(tmp_path, device="cpu")
    digest = save_tensors({**tensors, "means": torch.zeros(1, 7), "whitening": torch.eye(7)}, tmp_path / DISTANCE)
    write_card(card.model_copy(update={"digests": {**card.digests, DISTANCE: digest}}), tmp_path)
    with pytest.raises(CardMismatch, match="of 7 features"):
        Classifier(tmp_path, device="cpu")


def test_a_card_that_wants_it_needs_its_file(folder: Path) -> None:
    card = read_card(folder)
    without = {name: digest for name, digest in card.digests.items() if name != DISTANCE}
    with pytest.raises(ValueError, match=re.escape(DISTANCE)):
        ModelCard.model_validate(card.model_dump() | {"digests": without})
