"""The network on its device: refuses what is not the card's model, scores kept pixels, keeps the evidence.

Weights and test vectors are checked against the card's digests, and the device must reproduce the stored outputs,
before the first image is scored. What this is not: training, or any decision about a study.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from dicom_ai.classify.catalogue import read_installed, rules_of
from dicom_ai.classify.scored import Scored, heat_shape
from dicom_ai.errors import CardMismatch, DeviceUnavailable, NonFiniteOutput
from dicom_ai.finding import FrameScore, Rules
from dicom_ai.kept import Kept
from models import registry
from models.activation_map import class_activation
from models.card import ModelCard
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

    def __init__(self, folder: Path, *, device: str = "auto", batch: int = 16) -> None:
        """Load and prove the model.

        Args:
            folder: model folder.
            device: "auto" takes CUDA when there is one.
            batch: frames shown to the network at once; halved when the device runs out of memory.

        Raises:
            CardMismatch: a file is not the card's, or the device's outputs are not within `card.vectors.tolerance`.
            DeviceUnavailable: the device cannot be used.
        """
        self.card = read_installed(folder).card
        self.device = _device(device)
        self._batch = batch
        try:
            self._network = _network(self.card)
            load_weights(self._network, folder / WEIGHTS, self.card.digests[WEIGHTS])
            vectors = load_tensors(folder / VECTORS, self.card.digests[VECTORS])
        except DigestMismatch as exc:
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
        logits, maps = self._run(frames)
        if not (np.isfinite(logits).all() and np.isfinite(maps).all()):
            raise NonFiniteOutput(f"{int((~np.isfinite(logits)).any(axis=1).sum())} of {len(logits)} frames")
        classes, assessability = probabilities(logits, self.card)
        scores = tuple(
            FrameScore(number, tuple(float(p) for p in row), float(a))
            for number, row, a in zip(kept.frame_numbers, classes, assessability, strict=True)
        )
        height, width = kept.frames.shape[1:3]
        return Scored(scores, maps, Letterbox.fit(height, width, self.card.input.size), heat_shape(kept))

    def _run(self, frames: torch.Tensor) -> tuple[Array, Array]:
        parts = list(self._forward(frames))
        return np.concatenate([logits for logits, _ in parts]), np.concatenate([maps for _, maps in parts])

    def _forward(self, frames: torch.Tensor) -> Iterator[tuple[Array, Array]]:
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
    def _forward_batch(self, frames: torch.Tensor) -> tuple[Array, Array]:
        shown = frames.to(self.device).contiguous(memory_format=torch.channels_last)
        features = self._network.features_of(shown)
        logits = self._network.logits_of(features).float().cpu().numpy()
        return logits, class_activation(features, self._network.map_weights())

    def _prove(self, vectors: dict[str, torch.Tensor]) -> None:
        if {"input", "logits"} - set(vectors):
            raise CardMismatch(f"{VECTORS} needs the tensors input and logits")
        logits, _ = self._run(vectors["input"])
        worst = float(np.abs(logits - vectors["logits"].numpy()).max())
        if not worst <= self.card.vectors.tolerance:  # a NaN must fail too
            raise CardMismatch(
                f"{self.device} is {worst:.2g} from the stored outputs, {self.card.vectors.tolerance:.2g} is allowed"
            )


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
