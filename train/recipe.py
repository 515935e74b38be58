"""Recipe: everything a training run needs to know, read from one TOML file; the card repeats what serving needs.

A recipe may stand on another (`base = "uterus"`, a file of `train/recipes/base`) and then says only what differs.
What this is not: settings of a machine. Folders, workers and the device are arguments of the command.
"""

import hashlib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models import registry
from models.card import ClassCard, Crop, Input, Pooling

RECIPES = Path(__file__).parent / "recipes"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Split(_Part):
    """Phantoms of one split: seeds `first_seed` .. `first_seed + count - 1`, shared with no other split."""

    first_seed: int = Field(ge=0)
    count: int = Field(ge=1)


class Phantoms(_Part):
    """What is drawn. The shares are relative weights of the kinds of picture.

    Attributes:
        good: labels joined by "+" ("" is a picture without a sign) -> weight.
        bad: kind of picture the network must turn away -> weight.
        erode_px: the kept shape is the drawn sector less 0 .. this many pixels, as a crop would leave it.
    """

    good: dict[str, float]
    bad: dict[str, float] = {}
    erode_px: int = Field(6, ge=0)
    train: Split
    validation: Split
    test: Split

    @property
    def count(self) -> int:
        """Pictures of all splits."""
        return self.train.count + self.validation.count + self.test.count


class Augment(_Part):
    """How a training picture differs each time it is shown. One affine map, then grey levels.

    Attributes:
        rotation: degrees to either side.
        zoom: factors from, to. Above 1 is a random crop.
        shift: share of the edge to either side. With the black around it this is padding and a random crop.
        shear: degrees to either side.
        flip: with probability one half.
        grey: gamma, gain, offset, and now and then blur, noise and JPEG.
    """

    rotation: float = Field(8.0, ge=0, le=180)
    zoom: tuple[float, float] = (0.82, 1.04)
    shift: float = Field(0.05, ge=0, le=0.5)
    shear: float = Field(0.0, ge=0, le=45)
    flip: Literal["none", "horizontal", "vertical"] = "horizontal"
    grey: bool = True


