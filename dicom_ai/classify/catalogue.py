"""Which models are installed: the demonstration models of the package and the folders under <data>/models.

A model folder is what its card says, who vouches for it, and nothing on its own: `shelf` says which model answers,
`runtime` refuses one whose files or device are not the card's. Unsigned, a model is a demonstration; one that claims
more and is not signed by a trusted key is not used at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

import models.card
from dicom_ai.classify.trust import Keys, Vouched, vouched
from dicom_ai.errors import CardMismatch, ModelError, UntrustedModel
from dicom_ai.finding import Rules
from models.card import CARD, ModelCard

DEMO = Path(models.card.__file__).parent / "demo"
_GRADES = ("demonstration", "research", "clinical")
_NO_KEYS: Keys = MappingProxyType({})


@dataclass(frozen=True)
class Installed:
    """A model folder and its card.

    Attributes:
        is_signed: whether a trusted signature over the folder was verified.
        vouched: what the signature says, trusted or not; None when there is none.
    """

    folder: Path
    card: ModelCard
    is_signed: bool = False
    vouched: Vouched | None = None

    @property
    def grade(self) -> str:
        """What its results may be used for: what the card claims if that is signed, else a demonstration."""
        return self.card.grade if self.is_signed else _GRADES[0]

    @property
    def rules(self) -> Rules:
        """The part of the card that decides."""
        return rules_of(self.card)

    def require_trust(self) -> "Installed":
        """This model, if its grade is proven.

        Raises:
            UntrustedModel: it claims to be more than a demonstration and no trusted signature says so.
        """
        if self.is_signed or self.card.grade == _GRADES[0]:
            return self
        claim = f"{self.folder.name} claims grade {self.card.grade}"
        if self.vouched is None:
            raise UntrustedModel(
                f"{claim} and is not signed; have it signed with `python -m train promote` and install that folder"
            )
        raise UntrustedModel(
            f"{claim} and is signed with key {self.vouched.key}, which is not trusted here; if the key's owner "
            "confirms this id, run `dicom-ai models trust KEY.pub`"
        )


def rules_of(card: ModelCard) -> Rules:
    """The part of a card that decides."""
    return Rules(
        class_ids=card.class_ids,
        thresholds=tuple(c.threshold for c in card.classes),
        head=card.head,
        frame_to_clip=card.pooling.frame_to_clip,
        clip_to_study=card.pooling.clip_to_study,
        assessable_from=0.0 if card.abstain.kind == "none" else card.abstain.threshold,
    )


def folders(data: Path | None = None) -> tuple[Path, ...]:
    """Every folder with a card: the package's demonstration models, and those under `data`/models."""
    roots = [DEMO] if data is None else [DEMO, data / "models"]
    return tuple(path.parent for root in roots for path in sorted(root.glob(f"*/{CARD}")))


def installed(data: Path | None = None, keys: Keys = _NO_KEYS) -> tuple[Installed, ...]:
    """Every model there is, by task, then name and version.

    Args:
        data: the data folder; its `models/*` are listed beside the package's demonstration models.
        keys: public keys that are trusted.

    Raises:
        CardMismatch: a folder holds a `card.json` that is not a model card; the folder is named.
    """
    found = [read_installed(folder, keys) for folder in folders(data)]
    return tuple(sorted(found, key=lambda one: (one.card.task, one.card.name, _version(one.card))))


def read_installed(folder: Path, keys: Keys = _NO_KEYS) -> Installed:
    """The model in one folder, with what is known of its signature.

    Raises:
        CardMismatch: no readable `card.json`, or a signature that does not hold.
    """
    proof = vouched(folder, keys)
    return Installed(folder, card_in(folder), proof is not None and proof.is_trusted, proof)


def card_in(folder: Path) -> ModelCard:
    """The card of a model folder.

    Raises:
        CardMismatch: no readable `card.json`, or one that was changed after it was written.
    """
    try:
        return models.card.read_card(folder)
    except OSError as exc:
        raise CardMismatch(f"{folder} has no readable {CARD}") from exc
    except ValidationError as exc:
        raise CardMismatch(f"{folder / CARD} has {exc.error_count()} wrong fields, e.g. {_first(exc)}") from exc
    except ValueError as exc:  # no JSON, or changed by hand; neither text quotes the file
        said = str(exc) if str(exc).startswith(CARD) else f"{CARD} is not JSON"
        raise CardMismatch(f"{folder.name}: {said}") from exc


def with_digest(digest: str, there: Sequence[Installed]) -> Installed:
    """The one model with this card digest or beginning of one, at least 8 digits.

    Raises:
        ModelError: none, or more than one.
    """
    fitting = [one for one in there if len(digest) >= 8 and one.card.digest.startswith(digest)]
    if not fitting:
        raise ModelError(f"no model is installed with digest {digest}")
    if len({one.card.digest for one in fitting}) > 1:
        raise ModelError(f"more than one model has a digest that begins with {digest}")
    return fitting[0]


def active(task: str, models_there: Sequence[Installed], digest: str | None = None) -> Installed:
    """The model that answers for a task where nobody has named one.

    Args:
        task: "lung-signs" or "uterine-lesions".
        models_there: from `installed`.
        digest: card digest (or its beginning, at least 8 digits) that someone chose; None takes the highest
            grade, of equals the highest grade claimed, and then the last by name and version.

    Raises:
        ModelError: no model for this task, or none or more than one with this digest.
    """
    fitting = [one for one in models_there if one.card.task == task]
    if digest is not None:
        return with_digest(digest, fitting)
    if not fitting:
        raise ModelError(f"no model is installed for {task}")
    return max(fitting, key=_rank)


def _rank(one: Installed) -> tuple[int, int, str, tuple[int, ...]]:
    return _GRADES.index(one.grade), _GRADES.index(one.card.grade), one.card.name, _version(one.card)


def _version(card: ModelCard) -> tuple[int, ...]:
    # 0.10.0 comes after 0.9.0, which text order would turn round
    return tuple(int(part) if part.isdigit() else 0 for part in card.version.split("."))


def _first(exc: ValidationError) -> str:
    error = exc.errors()[0]
    return f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
