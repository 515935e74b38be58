"""Turns a seed into a screen nobody has seen: frame size, region box, picture box and everything burned in around it.

Meant for measuring: a cropper that was made with `layouts.toml` before its eyes is asked about these. Nothing here may
be tuned to what a cropper finds easy. What this is not: any maker's screen; names and words are invented.
"""

from dataclasses import dataclass

import numpy as np

from dicom_ai.simulate.device import Device, Encoding
from dicom_ai.simulate.screen import Layout

FRAME_SIZES = (
    (600, 800), (640, 852), (720, 960), (720, 1280), (768, 1024), (802, 1054), (852, 1136), (873, 1164), (910, 1260),
    (960, 1280), (965, 1660), (1024, 1280), (1050, 1400), (1080, 1440), (1080, 1920),
)  # fmt: skip
"""Rows and columns; some are moved off by a few, so that no size is known by heart."""

_LOGOS = ("ECHOVIS", "Sonalux", "PANORA 7", "WAVE-ONE", "uScan", "HELIA Q")
_SETTINGS = ("{frequency} MHz", "G {gain}", "DR {range}", "FR {rate}", "D {depth}", "{probe}", "THI", "Map 3", "P 96 %",
             "Persist 2", "2D", "Gen", "AO 100", "SRI 3", "CH {frequency}", "XBeam", "Res / Hi")  # fmt: skip
_LINES = ("{hospital}", "{name}", "ID {id}", "{birth}  {sex}", "{date} {time}", "MI {mi}  TIs {tis}", "{exam}",
          "{probe}", "{operator}", "{name}  {id}")  # fmt: skip


@dataclass(frozen=True)
class _Room:
    """The parts of a screen: x0, y0, x1, y1, half open."""

    rows: int
    columns: int
    region: tuple[int, int, int, int]
    picture: tuple[int, int, int, int]
    scale: float


def drawn_layout(rng: np.random.Generator, name: str) -> Layout:
    """Draw a screen.

    Args:
        rng: decides everything.
        name: of the layout.

    Returns:
        A layout whose picture box lies inside its region, is at least 300 x 300 pixels, and whose region covers less
        than 0.93 of the frame.
    """
    room = _rooms(rng)
    x0, y0, x1, y1 = room.picture
    overflow = int(rng.random() < 0.15)  # some makers write the exclusive maximum
    texts = [*_header(rng, room), *_column(rng, room), *_inside(rng, room), *_footer(rng, room)]
    return Layout(
        name=name,
        rows=room.rows,
        columns=room.columns,
        region=(room.region[0], room.region[1], room.region[2] - 1 + overflow, room.region[3] - 1 + overflow),
        picture=(x0, y0, x1 - x0, y1 - y0),
        drop=(10, round(room.rows * float(rng.uniform(0.15, 0.4)))),
        bar=_bar(rng, room),
        ticks=_ticks(rng, room),
        body_mark=_body_mark(rng, room),
        text=tuple(texts),
        boxes=_panels(rng, room),
        rings=_rings(rng, room),
    )


def drawn_device(rng: np.random.Generator, layout: Layout) -> Device:
    """A device nobody has catalogued that draws `layout` for stills and clips alike."""
    number = int(rng.integers(100, 1000))
    still: Encoding = str(rng.choice(["raw", "jpeg", "jpeg-lossless", "rle-ybr"]))  # type: ignore[assignment]
    clip: Encoding = str(rng.choice(["raw", "jpeg"]))  # type: ignore[assignment]
    return Device(
        name=layout.name, still=layout.name, clip=layout.name, manufacturer="EXAMPLE MEDICAL SYSTEMS",
        model=f"UNSEEN {number}", software=f"{number}.1", station=f"UNSEEN-{number}", implementation="UNSEEN_SIM",
        ae_title="UNSEEN", encoding=still, clip_encoding=clip, probes={"lung": "C6-1", "uterus": "EV9-4"},
        image_type=("ORIGINAL", "PRIMARY", "", "0001"), colour=bool(rng.random() < 0.5),
        burned_in=str(rng.choice(["", "YES", "NO"])), region_extras=bool(rng.random() < 0.7),
    )  # fmt: skip


def _rooms(rng: np.random.Generator) -> _Room:
    rows, columns = FRAME_SIZES[int(rng.integers(len(FRAME_SIZES)))]
    rows, columns = rows + int(rng.integers(-6, 7)), columns + int(rng.integers(-8, 9))
    columns -= columns % 2  # the encoder of JPEG Lossless refuses a frame of an odd number of bytes
    head, foot = rng.uniform(0.045, 0.13), rng.choice([0.0, rng.uniform(0.01, 0.1)])
    left, right = (
        rng.choice([0.0, rng.uniform(0.02, 0.14)]),
        rng.choice([rng.uniform(0.03, 0.08), rng.uniform(0.08, 0.2)]),
    )
    region = (round(left * columns), round(head * rows), round((1 - right) * columns), round((1 - foot) * rows))
    wide, high = region[2] - region[0], region[3] - region[1]
    around = rng.uniform(0.02, 0.12, 2) * wide  # room for bar and depth scale
    above, below = rng.uniform(0.015, 0.07) * high, rng.uniform(0.03, 0.16) * high
    picture = (
        region[0] + round(around[0]), region[1] + round(above), region[2] - round(around[1]), region[3] - round(below),
    )  # fmt: skip
    wanted = (picture[3] - picture[1]) * rng.uniform(1.0, 1.9)  # a wide screen has a picture no wider than this
    spare = max(0, round(picture[2] - picture[0] - wanted))
    shift = round(spare * rng.uniform(0.3, 0.7))
    picture = (picture[0] + shift, picture[1], picture[2] - (spare - shift), picture[3])
    return _Room(rows, columns, region, picture, float(rows / 800 * rng.uniform(0.85, 1.15)))


