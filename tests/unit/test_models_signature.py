"""A signature holds for exactly the files, the person, the time and the key it was made with."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from models.signature import (
    KeyFault,
    SignatureFault,
    key_id,
    needs_passphrase,
    new_key,
    parse,
    public_pem,
    read_private,
    read_public,
    sign,
)

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key()
FILES = {"card.json": "ab" * 32, "weights.safetensors": "cd" * 32}
WHEN = "2026-11-21T12:00:00+00:00"
CONTENT = sign(FILES, PRIVATE, who="Ana 陈", when=WHEN)


def test_what_was_signed_holds_and_says_who_and_when() -> None:
    signed = parse(CONTENT)
    signed.require_key(PUBLIC)
    signed.require_files(FILES)
    assert (signed.statement.key, signed.statement.who, signed.statement.when) == (key_id(PUBLIC), "Ana 陈", WHEN)
    assert json.loads(CONTENT)["schema_version"] == 1


def test_another_key_is_refused() -> None:
    with pytest.raises(SignatureFault, match="not the signature"):
        parse(CONTENT).require_key(Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize(
    ("field", "value"),
    [("who", "Bo"), ("when", "2027-01-01T00:00:00+00:00"), ("key", "0" * 16), ("files", {"card.json": "ab" * 32})],
)
def test_no_word_of_the_statement_can_be_changed(field: str, value: Any) -> None:
    signed = parse(json.dumps(json.loads(CONTENT) | {field: value}).encode())
    with pytest.raises(SignatureFault, match="not the signature"):
        signed.require_key(PUBLIC)


@given(st.integers(0, 511))
def test_no_bit_of_the_signature_can_be_changed(bit: int) -> None:
    signed = parse(CONTENT)
    changed = bytearray(signed.signature)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureFault):
        replace(signed, signature=bytes(changed)).require_key(PUBLIC)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"card.json": "ab" * 32}, "weights.safetensors was signed and is missing"),
        ({**FILES, "weights.pt": "00" * 32}, "weights.pt lies in the folder and was not signed"),
        ({**FILES, "card.json": "00" * 32}, "card.json was changed after it was signed"),
    ],
)
def test_the_files_are_all_and_only_those_that_were_signed(found: dict[str, str], said: str) -> None:
    with pytest.raises(SignatureFault, match=said):
        parse(CONTENT).require_files(found)


@pytest.mark.parametrize(
    "files",
    [{}, {"../card.json": "ab" * 32}, {"signature.json": "ab" * 32}, {"card.json": "AB" * 32}, {"card.json": "ab"}],
    ids=["none", "path", "itself", "upper case", "short"],
)
def test_a_list_that_is_none_of_a_model_folder_is_not_signed(files: dict[str, str]) -> None:
    with pytest.raises(SignatureFault):
        sign(files, PRIVATE, who="Ana", when=WHEN)


def test_nobody_cannot_vouch() -> None:
    with pytest.raises(SignatureFault, match="name"):
        sign(FILES, PRIVATE, who=" ", when=WHEN)


@given(st.one_of(st.binary(max_size=60), st.sampled_from([b"[]", b"null", b"{}", b'{"schema_version": 1}'])))
def test_anything_else_is_no_signature(content: bytes) -> None:
    with pytest.raises(SignatureFault):
        parse(content)


@pytest.mark.parametrize(
    ("field", "value"),
    [("schema_version", 2), ("files", ["x"]), ("files", {"a": 1}), ("who", None), ("signature", "%")],
)
def test_a_field_of_another_kind_is_no_signature(field: str, value: Any) -> None:
    with pytest.raises(SignatureFault):
        parse(json.dumps(json.loads(CONTENT) | {field: value}).encode())


def test_keys_survive_their_files_and_a_passphrase_guards_one() -> None:
    secret, public = new_key(b"four words in a row")
    assert needs_passphrase(secret)
    assert b"four words" not in secret
    private = read_private(secret, b"four words in a row")
    assert public_pem(private.public_key()) == public
    for wrong in (None, b"other words"):
        with pytest.raises(KeyFault):
            read_private(secret, wrong)
    open_secret, _ = new_key()
    assert not needs_passphrase(open_secret)


def test_what_is_no_ed25519_key_is_refused_and_a_private_one_is_named() -> None:
    other = generate_private_key(SECP256R1())
    with pytest.raises(KeyFault, match="not Ed25519"):
        read_private(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(KeyFault, match="not Ed25519"):
        read_public(other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(KeyFault, match="private one"):
        read_public(new_key()[0])
    with pytest.raises(KeyFault):
        read_private(b"nonsense")
