"""Key pairs of people who vouch for models: a private file for its owner alone, a public one to give away.

What this is not: trust (`dicom-ai models trust`), or the arithmetic (`models.signature`).
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.signature import KeyFault, key_id, new_key, read_private, read_public

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class KeyPair:
    """The two files and the id by which people compare keys."""

    private: Path
    public: Path
    key: str


def make_keys(out: Path, name: str, passphrase: bytes | None = None) -> KeyPair:
    """Make a key pair: NAME.key, readable by its owner alone, and NAME.pub.

    Args:
        out: folder; is made if absent.
        name: of the files, letters, digits, dot, dash and underscore.
        passphrase: encrypts the private key; None leaves it to the file's mode.

    Raises:
        KeyFault: the name cannot be a file's, or a file of this name is there: a key is never replaced.
    """
    if _NAME.fullmatch(name) is None:
        raise KeyFault(f"{name!r} cannot be the name of a key; use letters, digits, dot, dash and underscore")
    pair = (out / f"{name}.key", out / f"{name}.pub")
    there = [path for path in pair if path.exists()]
    if there:
        raise KeyFault(f"{there[0]} is there already, and a key is never replaced")
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret, public = new_key(passphrase)
    for path, content, mode in ((pair[0], secret, 0o600), (pair[1], public, 0o644)):
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    return KeyPair(*pair, key_id(read_public(public)))


def load_private(path: Path, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """Read a private key that nobody but its owner can read.

    Raises:
        KeyFault: it cannot be read, others may read it, it is no key, or the passphrase is another one.
    """
    try:
        mode, pem = path.stat().st_mode, path.read_bytes()
    except OSError as exc:
        raise KeyFault(f"{path} cannot be read") from exc
    if mode & 0o077:
        raise KeyFault(f"others may read {path}; run `chmod 600` on it, or make another key if somebody may have")
    try:
        return read_private(pem, passphrase)
    except KeyFault as exc:
        raise KeyFault(f"{path}: {exc}") from exc
