"""Starting from a file of the user's: torchvision's names, digests, channels, and what is refused."""

import hashlib
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from models import imagenet, registry
from models.imagenet import MEAN, PUBLISHED, STD, StartRefused, said, start_from
from tests.unit.unstarted import unstarted

torch.set_num_threads(1)

THEIRS = {name: torchvision.models.get_model_builder(name.removesuffix("_full")) for name in PUBLISHED}


def theirs(name: str, **arguments: Any) -> nn.Module:
    """Torchvision's own network as its file fills it, with batch statistics that are not the start's."""
    torch.manual_seed(31)
    if name == "inception_v3":
        arguments |= {"init_weights": False, "transform_input": True}
    network = THEIRS[name](weights=None, **arguments)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 2)
    return network.eval()


def as_file(tensors: dict[str, torch.Tensor], folder: Path) -> Path:
    path = folder / "given.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path)
    return path


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v2_full"])
def test_the_features_are_torchvisions(name: str, tmp_path: Path) -> None:
    source = theirs(name)
    network = registry.build(name, n_classes=3).eval()
    head = network.head.weight.clone()
    start = start_from(network, name, as_file(source.state_dict(), tmp_path))
    shown = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(32))
    got: list[torch.Tensor] = []
    last = source.layer4 if name == "resnet18" else source.features
    last.register_forward_hook(lambda _, __, output: got.append(output.clone()))
    with torch.inference_mode():
        source(shown)
        expected = got[0].relu() if name == "densenet121" else got[0]
        torch.testing.assert_close(network.features_of(shown), expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(network.head.weight, head)
    assert start.random == ("head.weight", "head.bias")


@pytest.mark.parametrize("name", sorted(set(PUBLISHED) - {"inception_v3"}))  # it has a test of its own
def test_every_published_file_has_a_network_whose_names_it_fills(name: str) -> None:
    """Names and shapes alone: nothing is computed, nothing is held in memory."""
    with torch.device("meta"), unstarted():
        source = THEIRS[name](weights=None)
        network = registry.build(name, n_classes=3)
    found = imagenet._for_ours(source.state_dict(), name)
    wanted = {k: v.shape for k, v in network.state_dict().items() if not k.startswith(("head.", "auxiliary.fc."))}
    assert {k: v.shape for k, v in found.items()} == wanted


def test_inceptions_file_is_moved_to_the_scale_of_the_others(tmp_path: Path) -> None:
    source = theirs("inception_v3")
    with unstarted():
        network = registry.build("inception_v3", n_classes=3, size=107).eval()
    start = start_from(network, "inception_v3", as_file(source.state_dict(), tmp_path))
    shown = torch.randn(1, 3, 107, 107, generator=torch.Generator().manual_seed(33))
    got: list[torch.Tensor] = []
    source.Mixed_7c.register_forward_hook(lambda _, __, output: got.append(output))
    with torch.inference_mode():
        source(shown)  # scales its input itself
        torch.testing.assert_close(network.features_of(shown), got[0], atol=1e-5, rtol=1e-4)
    assert not any("auxiliary" in key for key in start.random)


def test_one_channel_sees_what_three_see_of_a_grey_picture(tmp_path: Path) -> None:
    path = as_file(theirs("resnet18").state_dict(), tmp_path)
    with unstarted():
        three, one = (registry.build("resnet18", n_classes=2, channels=channels).eval() for channels in (3, 1))
    for network in (three, one):
        start_from(network, "resnet18", path)
    grey = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(34))
    with torch.inference_mode():
        torch.testing.assert_close(
            one.features_of(grey), three.features_of(grey.repeat(1, 3, 1, 1)), atol=1e-4, rtol=1e-4
        )


def test_a_network_of_clips_takes_its_encoders_file(tmp_path: Path) -> None:
    network = registry.build_clip("clip_attention", encoder={"name": "resnet18"}, n_classes=2)
    start = start_from(network, "resnet18", as_file(theirs("resnet18").state_dict(), tmp_path))
    assert all(key.startswith(("head.", "over_frames.")) for key in start.random)


