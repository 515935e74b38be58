"""A seed and a picture to the same picture with text and marks on it, and where what stands: examples to learn from.

Text is what names or numbers; marks (calipers, dotted lines, ticks, pointers, guides, boxes around colour) are not.
What this is not: the painter that the crop is measured with (`dicom_ai.simulate.painting`), so that none of its
habits is learned.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from dicom_ai.simulate.lettering import Face, letters
from train.coding import filmed
from train.marking import mark

Grey = npt.NDArray[np.uint8]

TEXT, UNSURE = 255, 128
"""Values of the truth: text by the rule, and what is too faint or too small to be asked for."""

_LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_DIGITS = "0123456789012345678901234567890./-:"
_HAN = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高医院姓名住号年月日男女患者超声检查科室龄左右肺子宫"
_ALL_HAN = 0x4E00, 0x9FA5  # first and last of the CJK Unified Ideographs that every face with Chinese letters has
_HERSHEY = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX)


@dataclass(frozen=True)
class Example:
    """A picture and what stands where: `truth` uint8 of the same size, TEXT, UNSURE or 0."""

    picture: Grey
    truth: Grey


def written(picture: Grey, rng: np.random.Generator, *, lines: int, marks: int, video: float = 0.0) -> Example:
    """Write lines of text and draw marks, then compress now and then.

    Args:
        picture: uint8 (H, W); not changed.
        rng: decides everything.
        lines: of text, at most so many.
        marks: likewise.
        video: share of the pictures that are a frame of a coded clip, 0 to 1.
    """
    out, truth = picture.astype(np.float32), np.zeros_like(picture)
    taken = np.zeros_like(picture)
    for _ in range(marks):
        ink = mark(rng, picture.shape)
        if not (taken[ink > 0]).any():
            _burn(out, ink, (0, 0), _level(rng, out, ink, (0, 0)))
            taken[cv2.dilate(ink, np.ones((9, 9), np.uint8)) > 0] = 1
    for _ in range(lines):
        line = _ink(rng)
        if line is not None and line.shape[0] < picture.shape[0] - 2 and line.shape[1] < picture.shape[1] - 2:
            _write(out, truth, taken, line, rng)
    shown = np.clip(np.rint(out), 0, 255).astype(np.uint8)
    if rng.random() < 0.15:  # sent by a router, or grabbed, at another size: soft letters
        shown, truth = _softened(shown, truth, float(rng.uniform(0.75, 1.5)))
    if rng.random() < video:
        shown = filmed(shown, rng)
    elif rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(70, 97))]
        coded = cv2.imencode(".jpg", shown, quality)[1]
        shown = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)
    return Example(shown, truth)


def _softened(picture: Grey, truth: Grey, by: float) -> tuple[Grey, Grey]:
    """Both at another size, cut or framed to the old one."""
    rows, columns = picture.shape
    ways = ((picture, cv2.INTER_LINEAR if by > 1 else cv2.INTER_AREA), (truth, cv2.INTER_NEAREST))
    made = [np.asarray(cv2.resize(one, None, fx=by, fy=by, interpolation=way), np.uint8) for one, way in ways]
    if by < 1:
        made = [np.pad(one, ((0, rows - one.shape[0]), (0, columns - one.shape[1])), mode="reflect") for one in made]
    return made[0][:rows, :columns].copy(), made[1][:rows, :columns].copy()


def _write(out: npt.NDArray[np.float32], truth: Grey, taken: Grey, ink: Grey, rng: np.random.Generator) -> None:
    h, w = ink.shape
    y, x = int(rng.integers(out.shape[0] - h)), int(rng.integers(out.shape[1] - w))
    if taken[y : y + h, x : x + w].any():
        return
    part = out[y : y + h, x : x + w]
    reach = 4
    around = out[max(0, y - reach) : y + h + reach, max(0, x - reach) : x + w + reach]
    deviation = max(1.0, float(around.std()))
    level = _level(rng, out, ink, (x, y), deviation)
    backing = rng.random()
    if backing < 0.08:
        out[max(0, y - 2) : y + h + 2, max(0, x - 3) : x + w + 3] = 0
    elif backing < 0.2:
        part[cv2.dilate(ink, np.ones((5, 5), np.uint8)) > 127] = 0
    clear = _legible(out[y : y + h, x : x + w], ink, level)
    _burn(out, ink, (x, y), level)
    body = cv2.morphologyEx(np.pad(ink, 16), cv2.MORPH_CLOSE, np.ones((min(31, h), min(31, h)), np.uint8))[
        16:-16, 16:-16
    ]
    truth[y : y + h, x : x + w][body > 60] = np.where(clear, TEXT, UNSURE)[body > 60]
    taken[y : y + h, x : x + w] = 1


def _legible(part: npt.NDArray[np.float32], ink: Grey, level: float) -> npt.NDArray[np.bool_]:
    """Where a line can be read by the rule, a letter's width at a time: a line may run from dark tissue into bright."""
    h, w = ink.shape
    clear = np.zeros((h, w), np.bool_)
    for left in range(0, w, h):
        here = np.s_[:, left : left + h]
        ground = part[here][ink[here] < 128]
        if h >= 9 and ground.size:
            contrast = abs(level - float(ground.mean()))
            clear[here] = contrast >= 24 or contrast >= max(7.0, float(ground.std()))
    return clear


