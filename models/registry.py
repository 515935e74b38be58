"""Networks by name: a card names its network, this builds it.

What this is not: a source of weights. `build` gives a randomly started network; `models.weights` fills it.
"""

from collections.abc import Callable
from typing import Any

from models.frame_classifier import FrameClassifier, mobilenet_v2

Builder = Callable[..., FrameClassifier]

_BUILDERS: dict[str, Builder] = {}


def register(name: str) -> Callable[[Builder], Builder]:
    """Decorator that registers a builder of `FrameClassifier`s.

    Raises:
        ValueError: the name is taken; silently replacing a network would change what a card means.
    """

    def keep(builder: Builder) -> Builder:
        if name in _BUILDERS:
            raise ValueError(f"network {name!r} is registered already; give the new one another name")
        _BUILDERS[name] = builder
        return builder

    return keep


def build(name: str, **kwargs: Any) -> FrameClassifier:
    """A randomly started network.

    Args:
        name: as registered.
        **kwargs: the builder's own arguments, e.g. n_classes, channels, width_mult.

    Raises:
        ValueError: no such network; the message lists the names there are.
    """
    if name not in _BUILDERS:
        raise ValueError(f"no network {name!r}; there are: {', '.join(names())}")
    return _BUILDERS[name](**kwargs)


def names() -> tuple[str, ...]:
    """Registered names, sorted."""
    return tuple(sorted(_BUILDERS))


register("mobilenet_v2")(mobilenet_v2)
