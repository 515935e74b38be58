"""The classifier serves only the model its card names, on a device that reproduces it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dicom_ai.classify.runtime import Classifier
from dicom_ai.errors import CardMismatch, DeviceUnavailable, NonFiniteOutput
from models.card import ModelCard, write_card
from models.preprocess import network_input
from models.weights import VECTORS, WEIGHTS, load_tensors, save_tensors
from tests.unit.tiny_model import kept_pixels, write_tiny_model

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    write_tiny_model(path)
    return path


@pytest.fixture(scope="module")
def classifier(folder: Path) -> Classifier:
    return Classifier(folder, device="cpu")


def test_probabilities_are_the_calibrated_outputs_of_the_network(classifier: Classifier) -> None:
    kept = kept_pixels(frames=3)
    scored = classifier.score(kept)
    with torch.inference_mode():
        logits = classifier._network(network_input(kept.frames, classifier.card.input))
    assert [frame.frame_number for frame in scored.frames] == [1, 3, 5]
    for frame, row in zip(scored.frames, logits, strict=True):
        assert frame.probabilities == pytest.approx(torch.sigmoid(row[:2] / 2.0).tolist(), abs=1e-5)
        assert frame.assessability == pytest.approx(float(torch.sigmoid(row[2])), abs=1e-5)


def test_a_softmax_head_gives_a_distribution(tmp_path: Path) -> None:
    write_tiny_model(tmp_path, head="softmax", pooling={"frame_to_clip": "mean", "clip_to_study": "max"})
    for frame in Classifier(tmp_path, device="cpu").score(kept_pixels(frames=2)).frames:
        assert sum(frame.probabilities) == pytest.approx(1.0, abs=1e-6)


def test_the_rules_are_the_cards(classifier: Classifier) -> None:
    rules = classifier.rules
    assert rules.class_ids == ("a_lines", "b_lines")
    assert rules.thresholds == (0.4, 0.6)
    assert (rules.head, rules.frame_to_clip, rules.clip_to_study) == ("sigmoid", "top_third_mean", "max")
    assert rules.assessable_from == 0.3


def test_a_card_without_abstention_judges_everything(tmp_path: Path) -> None:
    write_tiny_model(tmp_path, abstain={"kind": "none", "threshold": 0.9, "false_alarm": 0})
    assert Classifier(tmp_path, device="cpu").rules.assessable_from == 0.0


def test_scores_do_not_depend_on_the_batch(folder: Path) -> None:
    kept = kept_pixels(frames=7)
    one, many = (Classifier(folder, device="cpu", batch=n).score(kept) for n in (1, 16))
    for a, b in zip(one.frames, many.frames, strict=True):
        assert a.probabilities == pytest.approx(b.probabilities, abs=1e-5)
    assert np.abs(one.maps - many.maps).max() < 1e-4


def test_heat_lies_on_kept_pixels_only(classifier: Classifier) -> None:
    kept = kept_pixels(frames=2)
    scored = classifier.score(kept)
    rows, columns = np.mgrid[0:40, 0:60]
    outside = np.abs(columns + 0.5 - 30) > (rows + 0.5) * 0.75  # beyond the sides of the triangle
    outside[30:36, 20:40] = True  # the blanked box
    warm = [scored.heat(k) for k in range(2)]
    assert any(heat.any() for heat in warm)
    for heat in warm:
        assert heat.shape == (2, 40, 60)
        assert heat.dtype == np.uint8
        assert not heat[:, outside].any()


def test_memory_that_runs_out_halves_the_batch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, sizes = Classifier(folder, device="cpu"), []
    forward = classifier._forward_batch

    def small(frames: torch.Tensor) -> Any:
        sizes.append(len(frames))
        if len(frames) > 4:
            raise torch.OutOfMemoryError("pretended")
        return forward(frames)

    monkeypatch.setattr(classifier, "_forward_batch", small)
    kept = kept_pixels(frames=11)
    assert [frame.frame_number for frame in classifier.score(kept).frames] == list(range(1, 22, 2))
    assert sizes == [11, 8, 4, 4, 3]


def test_no_memory_for_one_frame_is_the_devices_failure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = Classifier(folder, device="cpu")
    monkeypatch.setattr(classifier, "_forward_batch", _raise(torch.OutOfMemoryError("pretended")))
    with pytest.raises(DeviceUnavailable, match="no memory"):
        classifier.score(kept_pixels())


def test_a_failing_device_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = Classifier(folder, device="cpu")
    monkeypatch.setattr(classifier, "_forward_batch", _raise(RuntimeError("CUDA error: pretended")))
    with pytest.raises(DeviceUnavailable, match="cpu failed"):
        classifier.score(kept_pixels())


def test_an_image_without_finite_scores_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = Classifier(folder, device="cpu")
    forward = classifier._forward_batch

    def broken(frames: torch.Tensor) -> Any:
        logits, *rest = forward(frames)
        return (logits * np.nan if len(frames) == 2 else logits), *rest

    monkeypatch.setattr(classifier, "_forward_batch", broken)
    with pytest.raises(NonFiniteOutput, match="2 of 2 frames") as caught:
        classifier.score(kept_pixels(2))
    assert caught.value.reason == "non_finite"
    assert len(classifier.score(kept_pixels(3)).frames) == 3


@pytest.mark.parametrize("name", [WEIGHTS, VECTORS])
@pytest.mark.parametrize("how", ["changed", "absent"])
def test_a_file_that_is_not_the_cards_is_refused(tmp_path: Path, name: str, how: str) -> None:
    write_tiny_model(tmp_path)
    if how == "absent":
        (tmp_path / name).unlink()
    else:
        payload = bytearray((tmp_path / name).read_bytes())
        payload[-1] ^= 1
        (tmp_path / name).write_bytes(payload)
    with pytest.raises(CardMismatch, match=name):
        Classifier(tmp_path, device="cpu")


@pytest.mark.parametrize(("error", "refused"), [(5e-4, False), (2e-3, True), (float("nan"), True)])
def test_outputs_beyond_the_tolerance_are_refused(tmp_path: Path, error: float, refused: bool) -> None:
    _with_vectors(tmp_path, write_tiny_model(tmp_path), error)
    if refused:
        with pytest.raises(CardMismatch, match="from the stored outputs"):
            Classifier(tmp_path, device="cpu")
    else:
        Classifier(tmp_path, device="cpu")


@pytest.mark.parametrize(
    "network",
    [{"name": "resnet_of_another_house"}, {"name": "mobilenet_v2", "wings": 2}, {}],
    ids=["name", "argument", "no name"],
)
def test_a_network_this_version_cannot_build_is_refused(tmp_path: Path, network: dict[str, Any]) -> None:
    write_tiny_model(tmp_path, network=network)
    with pytest.raises(CardMismatch, match="cannot build"):
        Classifier(tmp_path, device="cpu")


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CardMismatch, match=r"card\.json"):
        Classifier(tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has the device")
def test_a_device_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(DeviceUnavailable, match="cuda"):
        Classifier(folder, device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_agrees_with_the_cpu(folder: Path) -> None:
    kept = kept_pixels(frames=5)
    one, other = (Classifier(folder, device=device).score(kept) for device in ("cpu", "cuda"))
    for a, b in zip(one.frames, other.frames, strict=True):
        assert a.probabilities == pytest.approx(b.probabilities, abs=1e-3)


def _with_vectors(folder: Path, card: ModelCard, error: float) -> None:
    vectors = load_tensors(folder / VECTORS, card.digests[VECTORS])
    digest = save_tensors({**vectors, "logits": vectors["logits"] + error}, folder / VECTORS)
    write_card(card.model_copy(update={"digests": {**card.digests, VECTORS: digest}}), folder)


def _raise(exc: Exception) -> Any:
    def always(*args: object) -> None:
        raise exc

    return always
