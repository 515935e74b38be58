"""Turns a seed into an invented patient. Nobody of this name and number exists.

What this is not: a data set; see `exam`.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

# Component groups of a Person Name (PS3.5 6.2.1): Latin, then ideographic where there is one.
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
)


@dataclass(frozen=True)
class Patient:
    """Who the scanner believes lies there; repr shows nothing.

    Attributes:
        name: Person Name with component groups. birth_date: DICOM DA. sex: M, F or O.
    """

    name: str = field(repr=False)
    id: str = field(repr=False)
    birth_date: str = field(repr=False)
    sex: str = field(repr=False)
    accession: str = field(repr=False)
    study_id: str = field(repr=False)

    @property
    def screen_name(self) -> str:
        """The Latin name as the scanner's font can write it."""
        latin = self.name.split("=")[0].replace("^", ", ").upper()
        return latin.encode("ascii", "replace").decode()


def patient_of(seed: int, *, sex: str | None = None) -> Patient:
    """Invent the patient of `seed`; the same for the same seed."""
    rng = np.random.default_rng([seed, 0x504E])
    digits = str(int(hashlib.sha256(f"patient {seed}".encode()).hexdigest(), 16))
    born = date(1935, 1, 1) + timedelta(days=int(rng.integers(0, 24_000)))
    return Patient(
        name=NAMES[int(rng.integers(len(NAMES)))],
        id=f"PH{digits[:7]}",
        birth_date=born.strftime("%Y%m%d"),
        sex=sex or str(rng.choice(["M", "F"])),
        accession=f"AC{digits[7:15]}",
        study_id=digits[15:19],
    )