def test_the_published_densenets_older_names_are_known(tmp_path: Path) -> None:
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", key): tensor
        for key, tensor in theirs("densenet121").state_dict().items()
        if not key.endswith("num_batches_tracked")  # older still than the counters
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    network = registry.build("densenet121", n_classes=2)
    start = start_from(network, "densenet121", as_file(old, tmp_path))
    assert start.filled == len(old) - 2


def pth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any) -> Path:
    """A `.pth` file whose digest is made a published one."""
    path = tmp_path / "resnet18.pth"
    torch.save(content, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(PUBLISHED, "resnet18", (f"resnet18-{digest[:8]}.pth",))
    return path


def test_a_published_pth_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pth(tmp_path, monkeypatch, OrderedDict(theirs("resnet18").state_dict()))
    start = start_from(registry.build("resnet18", n_classes=2), "resnet18", path)
    assert start.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert said(start).startswith(f"started from resnet18.pth (SHA-256 {start.sha256[:12]}")
    assert "random: head.weight, head.bias" in said(start)


def test_a_random_start_is_said() -> None:
    assert said(None).startswith("random start")


def test_another_pth_is_not_even_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pth(tmp_path, monkeypatch, {})
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("was read"))
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(StartRefused, match=r"none of resnet18-[0-9a-f]{8}\.pth; give one of these, or a \.safetensors"):
        start_from(registry.build("resnet18", n_classes=2), "resnet18", path)


class Payload:
    """What a pickle may do when it is read."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("code of a file was run",))


@pytest.mark.parametrize("content", [{"conv1.weight": Payload()}, [1, 2]], ids=["code", "no tensors"])
def test_a_pth_of_something_else_is_refused(content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pth(tmp_path, monkeypatch, content)
    with pytest.raises(StartRefused, match=r"resnet18.pth holds something other than tensors by name"):
        start_from(registry.build("resnet18", n_classes=2), "resnet18", path)


def test_wrong_names_and_shapes_are_named(tmp_path: Path) -> None:
    tensors = theirs("resnet18").state_dict()
    tensors["layer5.0.conv1.weight"] = tensors.pop("layer1.0.conv1.weight")
    tensors["bn1.weight"] = torch.ones(65)
    network = registry.build("resnet18", n_classes=2)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with pytest.raises(StartRefused) as refused:
        start_from(network, "resnet18", as_file(tensors, tmp_path))
    assert str(refused.value) == (
        "given.safetensors is not of this network: 1 missing, e.g. features.layer1.0.conv1.weight; "
        "1 unexpected, e.g. features.layer5.0.conv1.weight; 1 of another shape, e.g. features.bn1.weight"
    )
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


def test_what_cannot_be_a_start_is_refused(tmp_path: Path) -> None:
    network = registry.build("sonogram", n_classes=2)
    with pytest.raises(StartRefused, match="no ImageNet weights for sonogram; there are for: resnet18"):
        start_from(network, "sonogram", tmp_path / "x.pth")
    network = registry.build("resnet18", n_classes=2)
    with pytest.raises(StartRefused, match=r"x\.pth cannot be read"):
        start_from(network, "resnet18", tmp_path / "x.pth")
    (tmp_path / "y.safetensors").write_bytes(b"no header")
    with pytest.raises(StartRefused, match="not a safetensors file"):
        start_from(network, "resnet18", tmp_path / "y.safetensors")


def test_torchvision_still_publishes_these_files() -> None:
    """The table is torchvision's; its addresses are read, never followed."""
    for name, files in PUBLISHED.items():
        builder = THEIRS[name].__name__
        published = {one.url.rpartition("/")[2] for one in torchvision.models.get_model_weights(builder)}
        # VGG's second file holds features alone, for pictures on another scale
        assert set(files) == published - {"vgg16_features-amdegroot-88682ab5.pth"}, name


def test_mean_and_deviation_are_the_papers() -> None:
    assert (MEAN, STD) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
