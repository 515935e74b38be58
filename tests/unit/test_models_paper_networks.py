"""What the papers' networks have of their own: pooling, sizes, the auxiliary head."""

import pytest
import torch
from torch import nn

from models import registry
from models.paper_networks import with_channels
from models.pooling import GlobalAverage, GlobalAverageMax, WindowAverage
from tests.unit.unstarted import unstarted

torch.set_num_threads(1)


def test_the_lung_papers_pool_covers_the_map_at_its_own_size() -> None:
    with unstarted():
        network = registry.build("resnet152", n_classes=4)
    assert isinstance(network.pooling, WindowAverage)
    assert (network.pooling.kernel, network.pooling.stride, network.pooling.parts) == (7, 1, 1)
    assert network.head.in_features == 2048
    assert network.map_kind == "class_activation"


def test_a_smaller_window_gives_the_head_places_and_the_map_no_sum() -> None:
    with unstarted():
        network = registry.build("resnet152", n_classes=4, size=96, pool_kernel=2).eval()
    assert network.head.in_features == 2048 * 4
    assert network.map_kind == "grad_cam"
    with pytest.raises(ValueError, match="made for a map of 3 x 3"):
        network.logits_of(torch.zeros(1, 2048, 4, 4))


@pytest.mark.parametrize(("kernel", "stride"), [(4, 1), (0, 1), (2, 0)])
def test_a_window_that_does_not_fit_is_refused(kernel: int, stride: int) -> None:
    with pytest.raises(ValueError, match="does not fit a map of 3 x 3"):
        WindowAverage(3, kernel, stride)


def test_one_window_over_everything_is_the_global_average() -> None:
    features = torch.rand(2, 5, 7, 7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(WindowAverage(7, 7, 1)(features), GlobalAverage()(features))


def test_windows_come_channel_by_channel() -> None:
    features = torch.arange(32.0).reshape(1, 2, 4, 4)
    assert WindowAverage(4, 2, 2)(features).tolist() == [[2.5, 4.5, 10.5, 12.5, 18.5, 20.5, 26.5, 28.5]]


def test_means_come_before_maxima() -> None:
    features = torch.arange(8.0).reshape(1, 2, 2, 2)
    assert GlobalAverageMax()(features).tolist() == [[1.5, 5.5, 3, 7]]


@pytest.mark.parametrize(
    "pooling", [GlobalAverage(), GlobalAverageMax(), WindowAverage(4, 2, 1), WindowAverage(5, 2, 3)]
)
@pytest.mark.parametrize("ties", [False, True])
def test_the_folded_weights_are_the_gradient_summed_over_cells(pooling: torch.nn.Module, ties: bool) -> None:
    side = getattr(pooling, "side", 4)
    features = torch.rand(1, 6, side, side, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    if ties:
        features = features.clamp(max=0.5)  # many cells share each maximum
    head = torch.rand(3, 6 * pooling.parts, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    features.requires_grad_()
    for k, row in enumerate(pooling.fold(head)):
        (gradient,) = torch.autograd.grad((pooling(features) @ head.T)[0, k], features)
        torch.testing.assert_close(gradient.sum(dim=(0, 2, 3)), row, atol=1e-12, rtol=1e-12)


def test_the_auxiliary_head_is_for_training_at_299_pixels() -> None:
    torch.manual_seed(4)
    network = registry.build("inception_v3", n_classes=3, channels=1)
    shown = torch.randn(3, 1, 299, 299, generator=torch.Generator().manual_seed(5))
    features, logits, auxiliary = network.train().outputs(shown)
    assert features.shape == (3, 2048, 8, 8)
    assert auxiliary is not None
    assert logits.shape == auxiliary.shape == (3, 3)
    (logits.square().sum() + auxiliary.square().sum()).backward()
    assert [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_the_auxiliary_head_cannot_be_had_below_299_pixels() -> None:
    with pytest.raises(ValueError, match="auxiliary head needs 299 px, not 224"):
        registry.build("inception_v3", n_classes=3, size=224, auxiliary=True)
    with pytest.raises(ValueError, match="at least 75 px"):
        registry.build("inception_v3", n_classes=3, size=74)
    with unstarted():
        network = registry.build("inception_v3", n_classes=3, size=224)
    assert network.train().outputs(torch.zeros(2, 3, 107, 107)).auxiliary is None


@pytest.mark.parametrize("has_bias", [False, True])
def test_one_channel_sees_what_three_see_of_a_grey_picture(has_bias: bool) -> None:
    three, one = nn.Conv2d(3, 8, 5, stride=2, padding=2, bias=has_bias), nn.Conv2d(3, 8, 5, 2, 2, bias=has_bias)
    one.load_state_dict(three.state_dict())
    with_channels(one, 1)
    grey = torch.randn(2, 1, 20, 20, generator=torch.Generator().manual_seed(7))
    assert one.weight.shape == (8, 1, 5, 5)
    torch.testing.assert_close(one(grey), three(grey.repeat(1, 3, 1, 1)), atol=1e-5, rtol=1e-5)


def test_the_small_network_has_few_parameters_and_no_memory_of_batches() -> None:
    network = registry.build("sonogram", n_classes=4)
    assert sum(p.numel() for p in network.parameters()) < 200_000
    shown = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(6))
    network.dropout.p = 0.0
    with torch.no_grad():
        torch.testing.assert_close(network.train()(shown)[:1], network.eval()(shown[:1]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("arguments", "cells"), [({}, 10), ({"stride": 8, "with_max": False}, 20)])
def test_the_small_network_has_cells_to_choose(arguments: dict[str, object], cells: int) -> None:
    network = registry.build("sonogram", n_classes=2, **arguments).eval()
    with torch.inference_mode():
        assert network.features_of(torch.zeros(1, 1, 160, 160)).shape[2:] == (cells, cells)
    assert network.map_kind == ("grad_cam" if not arguments else "class_activation")


@pytest.mark.parametrize("wrong", [{"stride": 32}, {"width": 12}, {"width": 0}])
def test_a_small_network_of_no_such_kind_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no such network"):
        registry.build("sonogram", n_classes=2, **wrong)
