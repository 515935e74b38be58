"""A network starts from ImageNet weights that the user has as a file: torchvision's own, never downloaded here.

The files, as torchvision publishes them; the eight digits in a name are the beginning of the file's SHA-256:

| network | file |
|---|---|
| resnet18 | resnet18-f37072fd.pth |
| resnet34 | resnet34-b627a593.pth |
| resnet152 | resnet152-394f9c45.pth, resnet152-f82ba261.pth (newer training) |
| densenet121 | densenet121-a639ec97.pth |
| densenet201 | densenet201-c1103571.pth |
| efficientnet_b0 | efficientnet_b0_rwightman-7f5810bc.pth |
| vgg16 | vgg16-397923af.pth |
| mobilenet_v2_full | mobilenet_v2-b0353104.pth, mobilenet_v2-7ebf99e0.pth (newer training) |
| inception_v3 | inception_v3_google-0cc3c7bd.pth |

A `.pth` file is a pickle: it is read only when its digest is one of these, and then by torch's reader that knows
tensors alone. A `.safetensors` file with the same names inside may come from anywhere; it holds no code. Heads stay
random. A first convolution for one channel is the sum of the file's three. Torchvision's code is BSD; the terms of
the pictures behind the weights are for the user to judge. What this is not: the weights of a model folder.
"""

import hashlib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from torch import nn

