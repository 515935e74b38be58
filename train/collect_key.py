"""The site's key, and what stands in place of a patient: the same patient is the same hash in every data set made here.

Without the key nobody can go back from a data set to a patient, or tell whether a known patient is in it. What this is
not: a table of who is who; there is none.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

_DIGITS = 64


def site_key(file: Path, data_set: Path) -> bytes:
    """Read the key; make it on first use, readable by its owner only.

    Raises:
        ValueError: it would lie inside the data set, others may read it, or it is no key. It is never replaced.
    """
    if data_set.resolve() in file.resolve().parents:
        raise ValueError("the key would travel with the data set; name a file outside of it with --key")
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        _make(file)
    if file.stat().st_mode & 0o077:
        raise ValueError(f"others may read {file}: run chmod 600 on it")
    text = file.read_text(encoding="ascii", errors="replace").strip()
    if len(text) != _DIGITS or set(text) - set("0123456789abcdef"):
        raise ValueError(f"{file} holds no key of {_DIGITS} hexadecimal digits; restore it from a backup")
    return bytes.fromhex(text)


def keyed(key: bytes, kind: str, text: str) -> str:
    """HMAC-SHA256 (RFC 2104) of what is named, 32 hex digits; of different kinds never the same."""
    return hmac.digest(key, f"{kind}\0{text.strip()}".encode(), hashlib.sha256).hex()[:32]


def _make(file: Path) -> None:
    """Written aside and linked into place: of two first uses one wins, and nobody reads half a key."""
    aside = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as opened:
        opened.write(secrets.token_hex(_DIGITS // 2) + "\n")
        opened.flush()
        os.fsync(opened.fileno())
    try:
        os.link(aside, file)
    except FileExistsError:
        pass
    finally:
        aside.unlink()
