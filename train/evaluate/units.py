"""What is judged: frames, or clips made of frames by the service's own rules.

What this is not: the figures, or the temperature a probability was made with.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from dicom_ai.finding import FrameScore, Rules, State, image_score, states_of
from train.evaluate.figures import Bools, Floats
from train.tables import Predictions

Names = npt.NDArray[np.str_]
GROUPS = ("source", "device", "probe")


@dataclass(frozen=True)
class Units:
    """N frames or clips.

    Attributes:
        class_ids: K of them. head: "sigmoid" or "softmax".
        probability: (N, K).
        truth: (N, K): 1, 0, NaN where nobody asked.
        called: bool (N, K), what the service would call present.
        key, patient, source, device, probe: str (N,).
        fold: int (N,).
    """

    class_ids: tuple[str, ...]
    head: str
    probability: Floats
    truth: Floats
    called: Bools
    key: Names
    patient: Names
    source: Names
    device: Names
    probe: Names
    fold: npt.NDArray[np.int64]

    def __len__(self) -> int:
        """N."""
        return len(self.key)

    def where(self, mask: Bools) -> "Units":
        """Those of a mask (N,)."""
        rows = {f.name: getattr(self, f.name)[mask] for f in fields(self) if f.name not in {"class_ids", "head"}}
        return replace(self, **rows)

    @property
    def one_sign(self) -> npt.NDArray[np.int64]:
        """(N,) the class of a unit with exactly one; -1 for others.

        A softmax head is about units with one class, so one that is present is enough; among signs that may stand
        together, all others must be known to be absent.
        """
        is_one = (self.truth == 1).sum(axis=1) == 1
        if self.head == "sigmoid":
            is_one &= ~np.isnan(self.truth).any(axis=1)
        return np.where(is_one, np.nan_to_num(self.truth).argmax(axis=1), -1)

    @property
    def most_probable(self) -> npt.NDArray[np.int64]:
        """(N,) the most probable class; -1 where a softmax head called none."""
        best = self.probability.argmax(axis=1)
        return np.where(self.called.any(axis=1), best, -1) if self.head == "softmax" else best


def probabilities(logits: npt.NDArray[np.floating], head: str, temperature: float | Floats = 1.0) -> Floats:
    """Sigmoid or softmax of logits (N, K) over a temperature, or over one for each row (N,)."""
    scaled = np.asarray(logits, float) / np.reshape(np.asarray(temperature, float), (-1, 1))
    return np.asarray(softmax(scaled, axis=1) if head == "softmax" else expit(scaled))


def frames_of(told: Predictions, probability: Floats, rules: Rules) -> Units:
    """Every frame for itself.

    Raises:
        ValueError: a frame was judged twice, or a number is not finite.
    """
    key = np.array([f"{clip}#{frame}" for clip, frame in zip(told.clip, told.frame, strict=True)], np.str_)
    if len(np.unique(key)) != len(key):
        raise ValueError("the predictions judge a frame twice; evaluate one test set, or one part of each fold")
    if not np.isfinite(probability).all() or not np.isin(told.truth[~np.isnan(told.truth)], (0, 1)).all():
        raise ValueError("the predictions hold a number that is not finite, or a truth that is neither 0 nor 1")
    return Units(told.class_ids, told.head, probability, told.truth.astype(float), _called(probability, rules), key,
                 told.patient, told.source, told.device, told.probe, told.fold)  # fmt: skip


def clips_of(told: Predictions, probability: Floats, rules: Rules) -> Units:
    """Frames of one clip together, by `rules.frame_to_clip`.

    A sign is in a clip when it is in a frame; nobody asked when no frame shows it and one was not asked about.

    Raises:
        ValueError: as `frames_of`, or a clip has two patients.
    """
    frames = frames_of(told, probability, rules)
    _, first, member = np.unique(told.clip, return_index=True, return_inverse=True)
    order = np.argsort(member, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(member))[:-1])
    pooled, truth = [], []
    for rows in parts:
        if len(set(told.patient[rows])) != 1:
            raise ValueError("a clip of the predictions has two patients")
        scores = [FrameScore(int(told.frame[row]), tuple(probability[row].tolist()), 1.0) for row in rows]
        pooled.append(image_score("", scores, rules).probabilities)
        truth.append(_together(frames.truth[rows]))
    taken = frames.where(first)  # type: ignore[arg-type]
    probability = np.array(pooled)
    return replace(
        taken, probability=probability, truth=np.array(truth), called=_called(probability, rules), key=told.clip[first]
    )


def _together(truth: Floats) -> Floats:
    found = truth.max(axis=0)  # NaN where one frame was not asked
    return np.where((truth == 1).any(axis=0), 1.0, found)


def _called(probability: Floats, rules: Rules) -> Bools:
    rows = [[state is State.PRESENT for state in states_of(row, rules)] for row in probability.tolist()]
    return np.array(rows, bool).reshape(probability.shape)
