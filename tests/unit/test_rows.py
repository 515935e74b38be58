"""What commands print: one JSON object per line, tables that lose nothing, the closed list in two languages."""

import json
from pathlib import Path

import pytest

from dicom_ai.reasons import REASONS
from dicom_ai.rows import print_reasons, print_row, print_table


def test_a_row_is_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_row({"text": "a\nb 方", "path": Path("x"), "none": None})
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert "方" in out
    assert json.loads(out) == {"text": "a\nb 方", "path": "x", "none": None}


def test_a_table_folds_long_cells_and_leaves_none_empty(capsys: pytest.CaptureFixture[str]) -> None:
    uid = "2.25." + "1234567890" * 12
    print_table("title", ("a", "b"), [(uid, None)] * 2)
    out = capsys.readouterr().out
    assert "title" in out
    assert "None" not in out
    assert "".join(letter for letter in out if letter in "0123456789.") == 2 * uid


def test_brackets_in_a_cell_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("[/] title", ("a",), [("[red]x[/]",), ("[/]",)])
    out = capsys.readouterr().out
    assert "[red]x[/]" in out
    assert "[/] title" in out


def test_every_reason_is_printed_for_programs_and_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    print_reasons(as_json=True)
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["code"] for row in rows] == list(REASONS)
    assert all(set(row) == {"code", "stage", "meaning", "meaning_zh", "remedy"} for row in rows)
    print_reasons(as_json=False)
    out = capsys.readouterr().out
    assert all(code in out for code in REASONS)
