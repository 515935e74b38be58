"""Recipe: everything a training run needs to know, read from one TOML file; the card repeats what serving needs.

What this is not: settings of a machine. Folders, workers and the device are arguments of the command.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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
    bad: dict[str, float]
    erode_px: int = Field(6, ge=0)
    train: Split
    validation: Split
    test: Split

    @property
    def count(self) -> int:
        """Pictures of all splits."""
        return self.train.count + self.validation.count + self.test.count


class Loss(_Part):
    """Weights of the parts of the loss, and how often a positive is shown with its sign blanked."""

    assessability: float = Field(0.5, ge=0)
    map: float = Field(0.1, ge=0)
    blanked: float = Field(0.15, ge=0, le=1)


class Fit(_Part):
    """The optimiser: AdamW under a one-cycle schedule."""

    epochs: int = Field(ge=1)
    batch: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    loss: Loss = Loss()


class Recipe(_Part):
    """One model to be made."""

    name: str
    version: str
    task: Literal["lung-signs", "uterine-lesions"]
    head: Literal["softmax", "sigmoid"]
    intended_use: str
    network: dict[str, Any]
    input: Input
    crop: Crop
    pooling: Pooling
    classes: Annotated[tuple[ClassCard, ...], Field(min_length=2)]
    phantoms: Phantoms
    fit: Fit

    @property
    def class_ids(self) -> tuple[str, ...]:
        """Class ids in the order of the network's outputs."""
        return tuple(c.id for c in self.classes)


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
    return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))


def recipes() -> tuple[str, ...]:
    """Names of the recipes that come with the project."""
    return tuple(sorted(path.stem for path in RECIPES.glob("*.toml")))
