"""Signed model folders for tests: a key, a tiny trained model, its evidence, and its promotion into a data folder."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.card import ModelCard
from models.signature import key_id, public_pem
from models.weights import WEIGHTS
from tests.workplace import tiny
from train.promote import Promoted, Promotion, promote

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FIGURES: dict[str, Any] = {
    "macro": {"auc": 0.9, "f1": 0.8},
    "per_class": {"a_lines": {"auc": 0.9, "f1": 0.8, "n": 20}, "b_lines": {"auc": None, "f1": None, "n": 1}},
}


def evidence(path: Path, card: ModelCard, metrics: dict[str, Any] = FIGURES, split: str = "b" * 64) -> Path:
    """A `report.json` of these weights on one locked test set."""
    told = {
        "schema_version": 1,
        "model": {"weights": card.digests[WEIGHTS]},
        "data": {"digest": "a" * 64},
        "split": {"digest": split},
        "metrics": metrics,
    }
    path.write_text(json.dumps(told), encoding="utf-8")
    return path


def trust(data: Path, private: Ed25519PrivateKey) -> None:
    """Put the public key where a service looks for it."""
    (data / "trust").mkdir(parents=True, exist_ok=True)
    public = private.public_key()
    (data / "trust" / f"{key_id(public)}.pub").write_bytes(public_pem(public))


def promoted(to: Path, scratch: Path, private: Ed25519PrivateKey, grade: str = "research", **changes: Any) -> Promoted:
    """A signed tiny model of this grade in the folder `to`."""
    card = tiny(scratch, **changes).card
    report = evidence(scratch / "report.json", card)
    return promote(Promotion(scratch, to, "Ana", grade, report, "none"), private, NOW)  # type: ignore[arg-type]