class Loss(_Part):
    """Weights of the parts of the loss, and what is done to labels.

    Attributes:
        assessability: of the output that says whether a picture may be judged.
        map: of evidence lying where the sign is drawn (phantoms only).
        blanked: how often a positive is shown with its sign blanked (phantoms only), 0..1.
        auxiliary: of an auxiliary head (Szegedy et al., CVPR 2016: 0.3 to 0.4).
        clip: of the mean logit over a clip's frames in the batch.
        label_smoothing: share of a label given to the other classes, 0..1.
        mixup: both parameters of the beta distribution (Zhang et al., ICLR 2018); 0 mixes nothing.
        class_balance: rare classes weigh more, by clips, five times at most.
    """

    assessability: float = Field(0.5, ge=0)
    map: float = Field(0.1, ge=0)
    blanked: float = Field(0.15, ge=0, le=1)
    auxiliary: float = Field(0.4, ge=0)
    clip: float = Field(0.0, ge=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    mixup: float = Field(0.0, ge=0)
    class_balance: bool = False


class Fit(_Part):
    """The optimiser and how long it works.

    Attributes:
        epochs: passes over the training part; with `clip_frames`, over its clips.
        batch: frames of all processes together.
        learning_rate: the highest. random_start_rate: instead of it when no weights are given to start from.
        random_start_clip: norm to which the gradient of a step is shortened when no weights are given to start from.
        momentum: of "sgd".
        schedule: "one_cycle" (Smith, 2018), "constant", or "warm_up_cosine": linearly up over `warm_up` epochs, then
            along a cosine to `minimum` at the end of epoch `cosine_until`, and on at `minimum`.
        dropout: instead of the network's own, 0..1.
        ema: decay of averaged weights, which then are the result; 0 averages nothing.
        clip_frames: frames of each clip shown in an epoch, side by side in one batch; 0 shows every frame by itself.
        patience: epochs without a lower validation loss before it stops; None never.
        keep: weights of the last epoch, or of the lowest validation loss.
        pretrain: epochs on the recipe's phantoms before a data set; 0 none.
    """

    epochs: int = Field(ge=1)
    batch: int = Field(ge=2)
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: float = Field(gt=0)
    random_start_rate: float | None = Field(None, gt=0)
    random_start_clip: float | None = Field(None, gt=0)
    weight_decay: float = Field(ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    schedule: Literal["one_cycle", "constant", "warm_up_cosine"] = "one_cycle"
    warm_up: float = Field(0.0, ge=0)
    cosine_until: float = Field(0.0, ge=0)
    minimum: float = Field(0.0, ge=0)
    dropout: float | None = Field(None, ge=0, lt=1)
    ema: float = Field(0.0, ge=0, lt=1)
    clip_frames: int = Field(0, ge=0)
    patience: int | None = Field(None, ge=1)
    keep: Literal["last", "best"] = "last"
    pretrain: int = Field(0, ge=0)
    loss: Loss = Loss()

    @model_validator(mode="after")
    def _ordered(self) -> "Fit":
        if self.schedule == "warm_up_cosine" and not self.warm_up < self.cosine_until:
            raise ValueError("warm_up_cosine needs warm_up < cosine_until")
        return self


class Recipe(_Part):
    """One model to be made.

    Attributes:
        makes: "demonstration": a measured model folder of phantoms; "run": a run's folder for `evaluate`.
        grey: "equalised" by the training part's histogram (`train.grey`), or as it is.
    """

    name: str
    version: str
    task: Literal["lung-signs", "uterine-lesions"]
    makes: Literal["demonstration", "run"] = "demonstration"
    head: Literal["softmax", "sigmoid"]
    intended_use: str
    network: dict[str, Any]
    input: Input
    grey: Literal["as_is", "equalised"] = "as_is"
    crop: Crop
    pooling: Pooling
    classes: Annotated[tuple[ClassCard, ...], Field(min_length=2)]
    phantoms: Phantoms
    augment: Augment = Augment()
    fit: Fit

    @property
    def class_ids(self) -> tuple[str, ...]:
        """Class ids in the order of the network's outputs."""
        return tuple(c.id for c in self.classes)

    @property
    def digest(self) -> str:
        """SHA-256 hex over everything."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def read_recipe(name: str) -> Recipe:
    """Read a recipe by the name of its file in `train/recipes`, or by path.

    Raises:
        FileNotFoundError: neither exists; the message lists the recipes there are.
        pydantic.ValidationError: names every wrong field.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.is_file():
        raise FileNotFoundError(
            f"no recipe {name!r}; there are: {', '.join(recipes())}, or give a path to a .toml file"
        )
    return Recipe.model_validate(_told(path))


def recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the project."""
    return tuple(sorted(path.stem for path in RECIPES.glob("*.toml")))


def scaled(recipe: Recipe, *, size: int | None = None, images: int | None = None, epochs: int | None = None) -> Recipe:
    """The recipe for another size of input, number of drawn training pictures, or length.

    A third as many pictures as `images` validate, and as many test. When it ends before the cosine would, warm-up
    and cosine shrink in proportion.

    Raises:
        pydantic.ValidationError: a number is out of its range.
    """
    told = recipe.model_dump()
    if size is not None:
        told["input"]["size"] = size
        told["network"] = registry.at_size(recipe.network, size)
    if images is not None:
        for part, count in (("train", images), ("validation", max(8, images // 3)), ("test", max(8, images // 3))):
            told["phantoms"][part]["count"] = count
    if epochs is not None:
        told["fit"]["epochs"] = epochs
        shrunk = min(1.0, epochs / recipe.fit.cosine_until) if recipe.fit.cosine_until else 1.0
        for name in ("warm_up", "cosine_until"):
            told["fit"][name] *= shrunk
    return Recipe.model_validate(told)


def _told(path: Path) -> dict[str, Any]:
    told = tomllib.loads(path.read_text(encoding="utf-8"))
    base = told.pop("base", None)
    if base is None:
        return told
    below = RECIPES / "base" / f"{base}.toml"
    if not below.is_file() or below == path:
        raise FileNotFoundError(f"{path.name} stands on {base!r}, which is not in {below.parent}")
    return _over(_told(below), told)


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, table by table."""
    merged = dict(below)
    for key, value in above.items():
        old = below.get(key)
        merged[key] = _over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
