"""The closed-form map equals Grad-CAM, adds up to the logit, and lies on the picture as heat."""

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam

from models import registry
from models.activation_map import class_activation, to_heat
from models.frame_classifier import FrameClassifier
from models.preprocess import Letterbox


@pytest.fixture(scope="module")
def network() -> FrameClassifier:
    torch.manual_seed(11)
    return registry.build("mobilenet_v2", n_classes=3, width_mult=0.25).eval()


def frames() -> torch.Tensor:
    return torch.randn(2, 1, 96, 96, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("k", range(3))
def test_the_map_is_grad_cam_times_the_number_of_cells(network: FrameClassifier, k: int) -> None:
    with torch.no_grad():
        maps = class_activation(network.features_of(frames()), network.map_weights())
    grad_cam = LayerGradCam(network, getattr(network, network.map_layer)).attribute(frames(), target=k)
    cells = maps.shape[-1] * maps.shape[-2]
    assert np.abs(maps[:, k] - grad_cam[:, 0].detach().numpy() * cells).max() < 1e-5


def test_the_map_averages_to_the_logit_without_its_bias(network: FrameClassifier) -> None:
    with torch.no_grad():
        features = network.features_of(frames())
        expected = (network.logits_of(features) - network.head.bias)[:, :-1].numpy()
        maps = class_activation(features, network.map_weights())
    assert maps.dtype == np.float32
    assert np.abs(maps.mean(axis=(2, 3)) - expected).max() < 1e-5


def test_heat_is_scaled_by_the_strongest_frame() -> None:
    maps = np.zeros((2, 8, 8), np.float32)
    maps[0, 4, 4], maps[1, 4, 4] = 2.0, 1.0
    heat = to_heat(maps, Letterbox.fit(64, 64, 64), (64, 64))
    assert heat.dtype == np.uint8
    assert heat[0].max() == 255
    assert heat[1].max() in (127, 128)


def test_evidence_against_a_class_gives_no_heat() -> None:
    heat = to_heat(np.full((1, 8, 8), -3.0, np.float32), Letterbox.fit(40, 60, 64), (40, 60))
    assert heat.shape == (1, 40, 60)
    assert not heat.any()


def test_evidence_in_the_fill_does_not_dim_the_picture() -> None:
    maps = np.zeros((1, 8, 8), np.float32)
    maps[0, 0], maps[0, 4, 4] = 100.0, 1.0
    heat = to_heat(maps, Letterbox.fit(16, 64, 64), (16, 64))
    assert heat.max() == 255


def test_heat_of_another_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="letterbox was made for"):
        to_heat(np.zeros((1, 8, 8), np.float32), Letterbox.fit(40, 60, 64), (60, 40))
