"""The linear floor: logistic regression on thumbnails. A network that is not clearly better has learned nothing.

Each frame is 48 x 48 grey pixels and the histogram of its picture, reduced to 60 principal components. It is judged on
the frames that judge a network of the same head. It stops at no best epoch, so it learns from the validation part too.
What this is not: a model; nothing of it can be served.
"""

import json
import warnings
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from train.lessons import Lesson, parts_of
from train.run_folder import PREDICTIONS, RUN, SCHEMA_VERSION
from train.source import stated_of
from train.split import Part, Split
from train.tables import DataSet, Predictions, joined

NAME = "linear-floor"
SIDE, BINS, COMPONENTS = 48, 32, 60
LEAST = -30.0
"""Log-probability of a class that was never seen, and the least of any."""

Floats = npt.NDArray[np.float32]


def write_floor(made: DataSet, split: Split, head: str, out: Path) -> Predictions:
    """Learn and judge every fold, and write a run's folder that `evaluate` reads.

    Args:
        made: collected frames.
        split: of them.
        head: "softmax" says one class of clips that have one sign, "sigmoid" each class by itself.
        out: folder, new or empty.

    Raises:
        ValueError: the folder holds something, or a part has no frame that this head can use.
    """
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(f"{out} holds something; give an empty folder")
    told = joined([_fold(made, split, fold, head) for fold in range(len(split.folds))])
    out.mkdir(parents=True, exist_ok=True)
    told.write(out / PREDICTIONS)
    stated = {"schema_version": SCHEMA_VERSION, "recipe": NAME, "head": head, **stated_of(made, split, NAME),
              "start": "nothing was learned before", "finished": True}  # fmt: skip
    (out / RUN).write_text(json.dumps(stated, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return told


def seen_of(squares: npt.NDArray[np.uint8]) -> Floats:
    """What the floor sees: uint8 (N, s, s) -> (N, 48 * 48 + 32), grey 0..1 and shares of the picture's pixels."""
    rows = []
    for square in squares:
        small = cv2.resize(np.asarray(square), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        inside = square[square > 0]
        shares = np.histogram(inside, BINS, (0, 256))[0] / max(1, len(inside))
        rows.append(np.concatenate([small.ravel() / 255, shares]))
    return np.asarray(rows, np.float32)


def _fold(made: DataSet, split: Split, fold: int, head: str) -> Predictions:
    parts = parts_of(made, split, fold, head)
    judged = parts["test"] if len(parts["test"]) else parts["validation"]
    names: tuple[Part, ...] = ("train", "validation") if judged is parts["test"] else ("train",)
    taught = [parts[name] for name in names]
    seen = np.concatenate([_seen(one) for one in taught])
    labels = np.concatenate([one.labels for one in taught])
    reduced = make_pipeline(PCA(min(COMPONENTS, *seen.shape), random_state=0), StandardScaler()).fit(seen)
    features, shown = reduced.transform(seen), reduced.transform(_seen(judged))
    logits = _one_class(features, labels, shown) if head == "softmax" else _each_class(features, labels, shown)
    return Predictions(
        made.class_ids, head, logits, judged.labels, judged.clip, judged.patient, judged.source, judged.device,
        judged.probe, judged.frame, np.full(len(judged), fold), np.asarray(shown, np.float32),
    )  # fmt: skip


def _seen(one: Lesson) -> Floats:
    return seen_of(one.squares[one.rows])


def _one_class(features: Floats, labels: Floats, shown: Floats) -> Floats:
    """Log-probabilities (N, K)."""
    truth = labels.argmax(axis=1)
    logits = np.full((len(shown), labels.shape[1]), LEAST, np.float32)
    there = np.unique(truth)
    logits[:, there] = 0.0 if len(there) == 1 else _fitted(features, truth).predict_log_proba(shown).clip(LEAST)
    return logits


def _each_class(features: Floats, labels: Floats, shown: Floats) -> Floats:
    """Logits (N, K); of a class that was always or never there, or never asked about, only that."""
    logits = np.zeros((len(shown), labels.shape[1]), np.float32)
    for k, column in enumerate(labels.T):
        known = ~np.isnan(column)
        if len(np.unique(column[known])) == 2:
            logits[:, k] = _fitted(features[known], column[known]).decision_function(shown).clip(LEAST, -LEAST)
        elif known.any():
            logits[:, k] = LEAST if column[known][0] == 0 else -LEAST
    return logits


def _fitted(features: Floats, truth: npt.NDArray[np.generic]) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # parts that a plane divides move it for ever
        return LogisticRegression(max_iter=2000).fit(features, truth)
