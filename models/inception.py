"""Inception-v3 (Szegedy et al., CVPR 2016): torchvision's convolutions, the papers' head, the auxiliary head.

The auxiliary head stands on the 17 x 17 map, is used in training only, and needs 299 px: at 224 px its kernel is
larger than the map. What this is not: a download; the network starts at random (`weights=None`).
"""

import torchvision
from torch import Tensor, nn
from torchvision.models.inception import InceptionAux

from models.frame_classifier import FrameClassifier, Outputs
from models.paper_networks import with_channels
from models.pooling import GlobalAverageMax

AUXILIARY_FROM_PX = 299
LEAST_PX = 75
"""Below, a convolution without padding meets a map smaller than its kernel."""


class InceptionFeatures(nn.Module):
    """Frames (N, channels, S, S) -> (N, 2048, m, m); 8 x 8 at 299 px. Module names are torchvision's."""

    def __init__(self, channels: int) -> None:
        """Random start, as torchvision starts it."""
        super().__init__()
        whole = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=True)
        for name, part in whole.named_children():
            if name not in {"avgpool", "dropout", "fc"}:
                self.add_module(name, part)
        with_channels(whole.Conv2d_1a_3x3.conv, channels)

    def forward(self, frames: Tensor) -> Tensor:
        """Feature maps (N, 2048, m, m)."""
        return self.tail(self.trunk(frames))

    def trunk(self, frames: Tensor) -> Tensor:
        """Maps (N, 768, l, l) on which the auxiliary head stands; 17 x 17 at 299 px."""
        return self._run(frames, to_tail=False)

    def tail(self, maps: Tensor) -> Tensor:
        """From the trunk's maps to the last."""
        return self._run(maps, to_tail=True)

    def _run(self, maps: Tensor, *, to_tail: bool) -> Tensor:
        # torchvision creates the parts in the order in which they run
        for name, part in self.named_children():
            if name.startswith("Mixed_7") == to_tail:
                maps = part(maps)
        return maps


class InceptionClassifier(FrameClassifier):
    """A `FrameClassifier` with an auxiliary head of K classes that only training sees."""

    def __init__(
        self, features: InceptionFeatures, *, n_classes: int, auxiliary: bool, with_assessability: bool
    ) -> None:
        """Average and max pooling side by side, dropout 0.5 as torchvision has it."""
        super().__init__(
            features,
            2048,
            n_classes=n_classes,
            pooling=GlobalAverageMax(),
            dropout=0.5,
            with_assessability=with_assessability,
        )
        self.auxiliary = InceptionAux(768, n_classes) if auxiliary else None
        if self.auxiliary is not None:
            self._start(self.auxiliary)

    def outputs(self, frames: Tensor) -> Outputs:
        """Features, logits and, in training mode, the auxiliary head's logits (N, K)."""
        if self.auxiliary is None or not self.training:
            return super().outputs(frames)
        assert isinstance(self.features, InceptionFeatures)  # noqa: S101 - as __init__ was given it
        maps = self.features.trunk(frames)
        features = self.features.tail(maps)
        return Outputs(features, self.logits_of(features), self.auxiliary(maps))

    @staticmethod
    def _start(head: nn.Module) -> None:
        for part in head.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(part.weight, std=float(getattr(part, "stddev", 0.1)), a=-2, b=2)


def inception_v3(
    *,
    n_classes: int,
    channels: int = 3,
    size: int = AUXILIARY_FROM_PX,
    auxiliary: bool | None = None,
    with_assessability: bool = False,
) -> InceptionClassifier:
    """Inception-v3, stride 32, 2048 channels.

    Args:
        n_classes: K.
        channels: 1 (grey) or 3.
        size: edge of the input, pixels, from 75.
        auxiliary: whether there is an auxiliary head; None where the map allows it, from 299 px.
        with_assessability: one output more than K.

    Raises:
        ValueError: the input is too small for the network, or for the auxiliary head that was asked for.
    """
    if size < LEAST_PX:
        raise ValueError(f"Inception-v3 needs at least {LEAST_PX} px, not {size}")
    if auxiliary and size < AUXILIARY_FROM_PX:
        raise ValueError(
            f"the auxiliary head needs {AUXILIARY_FROM_PX} px, not {size}; take that size, or auxiliary = false"
        )
    if auxiliary is None:
        auxiliary = size >= AUXILIARY_FROM_PX
    return InceptionClassifier(
        InceptionFeatures(channels), n_classes=n_classes, auxiliary=auxiliary, with_assessability=with_assessability
    )
