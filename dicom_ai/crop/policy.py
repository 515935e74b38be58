"""What a site allows the crop to do: the part of its settings that can change an outcome."""

from dataclasses import asdict, dataclass
from typing import Literal

Unlisted = Literal["witnesses", "quarantine"]
Blank = Literal["static", "never"]


@dataclass(frozen=True)
class Policy:
    """Settings of the crop that a decoding child must know.

    Attributes:
        deflated: deflated data sets may be unfolded.
        unlisted: a device without an entry in the layout catalogue is decided by region and picture ("witnesses") or
            always waits for a person ("quarantine").
        blank: text that stands still over a whole clip and is small is painted black inside the kept shape
            ("static"), or quarantines the object as all other text does ("never").
    """

    deflated: bool = False
    unlisted: Unlisted = "witnesses"
    blank: Blank = "static"

    def row(self) -> dict[str, object]:
        """The policy as JSON; `Policy(**row)` reads it back."""
        return asdict(self)


USUAL = Policy()
