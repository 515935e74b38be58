"""Turns a seed into a line of text that names a patient who does not exist: a name, an ID, a date, in several forms.

Names are put together from syllables. What this is not: a patient of the simulator; see `patients`.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import numpy as np

Kind = Literal["name", "id", "date"]
KINDS: tuple[Kind, ...] = ("name", "id", "date")

_SYLLABLES = (
    "ba",
    "den",
    "fi",
    "gor",
    "ha",
    "jun",
    "ka",
    "lo",
    "mar",
    "ne",
    "ol",
    "pra",
    "ru",
    "sel",
    "ti",
    "vo",
    "wi",
)
_FAMILY = "方徐贾吴曾石林白江田叶余"
_GIVEN = "模拟设任试明华文小云青海安平远"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Inscription:
    """A line that identifies.

    Attributes:
        text: as it is burned in; one line.
        kind: what it says.
        stated: (PatientName, PatientID, PatientBirthDate) of the header it belongs to.
        is_chinese: whether it has Chinese letters.
    """

    text: str
    kind: Kind
    stated: tuple[str, str, str]
    is_chinese: bool


def inscription(rng: np.random.Generator, *, chinese: bool = False, short: bool = False) -> Inscription:
    """Invent a person and write down one thing about them.

    Args:
        rng: decides everything.
        chinese: with Chinese letters.
        short: at most about eight characters, as a label beside a finding has.
    """
    family, given = _word(rng), _word(rng)
    han = _FAMILY[rng.integers(len(_FAMILY))] + "".join(rng.choice(list(_GIVEN), rng.integers(1, 3)))
    number = str(rng.integers(10_000, 10 ** int(rng.integers(6, 10))))
    day = date(1930, 1, 1) + timedelta(days=int(rng.integers(0, 33_000)))
    kind = KINDS[int(rng.integers(3))]
    forms = _forms(kind, (family, given, han, number), day, chinese=chinese)
    if short:
        forms = sorted(forms, key=len)[:2]
    text = forms[int(rng.integers(len(forms)))]
    name = f"{family}^{given}" + (f"={han[0]}^{han[1:]}" if chinese else "")
    return Inscription(text, kind, (name, number, day.strftime("%Y%m%d")), chinese)


def _word(rng: np.random.Generator) -> str:
    return "".join(str(rng.choice(_SYLLABLES)) for _ in range(int(rng.integers(2, 4)))).capitalize()


def _forms(kind: Kind, said: tuple[str, str, str, str], day: date, *, chinese: bool) -> list[str]:
    family, given, han, number = said
    if kind == "name":
        latin = [f"{family.upper()}, {given}", f"{given} {family}", f"{family}^{given}", f"{family[:4]} {given[0]}.",
                 family.upper()]  # fmt: skip
        return [han, f"姓名: {han}", f"{han} 女", f"患者{han}"] if chinese else latin
    if kind == "id":
        latin = [number, f"ID: {number}", f"ID {number[:3]}-{number[3:]}", f"MRN{number}", f"A{number[:6]}"]
        return [f"病历号 {number}", f"编号{number[:5]}", f"住院号: {number}"] if chinese else latin
    year, month, dom = day.year, day.month, day.day
    if chinese:
        return [f"{year}年{month}月{dom}日", f"生日 {day:%Y-%m-%d}", f"{month}月{dom}日"]
    return [f"{day:%Y-%m-%d}", f"{day:%m/%d/%Y}", f"{dom}.{month}.{year}", f"{day:%Y%m%d}",
            f"{dom:02}-{_MONTHS[month - 1]}-{year}", f"{day:%d/%m/%y}", f"DOB {day:%m/%d/%Y}"]  # fmt: skip
