"""Every registered network: shapes, gradients, batches, the card's round trip, and no weights from elsewhere."""

from pathlib import Path

import pytest
import torch

from models import frame_classifier, registry
from models.frame_classifier import FrameClassifier

SIZE, CLASSES = 64, 3


@pytest.fixture(scope="module", params=registry.names())
def network(request: pytest.FixtureRequest) -> FrameClassifier:
    torch.manual_seed(3)
    return registry.build(request.param, n_classes=CLASSES)


def frames(n: int) -> torch.Tensor:
    return torch.randn(n, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(5))


def test_a_network_gives_one_logit_per_class_and_one_for_assessability(network: FrameClassifier) -> None:
    logits = network.eval()(frames(2))
    assert logits.shape == (2, CLASSES + 1)
    assert torch.isfinite(logits).all()


def test_the_map_has_at_least_ten_cells_at_160_pixels(network: FrameClassifier) -> None:
    with torch.inference_mode():
        features = network.eval().features_of(torch.zeros(1, 1, 160, 160))
    assert min(features.shape[2:]) >= 10


def test_every_parameter_gets_a_gradient(network: FrameClassifier) -> None:
    network.train().zero_grad()
    network(frames(4)).square().sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_a_batch_of_one_equals_its_place_in_a_batch_of_many(network: FrameClassifier) -> None:
    with torch.inference_mode():
        together = network.eval()(frames(5))
        alone = torch.cat([network(frame[None]) for frame in frames(5)])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)


def test_three_channels_are_accepted_when_asked_for() -> None:
    network = registry.build("mobilenet_v2", n_classes=2, channels=3).eval()
    assert network(torch.zeros(1, 3, SIZE, SIZE)).shape == (1, 3)


def test_the_logit_is_the_mean_of_the_features_through_the_head(network: FrameClassifier) -> None:
    with torch.inference_mode():
        features = network.eval().features_of(frames(2))
        expected = features.mean(dim=(2, 3)) @ network.map_weights().T + network.head.bias[:-1]
        torch.testing.assert_close(network(frames(2))[:, :-1], expected, atol=1e-6, rtol=1e-6)


def test_a_second_registration_of_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="registered already"):
        registry.register("mobilenet_v2")(frame_classifier.mobilenet_v2)


def test_an_unknown_name_lists_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="mobilenet_v2"):
        registry.build("resnet_of_another_house", n_classes=2)


def test_no_module_asks_for_weights_from_elsewhere_or_for_pickle() -> None:
    root = Path(registry.__file__).parents[1]
    sources = [path for folder in ("models", "train", "dicom_ai") for path in (root / folder).rglob("*.py")]
    assert len(sources) > 20
    for path in sources:
        text = path.read_text(encoding="utf-8")
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
        if "torchvision" in text:
            assert text.count("weights=") == text.count("weights=None") > 0, path
