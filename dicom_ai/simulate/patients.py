"""Turns a seed into an invented patient. Nobody of this name and number exists.

What this is not: a data set; see `exam`.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TypeVar

import numpy as np

from dicom_ai.errors import SettingsError

_T = TypeVar("_T")

# Component groups of a Person Name (PS3.5 6.2.1): Latin, then ideographic and phonetic where the culture has them.
NAMES = (
    "Phantom^Ada",
    "Testperson^Bruno",
    "Invented^Clara",
    "Mustermann^Dora",
    "Nobody^Emil",
    "Fang^Mo=方^模",
    "Xu^Ni=徐^拟",
    "Jia^She=贾^设",
    "Wu^Ren=吴^任",
    "Ceng^Shi=曾^试",
    "Núñez Prueba^Inés",
    "Größe^Jürgen",
    "Kasou^Kanja=仮想^患者=かそう^かんじゃ",
    "Gasang^Hwanja=假想^患者=가상^환자",
    "Пробный^Пациент",
)

LATIN = ("ISO_IR 100", "ISO_IR 192")
_SETS = {"方徐贾吴曾": ("GB18030", "GBK", "ISO_IR 192"), "仮": ("ISO 2022 IR 87", "ISO_IR 192"),
         "가": ("ISO 2022 IR 149", "ISO_IR 192"), "П": ("ISO_IR 144", "ISO_IR 192")}  # fmt: skip
CHARACTER_SETS = (*LATIN, "GB18030", "GBK", "ISO 2022 IR 58", "ISO 2022 IR 87", "ISO 2022 IR 149", "ISO_IR 144")
"""What a simulated scanner can be told to write."""

_DESCRIPTIONS = {
    "lung": {"方徐贾吴曾": "肺部超声", "仮": "肺エコー", "가": "폐 초음파", "П": "УЗИ лёгких"},
    "uterus": {"方徐贾吴曾": "子宫超声", "仮": "子宮エコー", "가": "자궁 초음파", "П": "УЗИ матки"},
}


@dataclass(frozen=True)
class Patient:
    """Who the scanner believes lies there; repr shows nothing.

    Attributes:
        name: Person Name with component groups. birth_date: DICOM DA. sex: M, F or O.
        terms: values of Specific Character Set in which the scanner writes.
    """

    name: str = field(repr=False)
    id: str = field(repr=False)
    birth_date: str = field(repr=False)
    sex: str = field(repr=False)
    accession: str = field(repr=False)
    study_id: str = field(repr=False)
    terms: tuple[str, ...] = ("ISO_IR 192",)

    def describes(self, kind: str) -> str:
        """The exam in the patient's language where the character set can write it, else nothing."""
        if "ISO 2022 IR 58" in self.terms:
            return ""
        return _of_script(self.name, _DESCRIPTIONS[kind]) or ""

    @property
    def screen_name(self) -> str:
        """The Latin name as the scanner's font can write it."""
        latin = self.name.split("=")[0].replace("^", ", ").upper()
        return latin.encode("ascii", "replace").decode()


def patient_of(seed: int, *, sex: str | None = None, charset: str | None = None) -> Patient:
    """Invent the patient of `seed`; the same for the same seed.

    Args:
        seed: decides everything that is not asked for.
        sex: M, F or O.
        charset: one of `CHARACTER_SETS`; then the name is one that needs it.

    Raises:
        SettingsError: no such character set.
    """
    if charset is not None and charset not in CHARACTER_SETS:
        raise SettingsError(f"no character set {charset!r} is simulated; use {', '.join(CHARACTER_SETS)}")
    rng = np.random.default_rng([seed, 0x504E])
    digits = str(int(hashlib.sha256(f"patient {seed}".encode()).hexdigest(), 16))
    born = date(1935, 1, 1) + timedelta(days=int(rng.integers(0, 24_000)))
    names = [name for name in NAMES if charset is None or (charset in _sets_of(name) and not name.isascii())]
    name = names[int(rng.integers(len(names)))]
    term = charset or _usual_sets(name)[seed % len(_usual_sets(name))]
    return Patient(
        name=name,
        id=f"PH{digits[:7]}",
        birth_date=born.strftime("%Y%m%d"),
        sex=sex or str(rng.choice(["M", "F"])),
        accession=f"AC{digits[7:15]}",
        study_id=digits[15:19],
        terms=("", term) if term.startswith("ISO 2022") else (term,),
    )


def with_escapes(name: str) -> bytes:
    """A Chinese name under ISO 2022 IR 58: the set is called again behind every delimiter (PS3.5 K.2)."""
    parts = re.split("([=^])", name)
    return b"".join(part.encode() if part.isascii() else b"\x1b$)A" + part.encode("gb2312") for part in parts)


def _usual_sets(name: str) -> tuple[str, ...]:
    return _of_script(name, _SETS) or LATIN


def _sets_of(name: str) -> tuple[str, ...]:
    usual = _usual_sets(name)
    return (*usual, "ISO 2022 IR 58") if "GBK" in usual else usual


def _of_script(name: str, table: Mapping[str, _T]) -> _T | None:
    """The entry of the script a name is written in, by the letters that stand for it."""
    return next((value for letters, value in table.items() if set(letters) & set(name)), None)
