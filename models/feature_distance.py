"""How far a picture is from what a network learnt from: the distance of its features, as a share of good pictures.

The distance is Mahalanobis' from the nearest of one or more means under one shared covariance (Lee et al., "A simple
unified framework for detecting out-of-distribution samples", NeurIPS 2018), over the average of the last feature maps.
It becomes a conformal p-value (Laxhammar and Falkman, 2010): the share of good pictures, unseen by network and
statistics, that lie at least as far out. A picture is turned away under the card's threshold t, and good pictures of
the same kind are turned away with probability t at most. What this is not: a test of the picture's quality.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

DISTANCE = "distance.safetensors"
RELATIVE_TOLERANCE = 0.01
"""How far a device may be from the stored distances, as a share of one plus the distance: less than one rank in a
hundred good pictures moves by it."""


class DistanceFault(ValueError):
    """The statistics are not those of this network."""


@dataclass(frozen=True)
class FeatureDistance:
    """Statistics of the features of good pictures.

    Attributes:
        means: float32 (G, D), G >= 1: one per class of a softmax head, else one.
        whitening: float32 (D, R): covariance of the features about their mean is 1 behind it.
        good: float32 (n,), n >= 1: distances of good pictures that neither network nor statistics saw, ascending.
    """

    means: torch.Tensor
    whitening: torch.Tensor
    good: torch.Tensor

    @classmethod
    def of(cls, tensors: Mapping[str, torch.Tensor]) -> "FeatureDistance":
        """From the tensors of a file.

        Raises:
            DistanceFault: one is missing, not finite, or they do not fit together.
        """
        if {"means", "whitening", "good"} - set(tensors):
            raise DistanceFault(f"{DISTANCE} needs the tensors means, whitening and good")
        made = cls(*(tensors[name].float() for name in ("means", "whitening", "good")))
        shapes = (made.means.ndim, made.whitening.ndim, made.good.ndim)
        if shapes != (2, 2, 1) or made.means.shape[1] != made.whitening.shape[0] or 0 in made.means.shape:
            raise DistanceFault(f"the tensors of {DISTANCE} do not fit together")
        if not all(bool(one.isfinite().all()) for one in (made.means, made.whitening, made.good)):
            raise DistanceFault(f"{DISTANCE} holds a number that is not finite")
        if not len(made.good) or bool((made.good.diff() < 0).any()):
            raise DistanceFault(f"the good distances of {DISTANCE} are none or not ascending")
        return made

    def tensors(self) -> dict[str, torch.Tensor]:
        """What `of` reads."""
        return {"means": self.means, "whitening": self.whitening, "good": self.good}

    def distances(self, pooled: torch.Tensor) -> torch.Tensor:
        """Distance (N,) of pooled features (N, D) on the CPU; not finite where they are not.

        Raises:
            DistanceFault: D is not that of the statistics.
        """
        if pooled.ndim != 2 or pooled.shape[1] != self.means.shape[1]:
            raise DistanceFault(f"{DISTANCE} is of {self.means.shape[1]} features, the network has {pooled.shape[-1]}")
        apart = pooled.float() @ self.whitening  # whitened first: the difference of two large numbers is taken once
        return torch.cdist(apart, self.means @ self.whitening, compute_mode="donot_use_mm_for_euclid_dist").amin(dim=1)

    def nearness(self, distances: torch.Tensor) -> torch.Tensor:
        """Share (N,), 0..1, of good pictures at least as far out as `distances` (N,); 0 where one is not finite."""
        n = len(self.good)
        further = n - torch.searchsorted(self.good, distances.contiguous())
        share = (1 + further).float() / (n + 1)
        return torch.where(distances.isfinite(), share, torch.zeros_like(share))


def pooled_of(features: torch.Tensor) -> torch.Tensor:
    """What the distance is taken over, float32 (N, C) on the CPU: the average of feature maps (N, C, m, m)."""
    return features.float().mean(dim=(2, 3)).cpu()
