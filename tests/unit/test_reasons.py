"""Every reason of the closed list is produced by some input, and no other is written down anywhere."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import dicom_ai
from dicom_ai.classify.catalogue import Installed
from dicom_ai.crop.cropper import Cropper
from dicom_ai.reasons import REASONS
from dicom_ai.store import tables
from tests.reasons import PROBES, Parts, delivered, no_model_at_all, still

torch.set_num_threads(1)


@pytest.fixture
def parts(tmp_path: Path, cropper: Cropper, model: Installed) -> Parts:
    return Parts(tmp_path, cropper, model)


def test_the_list_is_what_can_happen() -> None:
    assert PROBES.keys() == REASONS.keys()


@pytest.mark.parametrize("reason", PROBES)
def test_a_reason_is_produced(reason: str, parts: Parts) -> None:
    assert PROBES[reason](parts) == reason


def test_a_task_without_any_model_has_the_reason_of_one_without_a_validated_model(parts: Parts) -> None:
    assert no_model_at_all(parts) == "no_model"


def test_a_sound_object_has_no_reason(parts: Parts) -> None:
    assert parts.cropped(still()) is None
    work = delivered(parts)
    assert [(row.state, row.reason) for row in work.deliveries()] == [("sent", None)]
    assert [row.reason for row in work.rows(tables.objects)] == [None]


def reasons_written(tree: ast.AST) -> Iterator[str]:
    """Constants given as a `reason`, by keyword or as the value of a mapping's key."""
    for node in ast.walk(tree):
        values = []
        if isinstance(node, ast.Call):
            values = [one.value for one in node.keywords if one.arg == "reason"]
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            values = [value for key, value in pairs if isinstance(key, ast.Constant) and key.value == "reason"]
        elif isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "reason" for t in node.targets):
            values = [node.value]
        given = [value for value in values if not _is_look_up(value)]
        constants = [one for value in given for one in ast.walk(value) if isinstance(one, ast.Constant)]
        yield from (one.value for one in constants if isinstance(one.value, str))


def _is_look_up(value: ast.expr) -> bool:
    """Whether a reason is read from a mapping: a constant in there is a key."""
    return isinstance(value, ast.Subscript) or (
        isinstance(value, ast.Call) and ast.unparse(value.func) in {"REASONS.get", "one.get"}
    )


def test_no_other_reason_is_written_down_in_the_code() -> None:
    files = sorted(Path(dicom_ai.__file__).parent.rglob("*.py"))
    written = {reason for path in files for reason in reasons_written(ast.parse(path.read_text(encoding="utf-8")))}
    assert len(written) >= 10
    assert written - REASONS.keys() == set()
