"""What commands print: JSON rows for programs, tables for people. Standard output only; logs go to standard error."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dicom_ai.reasons import REASONS

_WIDE = 160


def print_row(row: Mapping[str, Any]) -> None:
    """Print one JSON object on a line of its own."""
    sys.stdout.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def say(sentence: str) -> None:
    """Tell a person something beside the rows, on standard error: rows stay rows."""
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()


def print_table(title: str, columns: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    """Print a table for people; brackets in a title or cell are text, not markup (files may be called anything)."""
    if not lines:
        sys.stdout.write(f"{title}: none\n")
        return
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in line))
    is_wide = not sys.stdout.isatty() and "COLUMNS" not in os.environ  # a file or a pipe has no width to keep to
    console = Console(file=sys.stdout, width=_WIDE if is_wide else None)
    with console.capture() as captured:
        console.print(table)
    sys.stdout.write("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")


def print_reasons(*, as_json: bool) -> None:
    """Print the closed list of reasons."""
    if as_json:
        for reason in REASONS.values():
            print_row(
                {
                    "code": reason.code,
                    "stage": reason.stage,
                    "meaning": reason.meaning,
                    "meaning_zh": reason.meaning_zh,
                    "remedy": reason.remedy,
                }
            )
        return
    lines = [(r.stage, r.code, f"{r.meaning}\n{r.meaning_zh}", r.remedy) for r in REASONS.values()]
    print_table("Reasons", ("stage", "reason", "meaning", "what to do"), lines)
