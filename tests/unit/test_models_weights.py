"""Weights files: written whole, read only when they are the card's."""

import hashlib
from pathlib import Path

import pytest
import torch

from models import registry
from models.weights import DigestMismatch, load_tensors, load_weights, save_tensors


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    source, target = (registry.build("mobilenet_v2", n_classes=2, width_mult=0.25) for _ in range(2))
    load_weights(target, path, save_tensors(source.state_dict(), path))
    assert all(
        torch.equal(a, b) for a, b in zip(source.state_dict().values(), target.state_dict().values(), strict=True)
    )


def test_nothing_is_left_beside_the_file(tmp_path: Path) -> None:
    save_tensors({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize("at", [0, 9, -1], ids=["length", "header", "last byte"])
def test_one_changed_byte_is_refused(tmp_path: Path, at: int) -> None:
    path = tmp_path / "a.safetensors"
    digest = save_tensors({"a": torch.ones(2)}, path)
    payload = bytearray(path.read_bytes())
    payload[at] ^= 1
    path.write_bytes(payload)
    with pytest.raises(DigestMismatch, match="the card says"):
        load_tensors(path, digest)


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DigestMismatch, match="cannot be read"):
        load_tensors(tmp_path / "a.safetensors", "0" * 64)


def test_a_file_of_another_kind_is_refused_even_with_its_own_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"\x80\x04K\x01.")  # a pickle
    with pytest.raises(DigestMismatch, match="not a safetensors file"):
        load_tensors(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    digest = save_tensors(registry.build("mobilenet_v2", n_classes=2, width_mult=0.25).state_dict(), path)
    with pytest.raises(DigestMismatch, match="does not fit"):
        load_weights(registry.build("mobilenet_v2", n_classes=3, width_mult=0.25), path, digest)
