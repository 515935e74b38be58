"""Statistics for abstention by distance of features: fitted on pictures the network learnt from, ranked on others.

Three sets that share no patient: pictures the covariance is fitted on, good pictures whose distances become the ranks,
and good pictures that measure how often the threshold turns a good one away. What this is not: the distance itself
(`models.feature_distance`), which service and trainer share.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.covariance import LedoitWolf

from models.card import Abstain, ModelCard
from models.feature_distance import DISTANCE, FeatureDistance
from models.weights import VECTORS, load_tensors, save_tensors

Features = npt.NDArray[np.float32]
_LEAST_SPREAD = 1e-4  # of the largest: a feature that is constant in training would make every change infinite


def fit_distance(fitted: Features, ranked: Features, groups: npt.NDArray[np.int64] | None = None) -> FeatureDistance:
    """Fit means and shared covariance, and rank good pictures by their distance.

    The covariance is Ledoit and Wolf's shrunk one (Journal of Multivariate Analysis 88, 2004): with fewer pictures
    than features the plain one cannot be inverted.

    Args:
        fitted: (n, D), pooled features of training pictures, see `models.feature_distance.pooled_of`.
        ranked: (m, D), m >= 1, of good pictures of other patients.
        groups: (n,), the class of each training picture for a softmax head; None takes one mean for all.

    Raises:
        ValueError: a set is empty, or a feature is not finite.
    """
    if len(fitted) < 2 or not len(ranked) or not (np.isfinite(fitted).all() and np.isfinite(ranked).all()):
        raise ValueError("two training pictures and one other at least, with finite features")
    of = np.zeros(len(fitted), np.int64) if groups is None else groups
    names = np.unique(of)
    means = np.stack([fitted[of == name].mean(axis=0, dtype=np.float64) for name in names])
    centred = fitted - means[np.searchsorted(names, of)]
    spread = centred.std(axis=0)
    # each feature in its own spread first: shrinking is towards equal variances, and small ones would drown
    scale = 1 / np.maximum(spread, _LEAST_SPREAD * max(float(spread.max()), 1e-12))
    values, vectors = np.linalg.eigh(LedoitWolf(assume_centered=True).fit(centred * scale).covariance_)
    values = np.maximum(values, _LEAST_SPREAD)
    whitening = torch.from_numpy((scale[:, None] * vectors / np.sqrt(values)).astype(np.float32))
    made = FeatureDistance(torch.from_numpy(means.astype(np.float32)), whitening, torch.zeros(1))
    return replace(made, good=made.distances(torch.from_numpy(ranked)).sort().values)


def abstain_at(made: FeatureDistance, checked: Features, threshold: float = 0.02) -> Abstain:
    """The card's rule, with the share of `checked` (m, D; good pictures of yet other patients) it turns away."""
    nearness = made.nearness(made.distances(torch.from_numpy(checked)))
    alarms = float((nearness < threshold).float().mean()) if len(checked) else 1.0
    return Abstain(kind="feature_distance", threshold=threshold, false_alarm=round(alarms, 4))


def with_distance(
    folder: Path, card: ModelCard, made: FeatureDistance, abstain: Abstain, pooled: Features
) -> ModelCard:
    """Write the statistics beside the weights and the distances of the stored inputs beside their logits.

    Args:
        folder: of the model; `vectors.safetensors` is rewritten with the tensor "distance".
        card: whose digests are those of the files in the folder.
        made: the statistics.
        abstain: from `abstain_at`.
        pooled: (n, D), pooled features of the stored inputs.

    Returns:
        The card to write.
    """
    vectors = load_tensors(folder / VECTORS, card.digests[VECTORS])
    vectors["distance"] = made.distances(torch.from_numpy(pooled))
    digests = {
        DISTANCE: save_tensors(made.tensors(), folder / DISTANCE),
        VECTORS: save_tensors(vectors, folder / VECTORS),
    }
    return card.model_copy(update={"abstain": abstain, "digests": {**card.digests, **digests}})
