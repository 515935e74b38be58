"""Turns a phantom and a header into the full screen of a scanner, burned-in text and all.

Layouts are data (`layouts.toml`). What this is not: a DICOM object, and not a place for real patients.
"""

import tomllib
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any

import cv2
import numpy as np

from dicom_ai.simulate.geometry import Grey, Mask, Sector
from dicom_ai.simulate.phantom import Phantom

InclusiveBox = tuple[int, int, int, int]
"""x0, y0, x1, y1 in full-frame pixels, all inclusive, as in Sequence of Ultrasound Regions."""

TEXT_TINT = (1.0, 0.95, 0.55)  # of an RGB screen: pale yellow, so that text is not grey as tissue is


@dataclass(frozen=True)
class Header:
    """What the scanner burns in. All invented; ASCII, because the scanner's font has nothing else."""

    name: str = "PHANTOM^ONE"
    id: str = "000000"
    birth: str = "01/01/1970"
    sex: str = "O"
    date: str = "01/01/2024"
    time: str = "12:00:00"
    hospital: str = "Example Hospital"
    operator: str = "abc"
    exam: str = "Abdomen"
    probe: str = "C1-6-D"
    caption: str = ""
    mi: str = "1.1"
    tis: str = "0.6"
    frequency: str = "4.0"
    gain: str = "54"
    depth: str = "10"
    range: str = "69"
    rate: str = "31"


@dataclass(frozen=True)
class Layout:
    """One screen: see `layouts.toml`."""

    name: str
    rows: int
    columns: int
    region: InclusiveBox
    picture: tuple[int, int, int, int]
    drop: tuple[int, int]
    bar: tuple[int, int, int, int]
    ticks: dict[str, float]
    body_mark: tuple[int, int, int]
    text: tuple[tuple[int, int, str, float, int], ...]
    boxes: tuple[tuple[int, int, int, int, int], ...] = ()
    rings: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True)
class Screen:
    """Frames as the scanner stores them.

    Attributes:
        frames: uint8 (T, rows, columns), or (T, rows, columns, 3) RGB.
        region: what the scanner states, inclusive.
        sector_offset: (x, y) of the phantom's pixel (0, 0) in the frame.
        sector: in full-frame pixels. sector_mask: bool (rows, columns).
        signs: class id -> bool (rows, columns).
        twin: as `frames` without the signs; None when the phantom has none.
        furniture: bool (rows, columns), where text, bar, ticks and marks are.
    """

    frames: Grey
    region: InclusiveBox
    sector_offset: tuple[int, int]
    sector: Sector
    sector_mask: Mask
    signs: dict[str, Mask]
    furniture: Mask
    twin: Grey | None = field(default=None, repr=False)


@lru_cache(maxsize=1)
def layouts() -> dict[str, Layout]:
    """Every layout by name."""
    text = files("dicom_ai.simulate").joinpath("layouts.toml").read_text(encoding="utf-8")
    return {name: _layout(name, entry) for name, entry in tomllib.loads(text).items()}


def sector_size(layout_name: str) -> tuple[int, int]:
    """Size (h, w) a phantom must have to fit the layout."""
    _, _, w, h = layouts()[layout_name].picture
    return h, w


def screen(phantom: Phantom, wanted: str | Layout, header: Header, *, rgb: bool = False) -> Screen:
    """Compose the screen.

    Args:
        phantom: of the size of the layout's picture box.
        wanted: a layout, or a name of `layouts()`.
        header: what is burned in.
        rgb: whether the frames are RGB with tinted text.

    Raises:
        ValueError: the phantom has another size.
    """
    layout = layouts()[wanted] if isinstance(wanted, str) else wanted
    size = layout.picture[3], layout.picture[2]
    if phantom.sector_mask.shape != size:
        raise ValueError(f"layout {layout.name} needs a phantom of {size} pixels")
    x, y = layout.picture[0], layout.picture[1] + _lowered(phantom, layout)
    sector = replace(phantom.sector, apex=(phantom.sector.apex[0] + x, phantom.sector.apex[1] + y))
    furniture = _furniture(layout, header, sector)
    inside = _placed(phantom.sector_mask, layout, (x, y)) > 0

    def composed(frames: Grey) -> Grey:
        grey = np.stack([np.where(inside, _placed(frame, layout, (x, y)), furniture) for frame in frames])
        return _tinted(grey, inside) if rgb else grey

    return Screen(
        frames=composed(phantom.frames),
        region=layout.region,
        sector_offset=(x, y),
        sector=sector,
        sector_mask=inside,
        signs={name: _placed(mask, layout, (x, y)) > 0 for name, mask in phantom.signs.items()},
        furniture=(furniture > 0) & ~inside,
        twin=None if phantom.twin is None else composed(phantom.twin),
    )


