"""Promotion: a trained model becomes a signed folder that a service may load, if it is proven and not worse.

Steps: the card and its files hold; this device reproduces the vectors; the evidence is of these weights; on the locked
test set nothing is worse than the parent beyond the margin; then the files are copied, the card says grade, parent and
evidence, and all of it is signed. Nothing is copied but the files named here. What this is not: the activation
(`dicom-ai models activate`), or an evaluation.
"""

import hashlib
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dicom_ai.classify.catalogue import Installed, read_installed
from dicom_ai.classify.runtime import Classifier
from dicom_ai.classify.trust import Keys, digests_of
from dicom_ai.errors import DicomAIError
from models.card import CARD, ModelCard, write_card
from models.feature_distance import DISTANCE
from models.signature import SIGNATURE, key_id, sign
from models.weights import VECTORS, WEIGHTS
from train.report_of_test import REPORT, NoEvidence, TestReport, read_report, require_evidence, worse

README = "README.md"
MARGIN = 0.02


class Refused(DicomAIError):
    """The model is not promoted."""


@dataclass(frozen=True)
class Promotion:
    """What someone vouches for.

    Attributes:
        run: folder of the trained model.
        to: folder to write, which must not be there; or a data folder, whose `models` gets it.
        who: the person who vouches.
        grade: what the results may be used for.
        evidence: the `report.json` of its evaluation.
        parent: card digest (or its beginning) of the model it follows; "none" for the first of its line.
        margin: how much lower a figure may be than the parent's, 0..1.
    """

    run: Path
    to: Path
    who: str
    grade: Literal["demonstration", "research", "clinical"]
    evidence: Path
    parent: str | None = None
    margin: float = MARGIN


@dataclass(frozen=True)
class Promoted:
    """The folder that was written, its card, and the id of the key that signed it."""

    folder: Path
    card: ModelCard
    key: str


