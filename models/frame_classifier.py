"""Frames in, class and assessability logits out: convolutions, global average pooling, one linear layer.

The linear layer directly over the averaged features is what makes the activation map exact (Zhou et al., "Learning
deep features for discriminative localization", CVPR 2016). The stride is held at 16, so that an input of 160 px
gives a map of 10 x 10 cells; MobileNetV2's own 32 would give 5 x 5.

What this is not: a download. Weights are always random here (`weights=None`); `models.weights` loads trained ones.
"""

from collections.abc import Sequence

import torch
import torchvision
from torch import nn
from torchvision.ops.misc import Conv2dNormActivation

# Rows of MobileNetV2 (Sandler et al., CVPR 2018, table 2): expansion t, channels c, repeats n, stride s of the first.
# The last rows have stride 1 and not 2, so that the whole network has stride 16.
STRIDE_16 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 1), (6, 320, 1, 1))


class FrameClassifier(nn.Module):
    """Convolutional features, their average, a linear head of K classes and one assessability output."""

    map_layer = "features"

    def __init__(self, features: nn.Module, width: int, *, n_classes: int, dropout: float = 0.2) -> None:
        """Put a linear head on feature maps.

        Args:
            features: (N, channels, S, S) -> (N, width, m, m).
            width: channels of the feature maps.
            n_classes: K.
            dropout: share of averaged features switched off in training, 0..1.
        """
        super().__init__()
        self.features = features
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, n_classes + 1)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Logits (N, K + 1) of frames (N, channels, S, S); the last column is assessability."""
        return self.logits_of(self.features_of(frames))

    def features_of(self, frames: torch.Tensor) -> torch.Tensor:
        """Feature maps (N, C, m, m)."""
        features: torch.Tensor = self.features(frames)
        return features

    def logits_of(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (N, K + 1) of feature maps (N, C, m, m)."""
        logits: torch.Tensor = self.head(self.dropout(features.mean(dim=(2, 3))))
        return logits

    def map_weights(self) -> torch.Tensor:
        """Weights (K, C) of the class outputs, without assessability."""
        return self.head.weight[:-1]


def mobilenet_v2(
    *,
    n_classes: int,
    channels: int = 1,
    width_mult: float = 0.5,
    rows: Sequence[Sequence[int]] = STRIDE_16,
    last: int = 320,
) -> FrameClassifier:
    """MobileNetV2 at stride 16, random start.

    Args:
        n_classes: K; the head has K + 1 outputs.
        channels: 1 (grey) or 3.
        width_mult: multiplies the channels of every row.
        rows: (t, c, n, s) as `STRIDE_16`.
        last: channels of the feature maps the head averages; not multiplied.
    """
    features = torchvision.models.mobilenet_v2(
        weights=None, width_mult=width_mult, inverted_residual_setting=[list(row) for row in rows], num_classes=1
    ).features
    stem = nn.Conv2d(channels, features[0][0].out_channels, kernel_size=3, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out")
    features[0][0] = stem
    features[-1] = Conv2dNormActivation(features[-1][0].in_channels, last, kernel_size=1, activation_layer=nn.ReLU6)
    return FrameClassifier(features, last, n_classes=n_classes)
