"""What a run noted while it learned, as series to draw. What this is not: figures of the part that judges."""

from collections.abc import Mapping
from typing import Any

Series = dict[str, list[tuple[float, float]]]


def series_of(curves: Any) -> Series:
    """Rows `[{"epoch": 1, "loss": 0.9, …}, …]` or columns `{"loss": [0.9, …]}` as name -> (epoch, value).

    What is no number is left out; a row without an epoch gets its place, from 1.

    Examples:
        >>> series_of([{"epoch": 1, "loss": 0.9}, {"epoch": 2, "loss": 0.7, "right": None}])
        {'loss': [(1, 0.9), (2, 0.7)]}
        >>> series_of({"loss": [0.9, 0.7]})
        {'loss': [(1, 0.9), (2, 0.7)]}
    """
    if isinstance(curves, Mapping):
        rows = [(at, name, value) for name, column in curves.items() if isinstance(column, list)
                for at, value in enumerate(column, 1)]  # fmt: skip
    elif isinstance(curves, list):
        rows = [(row.get("epoch", at), name, value) for at, row in enumerate(curves, 1) if isinstance(row, Mapping)
                for name, value in row.items()]  # fmt: skip
    else:
        return {}
    found: Series = {}
    for at, name, value in rows:
        if name not in {"epoch", "fold"} and _is_number(value) and _is_number(at):
            found.setdefault(name, []).append((at, value))
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value  # noqa: PLR0124 - NaN
