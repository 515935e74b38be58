"""The penultimate features in two dimensions, to see which classes lie together.

What this is not: a figure; distances between far groups mean nothing in t-SNE.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from train.tables import Predictions

MOST, FEWEST = 800, 12


class Projection(NamedTuple):
    """Places (N, 2), the name of each one's class, and the fold whose network made the features."""

    places: npt.NDArray[np.float64]
    names: list[str]
    fold: int


def projection(told: Predictions, seed: int) -> Projection | None:
    """t-SNE of a sample of frames; None where features were not kept, or there are too few.

    Features of different networks cannot be compared, so of a cross-validation one fold is shown, the largest.
    Van der Maaten and Hinton, J Mach Learn Res 2008;9:2579-2605.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    folds, counts = np.unique(told.fold, return_counts=True)
    fold = int(folds[counts.argmax()])
    rows = np.flatnonzero(told.fold == fold)
    if told.features.shape[1] < 2 or len(rows) < FEWEST:
        return None
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST, replace=False))
    features = told.features[rows].astype(float)
    if not np.isfinite(features).all() or not features.std(axis=0).any():
        return None
    perplexity = min(30.0, (len(rows) - 1) / 4)
    with threadpool_limits(1):  # threads that wait for one another cost more than they bring, and change the sums
        places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(features)
    return Projection(np.asarray(places, float), [_name(told, row) for row in rows.tolist()], fold)


def _name(told: Predictions, row: int) -> str:
    there = [name for name, value in zip(told.class_ids, told.truth[row], strict=True) if value == 1]
    return there[0] if len(there) == 1 else "several" if there else "none"
