"""The layout catalogue: which part of a known screen may hold the picture, by maker, model, software and frame size.

The second witness. An entry is a keep polygon, never a list of boxes to scrub, so that what nobody thought of is cut.
Entries come from published facts (an outer bound) or from people who approved a screen (a witness of its own). What
this is not: the table in which approvals are kept; they are handed in.
"""

from dataclasses import dataclass
from typing import Any, Literal, Self

from pydicom.dataset import Dataset

from dicom_ai.kept import Polygon

Status = Literal["published", "approved"]


@dataclass(frozen=True)
class Layout:
    """One known screen.

    Attributes:
        name: of the entry, shown in votes; no identity.
        manufacturer, model: as (0008,0070) and (0008,1090) say, compared without case and outer spaces.
        software: one of SoftwareVersions (0018,1020); None stands for every version.
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


def layout_of(ds: Dataset, approved: tuple[Layout, ...]) -> Layout | None:
    """The entry for the device and frame size of a data set; an approved one before a published one.

    Args:
        ds: a header; pixels are not needed.
        approved: entries by people, the latest first.
    """
    for layout in approved:
        if (ds.get("Rows"), ds.get("Columns")) != (layout.rows, layout.columns):
            continue
        if all(_same(ds.get(k), v) for k, v in (("Manufacturer", layout.manufacturer),
                                                ("ManufacturerModelName", layout.model))):  # fmt: skip
            return layout
    return None


def _same(stated: Any, known: str) -> bool:
    return str(stated or "").strip().casefold() == known.strip().casefold()
