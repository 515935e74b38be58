"""Networks by name: a card or a recipe names its network, this builds it.

Networks of single frames (`build`) and of clips (`build_clip`) are listed apart: they take different arguments and
answer with different shapes. What this is not: a source of weights. A built network is randomly started;
`models.weights` fills it from a model folder, `models.imagenet` from a file of the user's.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from models.clip_classifier import ClipClassifier
from models.frame_classifier import FrameClassifier, mobilenet_v2
from models.sonogram_network import sonogram

Builder = Callable[..., FrameClassifier]

_BUILDERS: dict[str, Builder] = {}
_LATE = ("densenet121", "densenet201", "efficientnet_b0", "inception_v3", "mobilenet_v2_full", "resnet18", "resnet34",
         "resnet152", "vgg16")  # fmt: skip
"""Networks whose modules load torchvision, which takes two seconds that a process without them is spared."""
_CLIPS = {"clip_attention": False, "clip_recurrent": True}


def register(name: str) -> Callable[[Builder], Builder]:
    """Decorator that registers a builder of `FrameClassifier`s.

    Raises:
        ValueError: the name is taken; silently replacing a network would change what a card means.
    """

    def keep(builder: Builder) -> Builder:
        if name in {*names(), *clip_names()}:
            raise ValueError(f"network {name!r} is registered already; give the new one another name")
        _BUILDERS[name] = builder
        return builder

    return keep


def build(name: str, **kwargs: Any) -> FrameClassifier:
    """A randomly started network of frames.

    Args:
        name: as registered.
        **kwargs: the builder's own arguments, e.g. n_classes, channels, with_assessability.

    Raises:
        ValueError: no such network; the message lists the names there are.
    """
    builder = _builder(name)
    if builder is None:
        raise ValueError(f"no network {name!r}; there are: {', '.join(names())}")
    return builder(**kwargs)


def build_clip(name: str, *, encoder: Mapping[str, Any], n_classes: int, **kwargs: Any) -> ClipClassifier:
    """A randomly started network of clips.

    Args:
        name: "clip_attention" or "clip_recurrent".
        encoder: {"name": of a network of frames, further arguments of its builder without n_classes}.
        n_classes: K.
        **kwargs: hidden, dropout of `ClipClassifier`.

    Raises:
        ValueError: no such network; the message lists the names there are.
    """
    if name not in _CLIPS:
        raise ValueError(f"no network of clips {name!r}; there are: {', '.join(clip_names())}")
    arguments = dict(encoder)
    frames = build(str(arguments.pop("name", "")), n_classes=n_classes, **arguments)
    return ClipClassifier(frames, n_classes=n_classes, is_recurrent=_CLIPS[name], **kwargs)


def at_size(network: Mapping[str, Any], size: int) -> dict[str, Any]:
    """The same network for another input size: {"name", arguments} with `size` replaced where the builder has one.

    A pool of fixed kernel (ResNet-152) then covers the smaller map, and Inception-v3 loses its auxiliary head below
    299 px unless the arguments insist on it.
    """
    builder = _builder(str(network.get("name")))
    has_size = builder is not None and "size" in inspect.signature(builder).parameters
    return {**network, "size": size} if has_size else dict(network)


def names() -> tuple[str, ...]:
    """Registered networks of frames, sorted."""
    return tuple(sorted({*_BUILDERS, *_LATE}))


def clip_names() -> tuple[str, ...]:
    """Networks of clips, sorted."""
    return tuple(sorted(_CLIPS))


def _builder(name: str) -> Builder | None:
    return _late()[name] if name in _LATE else _BUILDERS.get(name)


@cache
def _late() -> Mapping[str, Builder]:
    from models import inception, paper_networks

    return {name: getattr(inception if name == "inception_v3" else paper_networks, name) for name in _LATE}


register("mobilenet_v2")(mobilenet_v2)  # the demonstration models'
register("sonogram")(sonogram)
