"""A small network for ultrasound and few patients, and why it is as it is.

* Few channels (16 to 128), depthwise-separable residual blocks: 0.1 million parameters instead of 2 to 60 million.
  With tens of patients a large network learns the patients by heart.
* Group normalisation (Wu and He, ECCV 2018) instead of batch normalisation: a batch holds neighbouring frames of few
  patients, so its statistics are those patients' gain and depth; here training and serving compute the same.
* Blurred down-sampling (Zhang, "Making convolutional networks shift-invariant again", ICML 2019): A-lines, B-lines
  and a pleura are one or two pixels thin after resizing, and plain strides answer differently when one moves by a
  pixel, as it does from frame to frame.
* Stride 16 (or 8): signs are small and their place is shown; 160 px give 10 x 10 (20 x 20) cells. Dilated last blocks
  see the sign's surroundings without a coarser map.

Random start only; nobody publishes weights for it. What this is not: tuned on any data set.
"""

import torch
from torch import nn
from torch.nn import functional

from models.frame_classifier import FrameClassifier
from models.pooling import GlobalAverage, GlobalAverageMax

GROUP = 8
"""Channels per group of the normalisation."""


class BlurPool(nn.Module):
    """Binomial 3 x 3 low-pass and stride 2: (N, C, h, w) -> (N, C, ceil(h / 2), ceil(w / 2))."""

    kernel: torch.Tensor

    def __init__(self) -> None:
        """The kernel is fixed; it is neither trained nor stored."""
        super().__init__()
        row = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("kernel", (row[:, None] * row)[None, None], persistent=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps of half the size; the edge is repeated, not filled with black."""
        padded = functional.pad(maps, (1, 1, 1, 1), mode="replicate")
        kernel = self.kernel.to(maps.dtype).expand(maps.shape[1], 1, 3, 3)
        return functional.conv2d(padded, kernel, stride=2, groups=maps.shape[1])


class SeparableBlock(nn.Module):
    """Residual block: depthwise 3 x 3, pointwise, each normalised; (N, C, h, w) -> (N, D, h, w)."""

    def __init__(self, width: int, wider: int, dilation: int = 1) -> None:
        """From `width` to `wider` channels."""
        super().__init__()
        self.spatial = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, groups=width, bias=False)
        self.spatial_norm = nn.GroupNorm(width // GROUP, width)
        self.mix = nn.Conv2d(width, wider, 1, bias=False)
        self.mix_norm = nn.GroupNorm(wider // GROUP, wider)
        self.skip = nn.Identity() if width == wider else nn.Conv2d(width, wider, 1, bias=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps of the same size."""
        spatial = functional.relu(self.spatial_norm(self.spatial(maps)))
        return functional.relu(self.skip(maps) + self.mix_norm(self.mix(spatial)))


def sonogram(
    *,
    n_classes: int,
    channels: int = 1,
    width: int = 16,
    stride: int = 16,
    with_max: bool = True,
    with_assessability: bool = False,
) -> FrameClassifier:
    """The small network, random start.

    Args:
        n_classes: K.
        channels: 1 (grey) or 3.
        width: channels after the first convolution, a multiple of 8; the last map has 8 times as many.
        stride: of the map, 8 or 16.
        with_max: average and max pooling side by side; otherwise the average, whose map adds up to the logit.
        with_assessability: one output more than K.

    Raises:
        ValueError: width, stride or channels are not as above.
    """
    if channels not in {1, 3} or stride not in {8, 16} or width < GROUP or width % GROUP:
        raise ValueError(f"no such network: {channels} channels, stride {stride}, width {width}")
    stem = nn.Conv2d(channels, width, 5, padding=2, bias=False)
    parts: list[nn.Module] = [stem, nn.GroupNorm(width // GROUP, width), nn.ReLU(), BlurPool()]
    parts += [SeparableBlock(width, 2 * width), BlurPool()]
    parts += [SeparableBlock(2 * width, 4 * width), SeparableBlock(4 * width, 4 * width), BlurPool()]
    parts += [SeparableBlock(4 * width, 4 * width), SeparableBlock(4 * width, 8 * width)]
    parts += [BlurPool()] if stride == 16 else []
    parts += [SeparableBlock(8 * width, 8 * width, dilation) for dilation in (1, 2, 3)]
    features = nn.Sequential(*parts)
    for layer in features.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return FrameClassifier(
        features,
        8 * width,
        n_classes=n_classes,
        pooling=GlobalAverageMax() if with_max else GlobalAverage(),
        with_assessability=with_assessability,
    )
