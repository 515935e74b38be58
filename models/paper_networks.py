"""The networks of the two papers: torchvision's convolutions, their own head replaced by one linear layer.

Eight networks of the uterus paper (Chin J Med Imaging Technol 2025;41(12):1954-1959): on the last convolutional
feature map global average and global max pooling run side by side, are concatenated and feed the linear head. For
VGG-16 this takes the place of its three fully connected layers, and the last feature map is the one before the last
max pooling. ResNet-152 of the lung paper: a plain average pool of fixed kernel and stride before the head.

Every module keeps the name it has in torchvision, under `features`, so that `models.imagenet` can fill it. What this
is not: a download; every network starts at random (`weights=None`).
"""

from collections import OrderedDict
from typing import Any, cast

import torchvision
from torch import nn

from models.frame_classifier import FrameClassifier
from models.pooling import GlobalAverageMax, WindowAverage


def resnet18(*, n_classes: int, channels: int = 3, with_assessability: bool = False) -> FrameClassifier:
    """ResNet-18 (He et al., CVPR 2016), stride 32, 512 channels."""
    features = _residual(torchvision.models.resnet18(weights=None), channels)
    return _average_max(features, 512, n_classes, with_assessability, dropout=0.0)


def resnet34(*, n_classes: int, channels: int = 3, with_assessability: bool = False) -> FrameClassifier:
    """ResNet-34 (He et al., CVPR 2016), stride 32, 512 channels."""
    features = _residual(torchvision.models.resnet34(weights=None), channels)
    return _average_max(features, 512, n_classes, with_assessability, dropout=0.0)


def resnet152(
    *,
    n_classes: int,
    channels: int = 3,
    size: int = 224,
    pool_kernel: int | None = None,
    pool_stride: int = 1,
    with_assessability: bool = False,
) -> FrameClassifier:
    """ResNet-152 (He et al., CVPR 2016), stride 32, 2048 channels, with the lung paper's pooling.

    Args:
        n_classes: K.
        channels: 1 (grey) or 3.
        size: edge of the input, pixels; the pool is fixed for it, another size is refused.
        pool_kernel: cells; None covers the whole map (7 x 7 at 224 px).
        pool_stride: cells.
        with_assessability: one output more than K.

    Raises:
        ValueError: the kernel does not fit the map at this size.
    """
    side = -(-size // 32)  # five halvings, each rounded up
    pooling = WindowAverage(side, side if pool_kernel is None else pool_kernel, pool_stride)
    return FrameClassifier(
        _residual(torchvision.models.resnet152(weights=None), channels),
        2048,
        n_classes=n_classes,
        pooling=pooling,
        dropout=0.0,
        with_assessability=with_assessability,
    )


def densenet121(*, n_classes: int, channels: int = 3, with_assessability: bool = False) -> FrameClassifier:
    """DenseNet-121 (Huang et al., CVPR 2017), stride 32, 1024 channels."""
    features = _dense(torchvision.models.densenet121(weights=None).features, channels)
    return _average_max(features, 1024, n_classes, with_assessability, dropout=0.0)


def densenet201(*, n_classes: int, channels: int = 3, with_assessability: bool = False) -> FrameClassifier:
    """DenseNet-201 (Huang et al., CVPR 2017), stride 32, 1920 channels."""
    features = _dense(torchvision.models.densenet201(weights=None).features, channels)
    return _average_max(features, 1920, n_classes, with_assessability, dropout=0.0)


def efficientnet_b0(*, n_classes: int, channels: int = 3, with_assessability: bool = False) -> FrameClassifier:
    """EfficientNet-B0 (Tan and Le, ICML 2019), stride 32, 1280 channels."""
    features = torchvision.models.efficientnet_b0(weights=None).features
    with_channels(features[0][0], channels)
    return _average_max(features, 1280, n_classes, with_assessability, dropout=0.2)


def mobilenet_v2_full(*, n_classes: int, channels: int = 3, with_assessability: bool = False) -> FrameClassifier:
    """MobileNetV2 as published (Sandler et al., CVPR 2018), stride 32, 1280 channels."""
    features = torchvision.models.mobilenet_v2(weights=None).features
    with_channels(features[0][0], channels)
    return _average_max(features, 1280, n_classes, with_assessability, dropout=0.2)


def vgg16(*, n_classes: int, channels: int = 3, with_assessability: bool = False) -> FrameClassifier:
    """VGG-16 without batch normalisation (Simonyan and Zisserman, ICLR 2015), stride 16, 512 channels."""
    plan = torchvision.models.vgg.cfgs["D"][:-1]  # up to the last max pooling
    features = torchvision.models.vgg.make_layers(plan)
    for layer in features:
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    with_channels(features[0], channels)
    features[-1] = nn.ReLU()  # torchvision's works in place, which would hide the activation from hooks
    return _average_max(features, 512, n_classes, with_assessability, dropout=0.5)


def with_channels(stem: nn.Conv2d, channels: int) -> None:
    """A first convolution of 3 channels, changed for 1 where that is asked for.

    The one channel's weights are the sum of the three: the network then says of a grey picture exactly what it said
    of that picture repeated in three channels, whether the weights are random or trained.

    Raises:
        ValueError: another number of channels.
    """
    if channels not in {1, 3}:
        raise ValueError(f"a network sees 1 or 3 channels, not {channels}")
    if channels != stem.in_channels:
        stem.weight = nn.Parameter(stem.weight.detach().sum(dim=1, keepdim=True))
        stem.in_channels = channels


def _average_max(
    features: nn.Module, width: int, n_classes: int, with_assessability: bool, *, dropout: float
) -> FrameClassifier:
    return FrameClassifier(
        features,
        width,
        n_classes=n_classes,
        pooling=GlobalAverageMax(),
        dropout=dropout,
        with_assessability=with_assessability,
    )


def _residual(network: Any, channels: int) -> nn.Sequential:
    with_channels(network.conv1, channels)
    parts = OrderedDict((name, part) for name, part in network.named_children() if name not in {"avgpool", "fc"})
    return nn.Sequential(parts)


def _dense(features: Any, channels: int) -> nn.Module:
    with_channels(features.conv0, channels)
    features.add_module("relu5", nn.ReLU())  # torchvision has it outside of `features`, as a function
    return cast("nn.Module", features)