def promote(wanted: Promotion, private: Ed25519PrivateKey, now: datetime) -> Promoted:
    """Check, copy, state and sign.

    Args:
        wanted: what to promote, and on what grounds.
        private: key of the person who vouches.
        now: aware time.

    Raises:
        Refused: the evidence is missing, of another model or worse than the parent's; nothing was written.
        ModelError: the folder's files, or this device, are not the card's; nothing was written.
    """
    if not wanted.who.strip():
        raise Refused("somebody must vouch: name them with --who")
    card = Classifier(wanted.run, device="cpu").card
    content, report = _evidence(wanted.evidence)
    parent = _parent(wanted, card)
    _require_well(report, card, parent, wanted.margin)
    card = _promoted_card(card, wanted, content, report, parent)
    folder = _target(wanted.to, card)
    if folder.exists():
        raise Refused(f"{folder} is there already")
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        _write(aside, wanted, card, content)
        signature = sign(digests_of(aside), private, who=wanted.who, when=now.isoformat(timespec="seconds"))
        (aside / SIGNATURE).write_bytes(signature)
        _sync(aside)
        key = key_id(private.public_key())
        _require_sound(aside, card, {key: private.public_key()})
        aside.replace(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Promoted(folder, card, key)


def _evidence(path: Path) -> tuple[bytes, TestReport]:
    try:
        content = path.read_bytes()
        return content, read_report(content)
    except OSError as exc:
        raise Refused(f"{path} cannot be read") from exc
    except NoEvidence as exc:
        raise Refused(str(exc)) from exc


def _parent(wanted: Promotion, card: ModelCard) -> Installed | None:
    """The model this one follows; it lies beside where this one goes."""
    there = []
    for path in sorted(_target(wanted.to, card).parent.glob(f"*/{CARD}")):
        one = read_installed(path.parent)  # a broken neighbour stops: it might be the parent
        if one.card.task == card.task and REPORT in one.card.digests:
            there.append(one)
    if wanted.parent == "none":
        return None
    if wanted.parent is None:
        if there:
            names = ", ".join(f"{one.folder.name} ({one.card.digest[:12]})" for one in there)
            raise Refused(f"name the model it follows with --parent DIGEST, or --parent none; there are {names}")
        return None
    fitting = [one for one in there if len(wanted.parent) >= 8 and one.card.digest.startswith(wanted.parent)]
    if len({one.card.digest for one in fitting}) != 1:
        raise Refused(f"{len(fitting)} promoted models beside it have a digest that begins with {wanted.parent}")
    return fitting[0]


def _require_well(report: TestReport, card: ModelCard, parent: Installed | None, margin: float) -> None:
    try:
        require_evidence(report, card.digests[WEIGHTS], card.class_ids)
        if parent is None:
            return
        content = (parent.folder / REPORT).read_bytes()
        if hashlib.sha256(content).hexdigest() != parent.card.digests[REPORT]:
            raise NoEvidence(f"{REPORT} of the parent is not the one its card names")
        found = worse(report, read_report(content), margin)
    except NoEvidence as exc:
        raise Refused(str(exc)) from exc
    except OSError as exc:
        raise Refused(f"{REPORT} of the parent cannot be read") from exc
    if found:
        raise Refused(f"worse than the parent by more than {margin:g} on the locked test set: {'; '.join(found)}")


def _promoted_card(
    card: ModelCard, wanted: Promotion, content: bytes, report: TestReport, parent: Installed | None
) -> ModelCard:
    evidence = {
        "data": "locked test set",
        "evidence": REPORT,
        "data_digest": report.data.digest,
        "split_digest": report.split.digest,
        "margin": wanted.margin,
        "macro": report.metrics.macro.model_dump(include={"auc", "f1"}),
        "per_class": {name: one.model_dump() for name, one in sorted(report.metrics.per_class.items())},
    }
    changes = {
        "grade": wanted.grade,
        "parent": parent.card.digest if parent is not None else None,
        "metrics": (*card.metrics, evidence),
        "digests": {**card.digests, REPORT: hashlib.sha256(content).hexdigest()},
    }
    return ModelCard.model_validate(card.model_dump() | changes)


def _target(to: Path, card: ModelCard) -> Path:
    """A data folder (it has a `site.json`) keeps models by name and version; any other path is the folder itself."""
    return to / "models" / f"{card.name}-{card.version}" if (to / "site.json").is_file() else to


def _write(folder: Path, wanted: Promotion, card: ModelCard, content: bytes) -> None:
    for name in (WEIGHTS, VECTORS, DISTANCE):
        if name in card.digests:
            shutil.copyfile(wanted.run / name, folder / name)
    (folder / REPORT).write_bytes(content)
    (folder / README).write_text(_readme(card, wanted.who), encoding="utf-8")
    write_card(card, folder)


def _readme(card: ModelCard, who: str) -> str:
    """The promoted model as a page for people."""
    classes = "\n".join(
        f"| {c.id} | {c.meaning.en} | {c.meaning.zh} | {c.code.value} ({c.code.scheme}) | {c.threshold} |"
        for c in card.classes
    )
    abstains = f"{card.abstain.kind}, threshold {card.abstain.threshold}, false alarms {card.abstain.false_alarm:.1%}"
    return f"""# {card.name} {card.version}

**Grade: {card.grade}**, by the word of {who}. {card.intended_use}

Task `{card.task}`; {card.network["name"]}; {card.head} head; licence {card.licence}; card `{card.digest}`; parent
`{card.parent or "none"}`.

| class | meaning | 含义 | code | present from |
|---|---|---|---|---|
{classes}

Abstention: {abstains}. Calibration: {card.calibration.kind}, {card.calibration.temperature}.
How good it is on the locked test set stands in `{REPORT}`; `{SIGNATURE}` names who vouches for these files.
"""


def _require_sound(folder: Path, card: ModelCard, keys: Keys) -> None:
    """What was written is what a service will find."""
    one = read_installed(folder, keys).require_trust()
    if one.card != card or not one.is_signed:
        raise Refused("the folder that was written is not the one that was meant")
    Classifier(folder, card=card, device="cpu")


def _sync(folder: Path) -> None:
    for path in [*folder.iterdir(), folder]:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