PUBLISHED: dict[str, tuple[str, ...]] = {
    "resnet18": ("resnet18-f37072fd.pth",),
    "resnet34": ("resnet34-b627a593.pth",),
    "resnet152": ("resnet152-394f9c45.pth", "resnet152-f82ba261.pth"),
    "densenet121": ("densenet121-a639ec97.pth",),
    "densenet201": ("densenet201-c1103571.pth",),
    "efficientnet_b0": ("efficientnet_b0_rwightman-7f5810bc.pth",),
    "vgg16": ("vgg16-397923af.pth",),
    "mobilenet_v2_full": ("mobilenet_v2-b0353104.pth", "mobilenet_v2-7ebf99e0.pth"),
    "inception_v3": ("inception_v3_google-0cc3c7bd.pth",),
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What a network of three channels that starts from these weights expects of `models.preprocess`."""

_HEADS = ("classifier.", "fc.", "AuxLogits.fc.")
_OWN_HEADS = ("head.", "auxiliary.fc.")
_OLD_DENSE = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


class StartRefused(ValueError):
    """A file of weights that this network cannot start from; the message says what would do."""


@dataclass(frozen=True)
class Start:
    """What a network started from.

    Attributes:
        file: name of the file, without its folder.
        sha256: of the file, hex.
        filled: tensors taken from it.
        random: names of the parameters that stayed random.
    """

    file: str
    sha256: str
    filled: int
    random: tuple[str, ...]


def said(start: Start | None) -> str:
    """In one line for people, what a network started from; None is a random start."""
    if start is None:
        return "random start: no weights were given, nothing was learned before"
    random = ", ".join(start.random)
    return f"started from {start.file} (SHA-256 {start.sha256[:12]}…), {start.filled} tensors; random: {random}"


def start_from(network: nn.Module, name: str, file: Path) -> Start:
    """Fill a network's convolutions from a file of torchvision's names; its heads stay as they are.

    Args:
        network: as built by `models.registry` under `name`, or of clips with such an encoder.
        name: of the network, or of the encoder.
        file: `.pth` with a published digest, or `.safetensors`.

    Raises:
        StartRefused: nobody publishes weights for this network, the file cannot be read or is another's; the message
            names the first tensors that are missing, unexpected or of another shape.
    """
    if name not in PUBLISHED:
        raise StartRefused(f"there are no ImageNet weights for {name}; there are for: {', '.join(PUBLISHED)}")
    payload, tensors = _read(file, PUBLISHED[name])
    tensors = _for_ours(tensors, name)
    own = network.state_dict()
    wanted = {key for key in own if not key.startswith((*_OWN_HEADS, "over_frames."))}
    if not any(key.startswith("auxiliary.") for key in own):  # an encoder of clips, or an input under 299 px
        tensors = {key: tensor for key, tensor in tensors.items() if not key.startswith("auxiliary.")}
    tensors = {key: _for_channels(tensor, own.get(key)) for key, tensor in tensors.items()}
    _check(file.name, wanted, tensors, own)
    network.load_state_dict(tensors, strict=False)
    random = tuple(key for key, _ in network.named_parameters() if key not in tensors)
    return Start(file.name, hashlib.sha256(payload).hexdigest(), len(tensors), random)


def _read(file: Path, published: tuple[str, ...]) -> tuple[bytes, dict[str, torch.Tensor]]:
    try:
        payload = file.read_bytes()
    except OSError as exc:
        raise StartRefused(f"{file.name} cannot be read") from exc
    if file.suffix == ".safetensors":
        try:
            return payload, parse(payload)
        except SafetensorError as exc:
            raise StartRefused(f"{file.name} is not a safetensors file") from exc
    digest = hashlib.sha256(payload).hexdigest()
    if not any(digest.startswith(one.rpartition("-")[2].removesuffix(".pth")) for one in published):
        raise StartRefused(
            f"{file.name} has SHA-256 {digest[:8]}…, which is none of {', '.join(published)}; "
            "give one of these, or a .safetensors file with torchvision's names"
        )
    try:
        loaded = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)  # noqa: TID251 - digest checked
    except Exception as exc:  # a damaged file raises this and that; it is refused, whatever it is
        raise StartRefused(f"{file.name} holds something other than tensors by name") from exc
    if not isinstance(loaded, dict) or not all(isinstance(one, torch.Tensor) for one in loaded.values()):
        raise StartRefused(f"{file.name} holds something other than tensors by name")
    return payload, loaded


def _for_ours(tensors: Mapping[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """Torchvision's names -> ours, heads left out."""
    found = {}
    for key, tensor in tensors.items():
        if key.startswith(_HEADS):
            continue
        if key.startswith("AuxLogits."):
            found[key.replace("AuxLogits.", "auxiliary.", 1)] = tensor
        else:
            # the published DenseNets are older than the rule against dots in the names of modules
            own = key if key.startswith("features.") else f"features.{key}"
            found[_OLD_DENSE.sub(r"\1\2", own)] = tensor
    return _on_imagenet_scale(found) if name == "inception_v3" else found


def _on_imagenet_scale(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Inception's file was made for inputs (x - 0.5) / 0.5; the same function of inputs (x - MEAN) / STD.

    The first convolution has neither padding nor bias, so scale and shift of its input move exactly into its weights
    and into the mean that the normalisation behind it takes off.
    """
    stem, mean = "features.Conv2d_1a_3x3.conv.weight", "features.Conv2d_1a_3x3.bn.running_mean"
    if stem not in tensors or mean not in tensors or tensors[stem].shape[1:2] != (3,):
        return tensors  # the check of names and shapes refuses it
    scale = torch.tensor(STD).view(1, 3, 1, 1) / 0.5
    shift = (torch.tensor(MEAN).view(1, 3, 1, 1) - 0.5) / 0.5
    weights = tensors[stem]
    moved = tensors[mean] - (weights * shift).sum(dim=(1, 2, 3))
    return tensors | {stem: weights * scale, mean: moved}


def _for_channels(tensor: torch.Tensor, own: torch.Tensor | None) -> torch.Tensor:
    is_grey = own is not None and own.ndim == tensor.ndim == 4 and own.shape[1] == 1 and tensor.shape[1] == 3
    return tensor.sum(dim=1, keepdim=True) if is_grey else tensor


def _check(file: str, wanted: set[str], tensors: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]) -> None:
    # counters of batches are missing in files older than the counters, and count nothing that matters
    missing = sorted(key for key in wanted - set(tensors) if not key.endswith("num_batches_tracked"))
    unexpected = sorted(set(tensors) - wanted)
    misshapen = sorted(key for key in wanted & set(tensors) if tensors[key].shape != own[key].shape)
    wrong = (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
    parts = [f"{len(keys)} {what}, e.g. {', '.join(keys[:3])}" for what, keys in wrong if keys]
    if parts:
        raise StartRefused(f"{file} is not of this network: {'; '.join(parts)}")
