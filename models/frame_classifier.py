"""Frames in, class and assessability logits out: convolutions, pooling without parameters, one linear layer.

The linear layer directly over pooled features is what gives the activation map in closed form (Zhou et al., "Learning
deep features for discriminative localization", CVPR 2016; `models.pooling` for the three poolings). Softmax and
multi-label heads are the same layer; the loss and the card say which it is.

What this is not: a download. Weights are always random here (`weights=None`); `models.weights` loads trained ones.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torchvision
from torch import nn
from torchvision.ops.misc import Conv2dNormActivation

from models.pooling import GlobalAverage, Pooling

# Rows of MobileNetV2 (Sandler et al., CVPR 2018, table 2): expansion t, channels c, repeats n, stride s of the first.
# The last rows have stride 1 and not 2, so that the whole network has stride 16: an input of 160 px gives a map of
# 10 x 10 cells, MobileNetV2's own 32 would give 5 x 5.
STRIDE_16 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 1), (6, 320, 1, 1))


class Outputs(NamedTuple):
    """What training needs of one forward pass.

    Attributes:
        features: (N, C, m, m), the output of the map layer.
        logits: (N, K), or (N, K + 1) with assessability.
        auxiliary: logits (N, K) of an auxiliary head, in training only; None for a network without one.
    """

    features: torch.Tensor
    logits: torch.Tensor
    auxiliary: torch.Tensor | None = None


class FrameClassifier(nn.Module):
    """Convolutional features, pooled, a linear head of K classes and, where asked for, one assessability output.

    Attributes:
        n_classes: K.
        with_assessability: whether the head has one output more, the last.
    """

    map_layer = "features"

    def __init__(
        self,
        features: nn.Module,
        width: int,
        *,
        n_classes: int,
        pooling: Pooling | None = None,
        dropout: float = 0.2,
        with_assessability: bool = True,
    ) -> None:
        """Put a linear head on feature maps.

        Args:
            features: (N, channels, S, S) -> (N, width, m, m).
            width: channels of the feature maps.
            n_classes: K.
            pooling: between maps and head; None is the global average.
            dropout: share of pooled features switched off in training, 0..1.
            with_assessability: one output more, for whether the frame may be judged at all.
        """
        super().__init__()
        self.features = features
        self.pooling: Pooling = pooling or GlobalAverage()
        self.dropout = nn.Dropout(dropout)
        self.n_classes, self.with_assessability = n_classes, with_assessability
        self.head = nn.Linear(width * self.pooling.parts, n_classes + with_assessability)

    @property
    def map_kind(self) -> Literal["class_activation", "grad_cam"]:
        """What the map of `models.activation_map` means for this network; a card must say the same."""
        return "class_activation" if self.pooling.is_exact else "grad_cam"

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Logits (N, K) or (N, K + 1) of frames (N, channels, S, S); the last of K + 1 columns is assessability."""
        return self.logits_of(self.features_of(frames))

    def features_of(self, frames: torch.Tensor) -> torch.Tensor:
        """Feature maps (N, C, m, m)."""
        features: torch.Tensor = self.features(frames)
        return features

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        """What the head sees of feature maps (N, C, m, m): (N, C * parts of the pooling)."""
        pooled: torch.Tensor = self.pooling(features)
        return pooled

    def logits_of(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (N, K) or (N, K + 1) of feature maps (N, C, m, m)."""
        logits: torch.Tensor = self.head(self.dropout(self.pooled(features)))
        return logits

    def outputs(self, frames: torch.Tensor) -> Outputs:
        """Features, logits and, where there is one, the auxiliary head's logits in training mode."""
        features = self.features_of(frames)
        return Outputs(features, self.logits_of(features))

    def divided(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Class logits (N, K), and assessability logits (N,) or None when the network has no such output."""
        return logits[:, : self.n_classes], logits[:, self.n_classes] if self.with_assessability else None

    def map_weights(self) -> torch.Tensor:
        """Weights (K, C) of the activation map, without assessability."""
        return self.pooling.fold(self.head.weight[: self.n_classes])


def mobilenet_v2(
    *,
    n_classes: int,
    channels: int = 1,
    width_mult: float = 0.5,
    rows: Sequence[Sequence[int]] = STRIDE_16,
    last: int = 320,
    with_assessability: bool = True,
) -> FrameClassifier:
    """MobileNetV2 at stride 16, random start.

    Args:
        n_classes: K.
        channels: 1 (grey) or 3.
        width_mult: multiplies the channels of every row.
        rows: (t, c, n, s) as `STRIDE_16`.
        last: channels of the feature maps the head averages; not multiplied.
        with_assessability: one output more than K.
    """
    features = torchvision.models.mobilenet_v2(
        weights=None, width_mult=width_mult, inverted_residual_setting=[list(row) for row in rows], num_classes=1
    ).features
    stem = nn.Conv2d(channels, features[0][0].out_channels, kernel_size=3, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out")
    features[0][0] = stem
    features[-1] = Conv2dNormActivation(features[-1][0].in_channels, last, kernel_size=1, activation_layer=nn.ReLU6)
    return FrameClassifier(features, last, n_classes=n_classes, with_assessability=with_assessability)
