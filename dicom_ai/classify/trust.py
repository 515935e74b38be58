"""Whose signature counts here: the public keys under <data>/trust, and whether one of them vouches for a model folder.

What this is not: the arithmetic (`models.signature`), or which model answers (`shelf`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from dicom_ai.errors import CardMismatch
from models.signature import SIGNATURE, KeyFault, SignatureFault, Signed, key_id, parse, read_public

FOLDER, SUFFIX = "trust", ".pub"
Keys = Mapping[str, Ed25519PublicKey]
"""Public keys that are trusted, by their id."""


@dataclass(frozen=True)
class Vouched:
    """What a folder's signature says: who signed when with which key, and whether that key is trusted here."""

    key: str
    who: str
    when: str
    is_trusted: bool


def trusted(data: Path) -> dict[str, Ed25519PublicKey]:
    """The keys in <data>/trust/*.pub; none when the folder is not there.

    A file that is no readable key vouches for nothing, so that the models it should vouch for are refused; see
    `unreadable_keys`.
    """
    return {key_id(public): public for _, public in _read(data) if public is not None}


def unreadable_keys(data: Path) -> tuple[Path, ...]:
    """Files in <data>/trust that should be a public key and are none."""
    return tuple(path for path, public in _read(data) if public is None)


def _read(data: Path) -> list[tuple[Path, Ed25519PublicKey | None]]:
    found: list[tuple[Path, Ed25519PublicKey | None]] = []
    for path in sorted((data / FOLDER).glob(f"*{SUFFIX}")):
        try:
            found.append((path, read_public(path.read_bytes())))
        except (OSError, KeyFault):
            found.append((path, None))
    return found


def vouched(folder: Path, keys: Keys) -> Vouched | None:
    """Who vouches for the files of a model folder; None when nobody signed it.

    Raises:
        CardMismatch: there is a signature and it does not hold, or a file is not the one that was signed.
    """
    try:
        content = (folder / SIGNATURE).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise CardMismatch(f"{folder.name}: {SIGNATURE} cannot be read") from exc
    try:
        signed = parse(content)
        signed.require_files(digests_of(folder))
        return _by(signed, keys)
    except SignatureFault as exc:
        raise CardMismatch(f"{folder.name}: {exc}") from exc


def _by(signed: Signed, keys: Keys) -> Vouched:
    stated = signed.statement
    public = keys.get(stated.key)
    if public is not None:
        signed.require_key(public)
    return Vouched(stated.key, stated.who, stated.when, is_trusted=public is not None)


def digests_of(folder: Path) -> dict[str, str]:
    """SHA-256 hex of every file of a model folder but its signature, by name.

    Raises:
        SignatureFault: something in it is not a plain file, or cannot be read.
    """
    found = {}
    try:
        for path in sorted(folder.iterdir()):
            if path.name == SIGNATURE:
                continue
            if path.is_symlink() or not path.is_file():
                raise SignatureFault(f"{path.name} is not a plain file")
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise SignatureFault("a file of the folder cannot be read") from exc
    return found
