"""The ledger as those use it who act on it: a database, the engine's enqueue for the same transaction, a clock."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from dicom_ai.ports import Enqueue


@dataclass(frozen=True)
class Ledger:
    """The ledger with what its transactions need: the engine's enqueue and a clock of aware times."""

    engine: Engine
    enqueue: Enqueue
    clock: Callable[[], datetime]
