"""The votes drawn on the screen, as a PNG for the person who decides about a quarantined object.

Where fewer than two witnesses agree, outside of the published bound and where text was found on the tissue the screen
is shown as a coarse mosaic, since identity stands there; only who asks for the whole screen sees it. What this is not:
the crop; pixels outside the kept shape are in this picture.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.crop.seen import Seen
from dicom_ai.kept import Box, CropOutcome, Mask, Polygon
from dicom_ai.reasons import REASONS

Rgb = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
Language = Literal["en", "zh"]

BLOCK = 16
"""Side of a mosaic block, pixels: a letter of 8 to 20 rows is one or two of them."""

STEP = 32
"""Grey levels are told apart in steps of this in the mosaic: what a block could still say of the glyph under it."""

_YELLOW, _CYAN, _MAGENTA, _GREEN, _RED, _WHITE = (
    (255, 220, 0), (0, 220, 255), (255, 90, 255), (60, 255, 60), (255, 70, 70), (255, 255, 255),
)  # fmt: skip
_DASH, _LINE, _LETTER, _LEAST_WIDTH = 8, 26, 15, 640

_SAY: dict[str, tuple[str, str]] = {
    "region": ("Region, as the object states it", "区域：对象的声明"),
    "doubted": ("stated, not believed", "已声明，不可信"),
    "no_region": ("Region: none stated", "区域：未声明"),
    "support": ("Picture, as the pixels show it: {kind}, confidence {confidence:.2f}",
                "图像：像素所示，{kind}，置信度 {confidence:.2f}"),
    "no_support": ("Picture: none found in the pixels", "图像：像素中未找到"),
    "bound": ("Layout: published bound {name}", "布局：已公布的外界 {name}"),
    "approved": ("Layout: approved entry {name}", "布局：已批准条目 {name}"),
    "no_layout": ("Layout: not in the catalogue", "布局：目录中没有"),
    "kept": ("Kept", "保留区域"),
    "text": ("Text found on the tissue", "组织上发现文字"),
    "mosaic": ("Mosaicked wherever fewer than two witnesses agree", "少于两个证据一致之处已打马赛克"),
    "whole": ("WHOLE SCREEN: shows who the patient is", "完整屏幕：显示患者身份"),
    "sector": ("sector", "扇形"), "trapezoid": ("trapezoid", "梯形"), "rectangle": ("rectangle", "矩形"),
    "free": ("free shape", "自由形状"),
}  # fmt: skip


def picture(seen: Seen, outcome: CropOutcome, *, language: Language, is_whole: bool) -> bytes:
    """Draw the votes.

    Args:
        seen: the screen and the shapes.
        outcome: what the crop decided.
        language: of the legend.
        is_whole: show the whole screen, identity included.

    Returns:
        A PNG, the screen at its own size (at twice that when it is narrow) with a legend below.
    """
    found = tuple(_boxes_in((outcome.votes or {}).get("text")))
    screen = seen.screen.copy() if is_whole else mosaicked(seen.screen, _shown(seen, found))
    scale = 1 if screen.shape[1] >= _LEAST_WIDTH else 2
    screen = np.ascontiguousarray(np.repeat(np.repeat(screen, scale, axis=0), scale, axis=1))
    for polygons, colour, is_dashed, width in _lines(seen, outcome, found):
        for polygon in polygons:
            _outline(screen, polygon, scale, (colour, is_dashed, width))
    lines = _legend(seen, outcome, language, is_whole=is_whole, has_text=bool(found))
    drawn = np.vstack([screen, _band(lines, screen.shape[1])])
    _, encoded = cv2.imencode(".png", drawn[:, :, ::-1])
    return encoded.tobytes()


def mosaicked(screen: Rgb, clear: Mask) -> Rgb:
    """The screen with blocks of `BLOCK` pixels, in steps of `STEP` grey levels, wherever `clear` (H, W) is false."""
    height, width = screen.shape[:2]
    padded = np.pad(screen, ((0, -height % BLOCK), (0, -width % BLOCK), (0, 0)), mode="edge")
    rows, columns = padded.shape[0] // BLOCK, padded.shape[1] // BLOCK
    means = padded.reshape(rows, BLOCK, columns, BLOCK, 3).mean(axis=(1, 3))
    coarse = ((means // STEP) * STEP).astype(np.uint8)
    blocks = np.repeat(np.repeat(coarse, BLOCK, axis=0), BLOCK, axis=1)[:height, :width]
    return np.where(clear[:, :, np.newaxis], screen, blocks).astype(np.uint8)


def _shown(seen: Seen, found: Sequence[Box]) -> Mask:
    clear = seen.witnessed()
    for x0, y0, x1, y1 in found:
        clear[max(0, y0 - 2) : max(0, y1 + 2), max(0, x0 - 2) : max(0, x1 + 2)] = False
    return clear


def _boxes_in(said: Any) -> Iterator[Box]:
    """The boxes (four whole numbers each) that the text check names, wherever they stand in what it said."""
    if isinstance(said, dict):
        for one in said.values():
            yield from _boxes_in(one)
    elif isinstance(said, (list, tuple)):
        if len(said) == 4 and all(type(value) is int for value in said):
            yield said[0], said[1], said[2], said[3]
        else:
            for one in said:
                yield from _boxes_in(one)


def _lines(
    seen: Seen, outcome: CropOutcome, found: Iterable[Box]
) -> Iterator[tuple[Iterable[Polygon], Colour, bool, int]]:
    """Polygons with colour, whether dashed, and width; what matters most is drawn last."""
    if seen.bound is not None:
        yield seen.bound.keep, _MAGENTA, True, 1
    if seen.approved is not None:
        yield seen.approved.keep, _MAGENTA, False, 2
    yield [_corners(box) for box in seen.doubted], _YELLOW, True, 1
    yield [_corners(box) for box in seen.regions], _YELLOW, False, 1
    if seen.support is not None:
        yield seen.support.polygons, _CYAN, False, 2
    yield [_corners(box) for box in found], _RED, False, 1
    yield outcome.keep, _GREEN, False, 2


def _corners(box: Box) -> Polygon:
    x0, y0, x1, y1 = (float(value) for value in box)
    return (x0, y0), (x1 - 1, y0), (x1 - 1, y1 - 1), (x0, y1 - 1)


def _outline(screen: Rgb, polygon: Polygon, scale: int, how: tuple[Colour, bool, int]) -> None:
    colour, is_dashed, width = how
    points = [np.array(point) * scale for point in polygon]
    for begin, end in zip(points, points[1:] + points[:1], strict=True):
        length = float(np.hypot(*(end - begin)))
        parts = np.arange(0.0, length, 2 * _DASH) if is_dashed else np.zeros(1)
        for at in parts:
            stop = min(length, at + _DASH) if is_dashed else length
            ends = (begin + (end - begin) * (value / max(length, 1e-9)) for value in (at, stop))
            first, last = (tuple(round(float(value)) for value in point) for point in ends)
            cv2.line(screen, first, last, colour, width)


def _legend(
    seen: Seen, outcome: CropOutcome, language: Language, *, is_whole: bool, has_text: bool
) -> list[tuple[Colour, bool, str]]:
    """Lines of the legend: colour, whether dashed, words."""

    def say(key: str, **values: Any) -> str:
        return _SAY[key][language == "zh"].format(**values)

    lines = [(_WHITE, False, _verdict(outcome, language))]
    if seen.regions or not seen.doubted:
        lines.append((_YELLOW, False, say("region" if seen.regions else "no_region")))
    if seen.doubted:
        lines.append((_YELLOW, True, f"{say('region')} ({say('doubted')})"))
    if seen.support is not None:
        facts = {"kind": say(seen.support.kind), "confidence": seen.support.confidence}
        lines.append((_CYAN, False, say("support", **facts)))
    else:
        lines.append((_CYAN, False, say("no_support")))
    if seen.bound is not None:
        lines.append((_MAGENTA, True, say("bound", name=seen.bound.name)))
    if seen.approved is not None:
        lines.append((_MAGENTA, False, say("approved", name=seen.approved.name)))
    if seen.bound is None and seen.approved is None:
        lines.append((_MAGENTA, False, say("no_layout")))
    lines += [(_RED, False, say("text"))] if has_text else []
    lines += [(_GREEN, False, say("kept"))] if outcome.keep else []
    return [*lines, (_RED if is_whole else _WHITE, False, say("whole" if is_whole else "mosaic"))]


def _verdict(outcome: CropOutcome, language: Language) -> str:
    reason = REASONS.get(outcome.reason or "")
    if reason is None:
        return outcome.status
    return f"{reason.code}: {reason.meaning_zh if language == 'zh' else reason.meaning}"


def _band(lines: Sequence[tuple[Colour, bool, str]], width: int) -> Rgb:
    """The legend on black, uint8 (h, width, 3)."""
    font = cv2.FontFace("uni")  # inside OpenCV; it has Chinese
    rows = [(colour, is_dashed, part) for colour, is_dashed, text in lines for part in _folded(text, font, width - 60)]
    band = np.zeros((_LINE * len(rows) + 12, width, 3), np.uint8)
    for number, (colour, is_dashed, text) in enumerate(rows):
        y = 6 + _LINE * number
        for x in range(12, 42, 2 * _DASH if is_dashed else 30) if colour != _WHITE else ():
            cv2.line(band, (x, y + 14), (min(42, x + (_DASH if is_dashed else 30)), y + 14), colour, 3)
        cv2.putText(band, text, (52, y + 19), _WHITE, font, _LETTER, 400)
    return band


def _folded(text: str, font: Any, width: int) -> list[str]:
    """The text in pieces that fit: at spaces where it has some, else between two signs (Chinese)."""
    lines = [""]
    for word in text.split(" ") if " " in text else list(text):
        joined = f"{lines[-1]} {word}".strip() if " " in text else lines[-1] + word
        if lines[-1] and _width_of(joined, font) > width:
            lines.append(word)
        else:
            lines[-1] = joined
    return lines


def _width_of(text: str, font: Any) -> int:
    (_, _, wide, _) = cv2.getTextSize((1 << 14, 1 << 14), text, (0, 0), font, _LETTER, 400)
    return int(wide)