def _layout(name: str, entry: dict[str, Any]) -> Layout:
    boxes: dict[str, Any] = {key: tuple(entry[key]) for key in ("region", "picture", "drop", "bar", "body_mark")}
    text = tuple(tuple(line) for line in entry["text"])
    boxes |= {key: tuple(tuple(one) for one in entry.get(key, ())) for key in ("boxes", "rings")}
    return Layout(name, entry["rows"], entry["columns"], ticks=entry["ticks"], text=text, **boxes)


def _lowered(phantom: Phantom, layout: Layout) -> int:
    """Rows by which a flat sector is moved down so that it ends where this scanner's pictures end."""
    lowest = int(np.flatnonzero(phantom.sector_mask.any(axis=1))[-1]) + layout.picture[1]
    return max(0, layout.region[3] - layout.drop[1] - lowest)


def _placed(plane: Grey | Mask, layout: Layout, at: tuple[int, int]) -> Grey:
    """`plane` at (x, y) of an empty screen; rows that fall off the picture hold no pixel of the sector."""
    frame = np.zeros((layout.rows, layout.columns), np.uint8)
    part = plane[: layout.rows - at[1], : layout.columns - at[0]]
    frame[at[1] : at[1] + part.shape[0], at[0] : at[0] + part.shape[1]] = part
    return frame


def _tinted(grey: Grey, inside: Mask) -> Grey:
    tint = np.where(inside[..., None], np.ones(3, np.float32), np.array(TEXT_TINT, np.float32))
    return (grey[..., None] * tint).astype(np.uint8)


def _furniture(layout: Layout, header: Header, sector: Sector) -> Grey:
    frame = np.zeros((layout.rows, layout.columns), np.uint8)
    for x0, y0, x1, y1, level in layout.boxes:
        frame[y0 : y1 + 1, x0 : x1 + 1] = level
    for x, y, radius in layout.rings:
        cv2.circle(frame, (x, y), radius, 190, 1, cv2.LINE_AA)
    fields = asdict(header) | {"depth": f"{sector.depth_cm:.1f}"}
    for x, y, what, scale, level in layout.text:
        _write(frame, what.format(**fields), (x, y), scale, level)
    x, y, w, h = layout.bar
    frame[y : y + h, x : x + w] = np.linspace(255, 8, h, dtype=np.uint8)[:, None]
    _scale(frame, layout, sector)
    _body_mark(frame, layout.body_mark)
    return frame


def _write(frame: Grey, text: str, at: tuple[int, int], scale: float, level: int) -> None:
    cv2.putText(frame, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, level, 1, cv2.LINE_AA)


def _scale(frame: Grey, layout: Layout, sector: Sector) -> None:
    top, px_per_cm = sector.apex[1] + sector.r0, 1 / sector.cm_per_px
    x, number_x = int(layout.ticks["x"]), int(layout.ticks["number_x"])
    for cm in range(0, int(sector.depth_cm) + 1, int(layout.ticks["every_cm"])):
        y = round(top + cm * px_per_cm)
        long = cm % int(layout.ticks["number_every"]) == 0
        cv2.line(frame, (x - (6 if long else 3), y), (x, y), 200, 1)
        if long and cm:
            _write(frame, str(cm), (number_x, y + 4), 0.36, 200)


def _body_mark(frame: Grey, mark: tuple[int, int, int]) -> None:
    x, y, size = mark
    cv2.ellipse(frame, (x, y), (size // 2, size // 3), 0, 0, 360, 170, 1, cv2.LINE_AA)
    cv2.line(frame, (x - size // 2, y + size // 2), (x + size // 2, y + size // 2), 170, 1, cv2.LINE_AA)
    cv2.line(frame, (x + size // 6, y - size // 6), (x + size // 3, y - size // 3), 240, 2, cv2.LINE_AA)
