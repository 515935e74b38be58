"""Networks without their random start, for tests that look at shapes or fill every tensor themselves."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

STARTS = ("kaiming_normal_", "kaiming_uniform_", "normal_", "trunc_normal_", "uniform_", "constant_", "ones_", "zeros_")


@contextmanager
def unstarted() -> Iterator[None]:
    """Inside, a network's tensors hold what memory held, which is nothing to compute with."""

    def leave(tensor: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return tensor

    with patch.multiple(nn.init, **dict.fromkeys(STARTS, leave)):
        yield
