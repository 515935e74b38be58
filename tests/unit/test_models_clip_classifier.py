"""Networks of clips: lengths, order, every parameter, the map of each frame, the weights' round trip."""

from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam

from models import registry
from models.activation_map import grad_cam
from models.clip_classifier import AttentionPool, ClipClassifier
from models.weights import load_weights, save_tensors

torch.set_num_threads(1)

ENCODER = {"name": "sonogram", "width": 8}
CLASSES, T = 2, 4


@pytest.fixture(scope="module", params=registry.clip_names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def network(name: str) -> ClipClassifier:
    torch.manual_seed(21)
    return registry.build_clip(name, encoder=ENCODER, n_classes=CLASSES).eval()


def clips(n: int) -> torch.Tensor:
    return torch.randn(n, T, 1, 48, 48, generator=torch.Generator().manual_seed(22))


def test_every_parameter_gets_a_gradient(network: ClipClassifier) -> None:
    network.train().zero_grad()
    network(clips(3)).square().sum().backward()
    without = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    network.eval().zero_grad()
    assert without == []


def test_a_clip_alone_equals_its_place_among_longer_ones(network: ClipClassifier) -> None:
    lengths = torch.tensor([4, 1, 3])
    shown = clips(3)
    shown[1, 1:], shown[2, 3:] = 1e4, 7.0  # whatever lies behind a clip
    with torch.inference_mode():
        together = network(shown, lengths)
        alone = torch.cat([network(clip[None, :length]) for clip, length in zip(shown, lengths, strict=True)])
    assert together.shape == (3, CLASSES)
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)


def test_only_the_recurrent_one_minds_the_order(name: str, network: ClipClassifier) -> None:
    with torch.inference_mode():
        there, back = network(clips(2)), network(clips(2).flip(1))
    assert torch.allclose(there, back, atol=1e-5) == (name == "clip_attention")


def test_frames_may_come_in_portions(network: ClipClassifier) -> None:
    shown = clips(1)
    with torch.inference_mode():
        features = torch.cat([network.features_of(part) for part in shown[0].split(3)])
        torch.testing.assert_close(network.logits_of(features, torch.tensor([T])), network(shown))


def test_the_map_of_each_frame_is_grad_cam(network: ClipClassifier) -> None:
    shown = clips(1)
    with torch.inference_mode():
        features = network.features_of(shown[0])
    maps = grad_cam(features, lambda maps: network.logits_of(maps, torch.tensor([T])), CLASSES)
    cells = maps.shape[2] * maps.shape[3]
    assert maps.shape == (T, CLASSES, 3, 3)
    assert all(p.grad is None for p in network.parameters())
    for k in range(CLASSES):
        expected = LayerGradCam(network, network.features).attribute(shown, target=k)[:, 0].detach().numpy()
        assert np.abs(maps[:, k] / cells - expected).max() < 1e-5
        assert np.abs(expected).max() > 1e-4
    assert all(p.grad is None for p in network.parameters())


def test_the_weights_file_gives_the_same_network_back(name: str, network: ClipClassifier, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    digest = save_tensors(network.state_dict(), path)
    other = registry.build_clip(name, encoder=ENCODER, n_classes=CLASSES).eval()
    load_weights(other, path, digest)
    with torch.inference_mode():
        assert torch.equal(other(clips(1)), network(clips(1)))


def test_attention_is_shared_out_among_a_clips_own_frames() -> None:
    shares = AttentionPool(6).shares(torch.randn(2, 5, 6), torch.tensor([5, 2]))
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(2))
    assert (shares[1, 2:] == 0).all()
    assert (shares[0] > 0).all()


def test_a_network_of_frames_lends_its_features() -> None:
    torch.manual_seed(23)
    frames = registry.build("sonogram", n_classes=2, width=8).eval()
    network = ClipClassifier(frames, n_classes=3, is_recurrent=False).eval()
    with torch.inference_mode():
        torch.testing.assert_close(network.features_of(clips(1)[0]), frames.features_of(clips(1)[0]))
    assert not any(key.startswith("encoder") for key in network.state_dict())
