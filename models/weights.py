"""A network's numbers on disk: safetensors, written atomically, read only when their SHA-256 is the card's.

What this is not: torch's own checkpoint format, which can run code when read.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise

WEIGHTS = "weights.safetensors"
VECTORS = "vectors.safetensors"


class DigestMismatch(ValueError):
    """A file of the model folder is not the one the card names, or cannot be read."""


def save_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> str:
    """Write tensors so that a reader sees the old file or the new one, never half of it.

    Args:
        tensors: by name; moved to the CPU and made contiguous.
        path: target; its folder must exist.

    Returns:
        SHA-256 of the file, lower-case hex, for `card.digests`.
    """
    payload = serialise({name: t.detach().cpu().contiguous() for name, t in tensors.items()})
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return hashlib.sha256(payload).hexdigest()


def load_tensors(path: Path, digest: str) -> dict[str, torch.Tensor]:
    """Read tensors after checking the file against its digest.

    The bytes that were hashed are the bytes that are parsed; the file is opened once.

    Args:
        path: a safetensors file.
        digest: SHA-256 the card states, hex.

    Returns:
        CPU tensors by name.

    Raises:
        DigestMismatch: the file is absent, differs from the digest or is not safetensors.
    """
    try:
        payload = path.read_bytes()
    except OSError as exc:
        raise DigestMismatch(f"{path.name} cannot be read") from exc
    found = hashlib.sha256(payload).hexdigest()
    if found != digest:
        raise DigestMismatch(f"{path.name} has SHA-256 {found[:12]}…, the card says {digest[:12]}…")
    try:
        return parse(payload)
    except SafetensorError as exc:
        raise DigestMismatch(f"{path.name} is not a safetensors file") from exc


def load_weights(network: torch.nn.Module, path: Path, digest: str) -> None:
    """Fill `network` from a weights file, strictly: every name and shape must fit.

    Raises:
        DigestMismatch: see `load_tensors`; or the tensors are not those of this network.
    """
    tensors = load_tensors(path, digest)
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as exc:
        raise DigestMismatch(f"{path.name} does not fit the network the card names") from exc
