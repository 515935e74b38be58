"""Every registered network: shapes, gradients, batches, the card's round trip, its map, and no weights from elsewhere.

At 64 px, the papers' networks as the smallest picture lets them; Inception-v3 once at 299 px with its auxiliary head.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from models import frame_classifier, registry
from models.activation_map import class_activation
from models.frame_classifier import FrameClassifier
from models.weights import load_weights, save_tensors
from tests.unit.unstarted import unstarted

CLASSES = 3
PAPERS = ("densenet121", "densenet201", "efficientnet_b0", "inception_v3", "mobilenet_v2_full", "resnet18", "resnet34",
          "resnet152", "vgg16")  # fmt: skip

torch.set_num_threads(1)


def size_of(name: str) -> int:
    return 107 if name == "inception_v3" else 64  # a map of 2 x 2 cells


def arguments_of(name: str) -> dict[str, Any]:
    """As a card states them."""
    return registry.at_size({"name": name, "n_classes": CLASSES, "channels": 1}, size_of(name))


def frames(n: int, size: int, channels: int = 1) -> torch.Tensor:
    return torch.randn(n, channels, size, size, generator=torch.Generator().manual_seed(5))


def settle(network: nn.Module, shown: torch.Tensor) -> None:
    """Batch statistics as after training; the start's 0 and 1 let activations grow with every layer."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 1.0
    with torch.no_grad():
        network.train()(shown)
    for m, momentum in zip(norms, before, strict=True):
        m.momentum = momentum
    network.eval()


@pytest.fixture(scope="module", params=registry.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def network(name: str) -> FrameClassifier:
    torch.manual_seed(3)
    network = registry.build(**arguments_of(name))
    settle(network, frames(6, size_of(name)))
    return network


def test_the_papers_networks_are_registered() -> None:
    assert set(PAPERS) | {"mobilenet_v2", "sonogram"} == set(registry.names())
    assert registry.clip_names() == ("clip_attention", "clip_recurrent")


def test_every_parameter_gets_a_gradient(name: str, network: FrameClassifier) -> None:
    network.train().zero_grad()
    outputs = network.outputs(frames(4, size_of(name)))
    outputs.logits.square().sum().backward()
    without = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    network.zero_grad()
    settle(network, frames(6, size_of(name)))
    assert without == []


def test_a_batch_of_one_equals_its_place_in_a_batch_of_many(name: str, network: FrameClassifier) -> None:
    shown = frames(3, size_of(name)).double()  # 150 random layers make much of single precision's rounding
    with torch.inference_mode():
        together = network.eval().double()(shown)
        alone = torch.cat([network(frame[None]) for frame in shown])
    network.float()
    assert together.shape == (3, CLASSES + network.with_assessability)
    assert torch.isfinite(together).all()
    assert (together.std(dim=0) > 0).all()
    torch.testing.assert_close(alone, together, atol=1e-9, rtol=1e-9)


def test_the_map_is_grad_cam_times_the_number_of_cells(name: str, network: FrameClassifier) -> None:
    shown = frames(2, size_of(name))
    with torch.no_grad():
        features = network.eval().features_of(shown)
        maps = class_activation(features, network.map_weights())
    cells = maps.shape[2] * maps.shape[3]
    cam = LayerGradCam(network, getattr(network, network.map_layer))
    for k in range(CLASSES):
        expected = cam.attribute(shown, target=k)[:, 0].detach().numpy()
        assert np.abs(maps[:, k] / cells - expected).max() < 1e-5
        assert np.abs(expected).max() > 1e-3


def test_a_map_called_class_activation_averages_to_the_logit(name: str, network: FrameClassifier) -> None:
    with torch.no_grad():
        features = network.eval().features_of(frames(2, size_of(name)))
        logits = network.logits_of(features)[:, :CLASSES] - network.head.bias[:CLASSES]
        misses = np.abs(class_activation(features, network.map_weights()).mean(axis=(2, 3)) - logits.numpy()).max()
    assert (misses < 1e-5) == (network.map_kind == "class_activation")


def test_card_and_weights_file_give_the_same_network_back(name: str, network: FrameClassifier, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    digest = save_tensors(network.state_dict(), path)
    with unstarted():
        other = registry.build(**json.loads(json.dumps(arguments_of(name)))).eval()
    load_weights(other, path, digest)
    path.unlink()
    shown = frames(1, size_of(name))
    with torch.inference_mode():
        assert torch.equal(other(shown), network.eval()(shown))


@pytest.mark.parametrize("name", ["mobilenet_v2", "sonogram"])
def test_the_services_own_networks_have_ten_cells_at_160_pixels(name: str) -> None:
    with torch.inference_mode():
        features = registry.build(name, n_classes=2).eval().features_of(torch.zeros(1, 1, 160, 160))
    assert features.shape[2:] == (10, 10)


@pytest.mark.parametrize("name", ["mobilenet_v2_full", "sonogram"])
def test_assessability_is_the_last_output_where_it_is_asked_for(name: str) -> None:
    for asked in (False, True):
        network = registry.build(name, n_classes=2, with_assessability=asked).eval()
        logits = torch.arange(6.0).reshape(2, 3)[:, : 2 + asked]
        classes, assessability = network.divided(logits)
        assert network.head.out_features == 2 + asked
        assert classes.tolist() == [[0, 1], [3, 4]] if asked else [[0, 1], [2, 3]]
        assert assessability is None if not asked else assessability.tolist() == [2, 5]
        assert network.map_weights().shape[0] == 2


def test_channels_other_than_grey_or_colour_are_refused() -> None:
    for name in ("resnet18", "sonogram"):
        with pytest.raises(ValueError, match="channels"):
            registry.build(name, n_classes=2, channels=2)


def test_a_second_registration_of_a_name_is_refused() -> None:
    for taken in ("mobilenet_v2", "clip_attention"):
        with pytest.raises(ValueError, match="registered already"):
            registry.register(taken)(frame_classifier.mobilenet_v2)


def test_an_unknown_name_lists_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="mobilenet_v2"):
        registry.build("resnet_of_another_house", n_classes=2)
    with pytest.raises(ValueError, match="clip_attention"):
        registry.build_clip("resnet18", encoder={"name": "resnet18"}, n_classes=2)


def test_a_network_at_another_size_keeps_its_other_arguments() -> None:
    assert registry.at_size({"name": "resnet18", "n_classes": 2}, 96) == {"name": "resnet18", "n_classes": 2}
    assert registry.at_size({"name": "resnet152", "n_classes": 2, "size": 224}, 96)["size"] == 96


def test_no_module_asks_for_weights_from_elsewhere_or_for_pickle() -> None:
    root = Path(registry.__file__).parents[1]
    sources = [path for folder in ("models", "train", "dicom_ai") for path in (root / folder).rglob("*.py")]
    assert len(sources) > 20
    for path in sources:
        text = path.read_text(encoding="utf-8")
        if path == root / "models" / "imagenet.py":  # the one reader of a user's file, after its digest was checked
            assert text.count("torch.load(") == len(re.findall(r"torch\.load\([^\n]*weights_only=True\)", text)) == 1
            text = text.replace("torch.load(", "")
        for banned in (
            "torch.load",
            "import pickle",
            "torch.hub",
            "_Weights",
            "pretrained=",
            "torch.save",
            "allow_pickle=True",
        ):
            assert banned not in text, f"{path.relative_to(root)} uses {banned}"
        if "torchvision.models" in text:
            assert len(re.findall(r"\bweights=", text)) == text.count("weights=None") > 0, path
