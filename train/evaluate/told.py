"""One run with everything that was found of it. What this is not: how it was found (`report`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from train.evaluate.judge import Judged
from train.evaluate.runs import Run
from train.evaluate.units import Units


@dataclass(frozen=True)
class Told:
    """One run with everything that was found.

    Attributes:
        run: it. frames, clips: what was judged.
        overall: level -> figures of all units, with their resamples.
        row: for JSON.
    """

    run: Run
    frames: Units
    clips: Units
    overall: Mapping[str, Judged]
    row: dict[str, Any]
