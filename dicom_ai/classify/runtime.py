"""The network on its device: refuses what is not the card's model, scores kept pixels, keeps the evidence.

Weights and test vectors are checked against the card's digests, and the device must reproduce the stored outputs,
before the first image is scored. What this is not: training, or any decision about a study.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from dicom_ai.classify.catalogue import card_in, rules_of
from dicom_ai.classify.proof import inputs_of, require_reproduced
from dicom_ai.classify.scored import Scored, heat_shape
from dicom_ai.errors import CardMismatch, DeviceUnavailable, NonFiniteOutput
from dicom_ai.finding import FrameScore, Rules
from dicom_ai.kept import Kept
from models import registry
from models.activation_map import class_activation
from models.card import ModelCard
from models.feature_distance import DISTANCE, DistanceFault, FeatureDistance, pooled_of
from models.frame_classifier import FrameClassifier
from models.preprocess import Letterbox, network_input
from models.weights import VECTORS, WEIGHTS, DigestMismatch, load_tensors, load_weights

Array = npt.NDArray[np.float32]


class Classifier:
    """A model folder, loaded on a device and proven there.

    Attributes:
        card: of the model.
        device: "cpu", "cuda" or "cuda:N".
    """

    def __init__(self, folder: Path, *, card: ModelCard | None = None, device: str = "auto", batch: int = 16) -> None:
        """Load and prove the model.

        Args:
            folder: model folder.
            card: that was chosen, when its folder was looked at before: what lies there now must be it.
            device: "auto" takes CUDA when there is one.
            batch: frames shown to the network at once; halved when the device runs out of memory.

        Raises:
            CardMismatch: a file is not the card's, or the device's outputs are not within `card.vectors.tolerance`.
            DeviceUnavailable: the device cannot be used.
        """
        self.card = card_in(folder) if card is None else card
        self.device = _device(device)
        self._batch = batch
        try:
            self._network = _network(self.card)
            load_weights(self._network, folder / WEIGHTS, self.card.digests[WEIGHTS])
            vectors = load_tensors(folder / VECTORS, self.card.digests[VECTORS])
            self._distance = _distance(self.card, folder)
        except (DigestMismatch, DistanceFault) as exc:
            raise CardMismatch(str(exc)) from exc
        self._network.eval().to(self.device).to(memory_format=torch.channels_last)
        self._prove(vectors)

    @property
    def rules(self) -> Rules:
        """The part of the card that decides."""
        return rules_of(self.card)

    def score(self, kept: Kept) -> Scored:
        """Score the frames of one image.

        Raises:
            NonFiniteOutput: the network gave a number that is not finite for one of the frames.
            DeviceUnavailable: the device failed, or has no memory even for one frame.
        """
        frames = network_input(kept.frames, self.card.input, self.card.crop.fill)
        logits, maps, distances = self._run(frames)
        if not (np.isfinite(logits).all() and np.isfinite(maps).all()):
            raise NonFiniteOutput(f"{int((~np.isfinite(logits)).any(axis=1).sum())} of {len(logits)} frames")
        classes, assessability = probabilities(logits, self.card)
        if self._distance is not None:
            assessability = self._distance.nearness(torch.from_numpy(distances)).numpy()
        scores = tuple(
            FrameScore(number, tuple(float(p) for p in row), float(a))
            for number, row, a in zip(kept.frame_numbers, classes, assessability, strict=True)
        )
        height, width = kept.frames.shape[1:3]
        return Scored(scores, maps, Letterbox.fit(height, width, self.card.input.size), heat_shape(kept))

    def _run(self, frames: torch.Tensor) -> tuple[Array, Array, Array]:
        """Logits (T, K) or (T, K + 1), maps (T, K, m, m), distances (T,); the last NaN where the card wants none."""
        logits, maps, distances = zip(*self._forward(frames), strict=True)
        return np.concatenate(logits), np.concatenate(maps), np.concatenate(distances)

    def _forward(self, frames: torch.Tensor) -> Iterator[tuple[Array, Array, Array]]:
        start, batch = 0, self._batch
        while start < len(frames):
            try:
                part = self._forward_batch(frames[start : start + batch])
            except torch.OutOfMemoryError as exc:
                if batch == 1:
                    raise DeviceUnavailable(f"{self.device} has no memory for one frame") from exc
                # stays halved: the next image would only run out again
                batch = self._batch = max(1, batch // 2)
                continue
            except RuntimeError as exc:
                raise DeviceUnavailable(f"{self.device} failed") from exc
            yield part
            start += batch

    @torch.inference_mode()
    def _forward_batch(self, frames: torch.Tensor) -> tuple[Array, Array, Array]:
        shown = frames.to(self.device).contiguous(memory_format=torch.channels_last)
        features = self._network.features_of(shown)
        logits = self._network.logits_of(features).float().cpu().numpy()
        maps = class_activation(features, self._network.map_weights())
        return logits, maps, self._distances(features)

    def _distances(self, features: torch.Tensor) -> Array:
        if self._distance is None:
            return np.full(len(features), np.nan, np.float32)
        distances: Array = self._distance.distances(pooled_of(features)).numpy()
        return distances

    def _prove(self, vectors: dict[str, torch.Tensor]) -> None:
        shown = inputs_of(vectors, self.card)
        try:
            logits, _, distances = self._run(shown)
        except DistanceFault as exc:
            raise CardMismatch(str(exc)) from exc
        require_reproduced(vectors, self.card, self.device, (logits, distances))


def probabilities(logits: Array, card: ModelCard) -> tuple[Array, Array]:
    """Calibrated class probabilities (T, K) and assessability (T,) of logits (T, K + 1).

    Logits (T, K) are of a network without assessability; each frame then counts as assessable, 1.
    """
    temperature = card.calibration.temperature if card.calibration.kind == "temperature" else 1.0
    tensor, n_classes = torch.from_numpy(logits), len(card.classes)
    scaled = tensor[:, :n_classes] / temperature
    classes = scaled.softmax(dim=1) if card.head == "softmax" else scaled.sigmoid()
    assessability = tensor[:, n_classes].sigmoid() if tensor.shape[1] > n_classes else torch.ones(len(tensor))
    return classes.numpy(), assessability.numpy()


def _network(card: ModelCard) -> FrameClassifier:
    arguments = dict(card.network)
    try:
        network = registry.build(str(arguments.pop("name", "")), **arguments)
    except (TypeError, ValueError) as exc:
        raise CardMismatch("the card names a network this version cannot build") from exc
    _check(card, network)
    return network


def _check(card: ModelCard, network: FrameClassifier) -> None:
    """What the card says of the network beside its arguments must be so."""
    said = (card.map.layer, card.map.kind)
    if said != (network.map_layer, network.map_kind):
        raise CardMismatch(f"the card says map {said}, the network has {(network.map_layer, network.map_kind)}")
    if network.n_classes != len(card.classes):
        raise CardMismatch(f"the card lists {len(card.classes)} classes, the network has {network.n_classes}")
    if card.abstain.kind == "assessability_output" and not network.with_assessability:
        raise CardMismatch("the card abstains by an assessability output, the network has none")
    size, channels = card.input.size, card.input.channels
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, channels, size, size))
    except (RuntimeError, ValueError) as exc:
        raise CardMismatch(f"the network cannot be shown the card's input, {channels} x {size} x {size}") from exc


def _device(wanted: str) -> str:
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceUnavailable(f"{wanted} was asked for and there is no CUDA device")
    return wanted


def _distance(card: ModelCard, folder: Path) -> FeatureDistance | None:
    if card.abstain.kind != "feature_distance":
        return None
    return FeatureDistance.of(load_tensors(folder / DISTANCE, card.digests[DISTANCE]))