def _grey(rng: np.random.Generator) -> int:
    return int(rng.integers(150, 246))


def _header(rng: np.random.Generator, room: _Room) -> list[tuple[int, int, str, float, int]]:
    """Lines above the region, in two or three columns; the last may be cut by the region's first row."""
    lines = list(rng.permutation(_LINES))
    pitch = round(24 * room.scale)
    columns = sorted(int(x) for x in rng.choice(np.arange(6, room.columns - 200, 40), 3, replace=False))
    ys = range(round(18 * room.scale), room.region[1] + round(4 * room.scale), pitch)
    places = [(x, y) for x in columns for y in ys]
    return [(x, y, str(line), 0.5 * room.scale, _grey(rng)) for (x, y), line in zip(places, lines, strict=False)]


def _column(rng: np.random.Generator, room: _Room) -> list[tuple[int, int, str, float, int]]:
    """Settings beside the picture, left or right of it, inside the region or beyond."""
    pitch, scale = round(22 * room.scale), 0.42 * room.scale
    right, left = room.picture[2] + 12, 6
    x = right if room.columns - right >= (room.picture[0] if rng.random() < 0.8 else 10_000) else left
    first = room.region[1] + round(rng.uniform(0.02, 0.3) * room.rows)
    words = rng.permutation(_SETTINGS)[: int(rng.integers(4, 12))]
    return [(x + 26, first + pitch * k, str(word), scale, _grey(rng)) for k, word in enumerate(words)]


def _inside(rng: np.random.Generator, room: _Room) -> list[tuple[int, int, str, float, int]]:
    """What stands inside the region box: the maker's logo, a caption, now and then a table of measurements."""
    x0, y0, _, y1 = room.region
    found = [(x0 + 4, y0 + round(18 * room.scale), str(rng.choice(_LOGOS)), 0.5 * room.scale, _grey(rng))]
    middle = round((room.picture[0] + room.picture[2]) / 2 - 40)
    found.append((middle + int(rng.integers(-60, 61)), y1 - 6, "{caption}", 0.55 * room.scale, _grey(rng)))
    if rng.random() < 0.4:
        y = y1 - round(60 * room.scale)
        x = x0 + 6 if rng.random() < 0.5 else room.picture[2] - 60
        found += [(x, y, "1 L 2.31 cm", 0.42 * room.scale, 225), (x, y + 20, "2 L 0.87 cm", 0.42 * room.scale, 225)]
    if rng.random() < 0.3:
        found.append((room.picture[2] - 30, y0 + round(16 * room.scale), "MI {mi}", 0.42 * room.scale, _grey(rng)))
    return found


def _footer(rng: np.random.Generator, room: _Room) -> list[tuple[int, int, str, float, int]]:
    if room.rows - room.region[3] < 14 * room.scale:
        return []
    words = str(rng.choice(["1/1", "Freeze  Print  Store", "Measure   Body Mark   Text", "{operator}"]))
    return [(int(rng.integers(6, 120)), room.rows - 4, words, 0.42 * room.scale, _grey(rng))]


def _bar(rng: np.random.Generator, room: _Room) -> tuple[int, int, int, int]:
    wide, high = int(rng.integers(8, 18)), round(room.rows * float(rng.uniform(0.2, 0.45)))
    x = room.region[0] + 2 if rng.random() < 0.5 else room.region[2] - wide - 2
    return x, room.region[1] + round(rng.uniform(0.05, 0.25) * room.rows), wide, high


def _ticks(rng: np.random.Generator, room: _Room) -> dict[str, float]:
    is_left = rng.random() < 0.4
    gap = int(rng.integers(4, 30))
    x = max(8, room.picture[0] - gap) if is_left else min(room.columns - 30, room.picture[2] + gap)
    return {"x": x, "number_x": x + 6, "every_cm": 1, "number_every": int(rng.choice([1, 2, 5]))}


def _body_mark(rng: np.random.Generator, room: _Room) -> tuple[int, int, int]:
    size = int(rng.integers(28, 56))
    x = room.region[0] + size if rng.random() < 0.5 else room.region[2] - size
    return x, room.region[3] - size, size


def _panels(rng: np.random.Generator, room: _Room) -> tuple[tuple[int, int, int, int, int], ...]:
    panels = []
    if rng.random() < 0.5:
        panels.append((0, 0, room.columns - 1, room.region[1] - int(rng.integers(1, 8)), int(rng.integers(12, 60))))
    if rng.random() < 0.4 and room.columns - room.region[2] > 40:
        panels.append((room.region[2] + 4, room.region[1], room.columns - 1, room.rows - 1, int(rng.integers(8, 40))))
    if rng.random() < 0.4 and room.rows - room.region[3] > 16:
        panels.append((0, room.region[3] + 1, room.columns - 1, room.rows - 1, int(rng.integers(12, 60))))
    return tuple(panels)


def _rings(rng: np.random.Generator, room: _Room) -> tuple[tuple[int, int, int], ...]:
    if rng.random() < 0.4:
        return ()
    radius = int(rng.integers(6, 11))
    return ((room.picture[0] + radius + int(rng.integers(0, 60)), room.picture[1] - radius - 2, radius),)
