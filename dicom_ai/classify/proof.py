"""The proof that a device may serve a model: it must reproduce the outputs that were stored with the weights.

Run on every device a model is loaded on, before the first image. What this is not: the loading (`runtime`).
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from dicom_ai.errors import CardMismatch
from models.card import ModelCard
from models.feature_distance import RELATIVE_TOLERANCE
from models.weights import VECTORS

Array = npt.NDArray[np.float32]
Reproduced = tuple[Array, Array]
"""Logits and distances that a device computed of the stored inputs."""


def inputs_of(vectors: Mapping[str, torch.Tensor], card: ModelCard) -> torch.Tensor:
    """The stored inputs, float32 (n, channels, size, size), n >= 1.

    Raises:
        CardMismatch: the vectors prove nothing: a tensor is missing, empty, not finite or of another shape.
    """
    wanted = {"input", "logits"} | ({"distance"} if card.abstain.kind == "feature_distance" else set())
    if wanted - set(vectors):
        raise CardMismatch(f"{VECTORS} needs the tensors {', '.join(sorted(wanted))}")
    shown = vectors["input"]
    size = (card.input.channels, card.input.size, card.input.size)
    if not len(shown) or tuple(shown.shape[1:]) != size or shown.dtype != torch.float32:
        raise CardMismatch(f"{VECTORS}: the inputs are not pictures of the card's size")
    if not bool(shown.isfinite().all()):
        raise CardMismatch(f"{VECTORS}: an input is not finite")
    return shown


def require_reproduced(vectors: Mapping[str, torch.Tensor], card: ModelCard, device: str, found: Reproduced) -> None:
    """Compare what a device computed with what was stored.

    Raises:
        CardMismatch: further away than the card allows, or of another shape; the text names the device and how far.
    """
    worst = _worst(vectors["logits"].numpy(), found[0])
    if not worst <= card.vectors.tolerance:  # a NaN must fail too
        raise CardMismatch(f"{device} is {worst:.2g} from the stored outputs, {card.vectors.tolerance:.2g} is allowed")
    if card.abstain.kind != "feature_distance":
        return
    stored = vectors["distance"].numpy()
    worst = _worst(stored / (1 + stored), found[1] / (1 + stored))
    if not worst <= RELATIVE_TOLERANCE:
        raise CardMismatch(
            f"{device} is {worst:.2g} from the stored distances of features, {RELATIVE_TOLERANCE:.2g} is allowed"
        )


def _worst(stored: Array, found: Array) -> float:
    if stored.shape != found.shape:  # arrays of unequal shape may still be subtracted, and prove nothing then
        raise CardMismatch(f"{VECTORS}: stored outputs {stored.shape}, the network gives {found.shape}")
    return float(np.abs(found.astype(np.float64) - stored).max())
