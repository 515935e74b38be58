"""The layout catalogue: which part of a known screen may hold the picture, by maker, model, software and frame size.

The second witness. An entry is a keep polygon, never a list of boxes to scrub, so that what nobody thought of is cut.
Entries come from published facts (`layouts.toml`: an outer bound) or from people who approved a screen (a witness of
its own). What this is not: the table in which approvals are kept; they are handed in.

How a data set is compared with an entry: rows and columns are equal; texts are compared without case, with spaces
and NUL padding at the ends taken off and runs of spaces inside taken as one. An approved entry asks for the whole
Manufacturer and ManufacturerModelName; of a published one the words of `manufacturer` must all stand in the stated
one. A data set that names neither maker nor model has no entry: there is nothing to hold on to.
"""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, Self

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicom_ai.kept import Polygon

Status = Literal["published", "approved"]


@dataclass(frozen=True)
class Layout:
    """One known screen.

    Attributes:
        name: of the entry, shown in votes; no identity.
        manufacturer, model: as (0008,0070) and (0008,1090) say; see the module for how they are compared.
        software: one of SoftwareVersions (0018,1020), or several joined by a backslash that must all be among them;
            None stands for every version.
        rows, columns: of the frame.
        keep: polygons in full-frame pixels outside of which no picture is ever drawn.
        status: "published" bounds only; "approved" was looked at by people and is a witness of its own.
    """

    name: str
    manufacturer: str
    model: str
    software: str | None
    rows: int
    columns: int
    keep: tuple[Polygon, ...]
    status: Status

    def row(self) -> dict[str, Any]:
        """The entry as JSON."""
        return self.__dict__ | {"keep": [[list(point) for point in polygon] for polygon in self.keep]}

    @classmethod
    def of(cls, row: dict[str, Any]) -> Self:
        """Read back what `row` wrote."""
        keep = tuple(tuple((float(x), float(y)) for x, y in polygon) for polygon in row["keep"])
        return cls(**(row | {"keep": keep}))

    def is_for(self, ds: Dataset) -> bool:
        """Whether the entry is for the device, software and frame size of a data set (a header without pixels)."""
        if (ds.get("Rows"), ds.get("Columns")) != (self.rows, self.columns):
            return False
        maker, model = _plain(_text(ds, "Manufacturer")), _plain(_text(ds, "ManufacturerModelName"))
        if not (maker or model) or model != _plain(self.model):
            return False
        if self.status == "published":
            return set(_plain(self.manufacturer).split()) <= set(maker.split())
        return maker == _plain(self.manufacturer) and self._is_of_software(ds)

    def _is_of_software(self, ds: Dataset) -> bool:
        return self.software is None or _versions(self.software) <= _versions(software_of(ds) or "")


def software_of(ds: Dataset) -> str | None:
    """SoftwareVersions as a data set states them, several joined by a backslash; None when it states none."""
    return _text(ds, "SoftwareVersions").strip(" \0") or None


def layouts_of(ds: Dataset, approved: Iterable[Layout]) -> tuple[Layout, ...]:
    """The entries for the device and frame size of a data set: those people approved, else the published one.

    A device draws its picture in several shapes, so several approved entries may stand side by side, each good for
    the screens that agree with it; one that is wrong is withdrawn.

    Args:
        ds: a header; pixels are not needed.
        approved: entries by people, the latest first, and so they are returned.
    """
    mine = tuple(layout for layout in approved if layout.is_for(ds))
    return mine or tuple(layout for layout in published() if layout.is_for(ds))[:1]


def layout_of(ds: Dataset, approved: Iterable[Layout]) -> Layout | None:
    """The first entry of `layouts_of`; None when there is none."""
    return next(iter(layouts_of(ds, approved)), None)


@cache
def published() -> tuple[Layout, ...]:
    """The entries that are shipped, from published facts."""
    text = files("dicom_ai.crop").joinpath("layouts.toml").read_text(encoding="utf-8")
    return tuple(
        _shipped(device["maker"], model, *frame)
        for device in tomllib.loads(text)["device"]
        for model in device["models"]
        for frame in device["frames"]
    )


def _shipped(maker: str, model: str, rows: int, columns: int, box: list[int]) -> Layout:
    x0, y0, x1, y1 = (float(value) for value in box)
    keep = (((x0, y0), (x1, y0), (x1, y1), (x0, y1)),)
    return Layout(f"{maker} {model} {columns}x{rows}", maker, model, None, rows, columns, keep, "published")


def _versions(text: str) -> set[str]:
    return {_plain(part) for part in text.split("\\")} - {""}


def _plain(text: str) -> str:
    """Without case, padding and repeated spaces."""
    return " ".join(text.replace("\0", " ").split()).casefold()


def _text(ds: Dataset, keyword: str) -> str:
    try:
        value = ds.get(keyword)
    except (ValueError, TypeError, NotImplementedError):
        return ""  # pydicom converts on access; a value it cannot convert names no device
    if isinstance(value, (MultiValue, list)):
        return "\\".join(str(part) for part in value)
    return str(value if value is not None else "")