def _burn(out: npt.NDArray[np.float32], ink: Grey, at: tuple[int, int], level: float) -> None:
    part = out[at[1] : at[1] + ink.shape[0], at[0] : at[0] + ink.shape[1]]
    part += ink.astype(np.float32) / 255 * (np.float32(level) - part)


def _level(rng: np.random.Generator, out: npt.NDArray[np.float32], ink: Grey, at: tuple[int, int],
           deviation: float = 25.0) -> float:  # fmt: skip
    part = out[at[1] : at[1] + ink.shape[0], at[0] : at[0] + ink.shape[1]]
    mean = float(part[ink > 60].mean())
    way = rng.random()
    if way < 0.4:
        return float(rng.choice([255, 255, 235, 225, 215, 200, 180, 150]))
    if way < 0.48:
        return 0.0
    # as faint as a letter may be and still be asked for, more often than that it is clear
    by = max(7.0, rng.choice([25.0, deviation, max(25.0, deviation)])) * (0.8 + rng.exponential(0.5))
    return float(mean - by) if mean + by > 255 or (rng.random() < 0.12 and mean > by) else float(mean + by)


def _words(rng: np.random.Generator) -> tuple[str, bool]:
    way = rng.random()
    if way < 0.32:
        count = int(rng.integers(1, 7))
        usual = "".join(rng.choice(list(_HAN), count))
        text = usual if rng.random() < 0.4 else "".join(chr(int(rng.integers(*_ALL_HAN))) for _ in range(count))
        return text + ("".join(rng.choice(list(_DIGITS), 5)) if rng.random() < 0.2 else ""), True
    letters_ = _DIGITS if way < 0.58 else _LATIN[:26] if way < 0.75 else _LATIN
    text = "".join(rng.choice(list(letters_), int(rng.choice([1, 2, 2, 3, 4, 6, 8, 12]))))
    return text[: len(text) // 2] + (" " if rng.random() < 0.3 else "") + text[len(text) // 2 :], False


def _ink(rng: np.random.Generator) -> Grey | None:
    """Coverage of one line, uint8, tight."""
    text, is_han = _words(rng)
    height = round(8 * 5 ** float(rng.beta(1, 2.0)))
    if is_han or rng.random() < 0.6:
        family = "uni" if is_han else str(rng.choice(["sans", "sans", "italic", "uni", "pillow", "bitmap"]))
        face = Face(family, int(rng.choice([200, 300, 400, 500, 700])), bool(rng.random() < 0.7))  # type: ignore[arg-type]
        return _joined(text, face, height)
    font, scale = _HERSHEY[int(rng.integers(4))], 1.0
    (_, tall), _ = cv2.getTextSize(text, font, 1.0, 1)
    scale = height / max(1, tall)
    thick = int(rng.choice([1, 1, 1, 2])) if height < 16 else int(rng.integers(1, 4))
    (wide, tall), under = cv2.getTextSize(text, font, scale, thick)
    canvas = np.zeros((tall + under + 12, wide + 12), np.uint8)
    smooth = cv2.LINE_AA if rng.random() < 0.75 else cv2.LINE_8
    cv2.putText(canvas, text, (5, tall + 5), font, scale, (255,), thick, smooth)
    return _tight(canvas)


def _joined(text: str, face: Face, height: int) -> Grey | None:
    line = letters(text, face, height)
    if not line:
        return None
    rows = max(one.at[1] + one.coverage.shape[0] for one in line)
    ink = np.zeros((rows, max(one.at[0] + one.coverage.shape[1] for one in line)), np.uint8)
    for one in line:
        (x, y), (h, w) = one.at, one.coverage.shape
        ink[y : y + h, x : x + w] = np.maximum(ink[y : y + h, x : x + w], one.coverage)
    return ink


def _tight(canvas: Grey) -> Grey | None:
    ys, xs = np.nonzero(canvas.any(axis=1))[0], np.nonzero(canvas.any(axis=0))[0]
    return canvas[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1] if ys.size else None
