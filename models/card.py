"""ModelCard v1: what a model is, what it saw, how it decides, and the digests that prove it is the one named.

Torch-free, so that the report may read it. The card is `card.json` in the model's folder, beside
`weights.safetensors`, `vectors.safetensors` and `README.md`.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

CARD = "card.json"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Input(_Part):
    """What the network is shown: float32 (N, channels, size, size)."""

    size: int = Field(ge=32, le=1024)
    channels: Literal[1, 3]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    grey_table: tuple[int, ...] | None = None  # 256 grey levels 0..255, applied before scaling
    resize: Literal["letterbox"] = "letterbox"


class Frames(_Part):
    """Which frames of a clip are analysed: every stride-th from the first, at most `limit`."""

    rule: Literal["even_stride"] = "even_stride"
    limit: int = Field(ge=1, le=256)


class Crop(_Part):
    """How pixels must have been cropped before the network may see them."""

    keep: Literal["scan_area"] = "scan_area"
    fill: int = Field(0, ge=0, le=255)
    frames: Frames


class Meaning(_Part):
    """The class in the languages of the product."""

    en: str
    zh: str


class Code(_Part):
    """A coded concept: value, scheme designator, meaning (PS3.16)."""

    value: str = Field(max_length=16)
    scheme: str = Field(max_length=16)
    meaning: str = Field(max_length=64)


class ClassCard(_Part):
    """One class the network knows, and the probability from which it is called present."""

    id: str
    code: Code
    meaning: Meaning
    threshold: float = Field(gt=0, lt=1)


class Calibration(_Part):
    """How a logit becomes a probability: sigmoid or softmax of (logit / temperature)."""

    kind: Literal["temperature", "none"] = "none"
    temperature: float = Field(1.0, gt=0)


class Abstain(_Part):
    """When the network says nothing: an assessability (0..1) under the threshold.

    `assessability_output` is the sigmoid of the network's extra output; `feature_distance` is the share of good
    pictures that lie as far out as this one (`models.feature_distance`, whose statistics lie in
    `distance.safetensors`). `false_alarm` is the share of good pictures, seen by neither the network nor the
    statistics, that are turned away at this threshold.
    """

    kind: Literal["assessability_output", "feature_distance", "none"]
    threshold: float = Field(ge=0, le=1)
    false_alarm: float = Field(ge=0, le=1)


class Map(_Part):
    """Which layer the activation map is over, and what it means (`models.activation_map`).

    `class_activation`: its mean over cells plus the head's bias is the logit. `grad_cam`: it does not add up.
    """

    layer: str
    kind: Literal["class_activation", "grad_cam"]


class Pooling(_Part):
    """Rules of `dicom_ai.finding`."""

    frame_to_clip: Literal["top_third_mean", "mean"]
    clip_to_study: Literal["max", "least_normal"]


class Vectors(_Part):
    """How far a device may be from the stored float32 outputs (absolute, on logits) before it may not serve."""

    tolerance: float = Field(gt=0)


class ModelCard(_Part):
    """A model folder's `card.json`."""

    schema_version: Literal[1] = 1
    name: str
    version: str
    task: Literal["lung-signs", "uterine-lesions"]
    grade: Literal["demonstration", "research", "clinical"]
    network: dict[str, Any]  # {"name": registry name, further keyword arguments of the builder}
    input: Input
    crop: Crop
    classes: tuple[ClassCard, ...]
    head: Literal["softmax", "sigmoid"]
    calibration: Calibration
    abstain: Abstain
    map: Map
    pooling: Pooling
    vectors: Vectors
    data: tuple[dict[str, Any], ...]
    metrics: tuple[dict[str, Any], ...]
    intended_use: str
    digests: dict[str, str]  # file name -> SHA-256 hex; on disk also "card.json" -> `ModelCard.digest`
    parent: str | None = None
    licence: str

    @model_validator(mode="after")
    def _consistent(self) -> "ModelCard":
        if not len(self.input.mean) == len(self.input.std) == self.input.channels:
            raise ValueError("input.mean and input.std need one number per channel")
        if min(self.input.std) <= 0:
            raise ValueError("input.std must be positive")
        table = self.input.grey_table
        if table is not None and (len(table) != 256 or min(table) < 0 or max(table) > 255):
            raise ValueError("input.grey_table needs 256 entries of 0..255")
        if not self.classes:
            raise ValueError("a model without classes says nothing")
        if len({c.id for c in self.classes}) != len(self.classes):
            raise ValueError("two classes share an id")
        if self.pooling.clip_to_study == "least_normal" and "normal" not in self.class_ids:
            raise ValueError("pooling.clip_to_study = least_normal needs a class normal")
        if {"weights.safetensors", "vectors.safetensors"} - set(self.digests):
            raise ValueError("digests must name weights.safetensors and vectors.safetensors")
        if self.abstain.kind == "feature_distance" and "distance.safetensors" not in self.digests:
            raise ValueError("abstain.kind = feature_distance needs the digest of distance.safetensors")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical card: changes exactly when weights, thresholds or anything stated changes."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def class_ids(self) -> tuple[str, ...]:
        """Class ids in the order of the network's outputs."""
        return tuple(c.id for c in self.classes)


def parse_card(content: bytes) -> ModelCard:
    """Read the content of a `card.json`, which must state its own digest.

    Raises:
        ValidationError: of pydantic, names every wrong field.
        ValueError: it is no JSON object, or it was changed after it was written: no word of it can be relied on.
    """
    told = json.loads(content)
    if not isinstance(told, dict):
        raise ValueError(f"{CARD} is not a JSON object")  # noqa: TRY004 - a wrong file, not a wrong call
    digests = told.get("digests")
    stated = digests.pop(CARD, None) if isinstance(digests, dict) else None
    card = ModelCard.model_validate_json(json.dumps(told))  # as JSON: what JSON may not say, a card may not
    if stated is None:
        raise ValueError(f"{CARD} does not state its own digest")
    if stated != card.digest:
        raise ValueError(f"{CARD} was changed after it was written (its digest is {card.digest[:12]})")
    return card


def read_card(folder: Path) -> ModelCard:
    """Read `card.json` of a model folder; errors as `parse_card`, and OSError when there is none."""
    return parse_card((folder / CARD).read_bytes())


def write_card(card: ModelCard, folder: Path) -> None:
    """Write `card.json`, readable by people, with its own digest among the digests."""
    told = card.model_dump(mode="json")
    told["digests"][CARD] = card.digest
    text = json.dumps(told, indent=2, ensure_ascii=False)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")
