"""From feature maps to the numbers the linear head sees: three poolings, each linear enough for a closed-form map.

Each pooling P keeps P(A) linear in the activations A once it is known where the maxima lie, so that Grad-CAM of a
linear head W over it needs no backward pass. With Z cells, the mean over cells of dy_k/dA_c is

* average:            W_kc / Z                      (every cell gets W_kc / Z),
* average and max:    (W_kc + V_kc) / Z             (W over the averages, V over the maxima; the cell of the maximum
                                                    gets V_kc more; when n cells tie, `amax` gives each V_kc / n),
* average in windows: sum over windows of W_kcu / Z  (a window of n cells gives each of its cells W_kcu / n).

The mean over cells does not depend on where a maximum lies nor on how ties are shared, so each pooling folds its
head's weights (K, C * parts) into one weight per class and channel. What this is not: a layer with parameters.
"""

import torch
from torch import nn
from torch.nn import functional


class GlobalAverage(nn.Module):
    """Mean over all cells: (N, C, m, m) -> (N, C)."""

    parts = 1
    is_exact = True
    """Whether the folded map's mean over cells plus the head's bias is the logit."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Pooled features (N, C * parts)."""
        return features.mean(dim=(2, 3))

    def fold(self, weights: torch.Tensor) -> torch.Tensor:
        """Head weights (K, C * parts) -> weights (K, C) of the map."""
        return weights


class GlobalAverageMax(nn.Module):
    """Mean and maximum over all cells, side by side: (N, C, m, m) -> (N, 2 C), the means first."""

    parts = 2
    is_exact = False

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Pooled features (N, C * parts)."""
        return torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)

    def fold(self, weights: torch.Tensor) -> torch.Tensor:
        """Head weights (K, C * parts) -> weights (K, C) of the map: both halves are evidence for the same channel."""
        return weights.reshape(len(weights), 2, -1).sum(dim=1)


class WindowAverage(nn.Module):
    """Mean over square windows of fixed kernel and stride: (N, C, m, m) -> (N, C * p * p).

    The plain average pool that takes the place of the adaptive one in the lung paper (reference: Acad J Naval Med
    Univ 2022;43(8):901-907). A kernel as large as the map gives one window, the same as `GlobalAverage`.
    """

    def __init__(self, side: int, kernel: int, stride: int) -> None:
        """Fix the windows.

        Args:
            side: m, cells of the map along each edge; another map is refused.
            kernel: cells of a window along each edge, 1..m.
            stride: cells from window to window.

        Raises:
            ValueError: the kernel does not fit into the map, or the stride is not positive.
        """
        super().__init__()
        if not 1 <= kernel <= side or stride < 1:
            raise ValueError(f"a pool of {kernel} x {kernel}, stride {stride}, does not fit a map of {side} x {side}")
        self.side, self.kernel, self.stride = side, kernel, stride
        self.parts = ((side - kernel) // stride + 1) ** 2
        self.is_exact = kernel == side

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Pooled features (N, C * parts).

        Raises:
            ValueError: the map is not the one the windows were made for.
        """
        if tuple(features.shape[2:]) != (self.side, self.side):
            raise ValueError(f"the head was made for a map of {self.side} x {self.side}, not {features.shape[2:]}")
        return functional.avg_pool2d(features, self.kernel, self.stride).flatten(1)

    def fold(self, weights: torch.Tensor) -> torch.Tensor:
        """Head weights (K, C * parts) -> weights (K, C) of the map: the sum over windows."""
        return weights.reshape(len(weights), -1, self.parts).sum(dim=2)


Pooling = GlobalAverage | GlobalAverageMax | WindowAverage
