"""A model folder's signature: who vouches for exactly these files, in Ed25519 (RFC 8032), detached in `signature.json`.

What is signed is the whole statement (key, who, when and the SHA-256 of every file), so that none of it can be changed
without the private key. Pure: bytes come in and go out; whoever calls reads folders, keys and the clock. What this is
not: trust. A signature by a key that nobody here trusts proves nothing.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

SIGNATURE = "signature.json"
SCHEMA_VERSION = 1
_DOMAIN = b"dicom-ai model folder 1\n"  # a key that signs something else too never signs a model by accident
_DIGEST = re.compile(r"[0-9a-f]{64}")


class SignatureFault(ValueError):
    """The signature, or what it says of the files, does not hold."""


class KeyFault(ValueError):
    """A file is not the key that was expected, or its passphrase is wrong."""


@dataclass(frozen=True)
class Statement:
    """What is signed.

    Attributes:
        key: id of the public key, see `key_id`.
        who: the person who vouches, as given when it was signed.
        when: time of signing, ISO 8601 with zone.
        files: name -> SHA-256 hex of every file of the folder but `signature.json`.
    """

    key: str
    who: str
    when: str
    files: Mapping[str, str]

    def told(self) -> dict[str, Any]:
        """As JSON values."""
        files = dict(sorted(self.files.items()))
        return {"schema_version": SCHEMA_VERSION, "key": self.key, "who": self.who, "when": self.when, "files": files}

    def payload(self) -> bytes:
        """The bytes that are signed: canonical JSON behind a line that says what it is."""
        text = json.dumps(self.told(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return _DOMAIN + text.encode()


@dataclass(frozen=True)
class Signed:
    """A statement and its 64 bytes of signature."""

    statement: Statement
    signature: bytes

    def require_key(self, public: Ed25519PublicKey) -> None:
        """Raise SignatureFault unless the statement was signed with this key."""
        try:
            public.verify(self.signature, self.statement.payload())
        except InvalidSignature as exc:
            raise SignatureFault(f"{SIGNATURE} is not the signature of what it states") from exc

    def require_files(self, found: Mapping[str, str]) -> None:
        """Raise SignatureFault unless the folder's files are those that were signed, all of them and no other.

        Args:
            found: name -> SHA-256 hex of every file but `signature.json`.
        """
        signed = self.statement.files
        for name in sorted(signed.keys() | found.keys()):
            if name not in found:
                raise SignatureFault(f"{name} was signed and is missing")
            if name not in signed:
                raise SignatureFault(f"{name} lies in the folder and was not signed")
            if found[name] != signed[name]:
                raise SignatureFault(f"{name} was changed after it was signed")


def key_id(public: Ed25519PublicKey) -> str:
    """What people call a key: the first 16 hex digits of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def sign(files: Mapping[str, str], private: Ed25519PrivateKey, *, who: str, when: str) -> bytes:
    """The content of `signature.json`.

    Args:
        files: name -> SHA-256 hex of every file of the folder.
        private: key of the person who vouches.
        who: their name; not empty.
        when: ISO 8601 with zone.
    """
    if not who.strip():
        raise SignatureFault("a signature needs the name of the person who vouches")
    statement = Statement(key_id(private.public_key()), who, when, dict(files))
    _require_sound(statement)
    told = statement.told() | {"signature": base64.b64encode(private.sign(statement.payload())).decode()}
    return (json.dumps(told, indent=2, ensure_ascii=False) + "\n").encode()


def parse(content: bytes) -> Signed:
    """Read the content of a `signature.json`; nothing of it is proven yet.

    Raises:
        SignatureFault: it is none, or of a schema this version does not know.
    """
    try:
        told = json.loads(content)
        if told["schema_version"] != SCHEMA_VERSION:
            raise SignatureFault(f"{SIGNATURE} has schema_version {told['schema_version']!r}, not {SCHEMA_VERSION}")
        statement = Statement(told["key"], told["who"], told["when"], dict(told["files"]))
        signature = base64.b64decode(told["signature"], validate=True)
        _require_sound(statement)
    except SignatureFault:
        raise
    except (ValueError, KeyError, TypeError, binascii.Error) as exc:
        raise SignatureFault(f"{SIGNATURE} is not a signature") from exc
    return Signed(statement, signature)


def _require_sound(statement: Statement) -> None:
    told: dict[Any, Any] = dict(statement.files)  # as it came out of a file: nothing of it need be a text
    texts: tuple[Any, ...] = (statement.key, statement.who, statement.when)
    if not all(isinstance(text, str) for text in texts) or not told:
        raise SignatureFault(f"{SIGNATURE} is not a signature")
    for name, digest in told.items():
        is_plain = isinstance(name, str) and "/" not in name and name not in {"", ".", "..", SIGNATURE}
        if not is_plain or not isinstance(digest, str) or _DIGEST.fullmatch(digest) is None:
            raise SignatureFault(f"{SIGNATURE} lists something that is not a file of a model folder")


def new_key(passphrase: bytes | None = None) -> tuple[bytes, bytes]:
    """A new key pair as PEM: the private key (PKCS #8, encrypted when there is a passphrase), the public key."""
    private = Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return secret, private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_private(pem: bytes, passphrase: bytes | None = None) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        KeyFault: it is none, is not Ed25519, needs a passphrase (`needs_passphrase` asks before) or another one.
    """
    try:
        private = load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise KeyFault("this is no private key, or its passphrase is another one") from exc
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFault("this private key is not Ed25519; make one with `python -m train keys make`")
    return private


def needs_passphrase(pem: bytes) -> bool:
    """Whether a private key is encrypted (RFC 7468, section 11)."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem


def read_public(pem: bytes) -> Ed25519PublicKey:
    """Read a public key.

    Raises:
        KeyFault: it is none or is not Ed25519.
    """
    try:
        public = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as exc:
        hint = "; this is the private one, keep it away from here" if b"PRIVATE KEY" in pem else ""
        raise KeyFault(f"this is no public key{hint}") from exc
    if not isinstance(public, Ed25519PublicKey):
        raise KeyFault("this public key is not Ed25519")
    return public


def public_pem(public: Ed25519PublicKey) -> bytes:
    """A public key as PEM, without anything that stood around it."""
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
