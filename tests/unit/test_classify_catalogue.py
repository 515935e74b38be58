"""Installed models are found, and the one that answers is chosen by a stated rule."""

from pathlib import Path

import pytest

from dicom_ai.classify import catalogue
from dicom_ai.errors import CardMismatch, ModelError
from tests.unit.tiny_model import write_tiny_model


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name, version, grade in (
        ("old", "0.9.0", "research"),
        ("old", "0.10.0", "research"),
        ("toy", "9.0.0", "demonstration"),
    ):
        write_tiny_model(tmp_path / "models" / f"{name}-{version}", name=name, version=version, grade=grade)
    return tmp_path


def test_models_of_the_package_and_of_the_data_folder_are_listed(data: Path) -> None:
    found = catalogue.installed(data)
    assert {"old", "toy"} <= {one.card.name for one in found}
    assert {one.folder for one in catalogue.installed()} <= {one.folder for one in found}


def test_a_folder_without_a_card_is_no_model(data: Path) -> None:
    (data / "models" / "notes").mkdir()
    assert "notes" not in {one.folder.name for one in catalogue.installed(data)}


def test_a_broken_card_is_named(data: Path) -> None:
    (data / "models" / "toy-9.0.0" / "card.json").write_text('{"schema_version": 2}')
    with pytest.raises(CardMismatch, match=r"toy-9\.0\.0"):
        catalogue.installed(data)


def test_the_highest_grade_answers_and_of_equals_the_latest_version(data: Path) -> None:
    found = catalogue.installed(data)
    assert catalogue.active("lung-signs", found).card.version == "0.10.0"


def test_a_digest_chooses(data: Path) -> None:
    found = catalogue.installed(data)
    toy = next(one for one in found if one.card.name == "toy")
    assert catalogue.active("lung-signs", found, digest=toy.card.digest) == toy
    assert catalogue.active("lung-signs", found, digest=toy.card.digest[:8]) == toy


@pytest.mark.parametrize("digest", ["", "0", "f" * 64])
def test_a_digest_nobody_has_or_too_short_finds_nothing(data: Path, digest: str) -> None:
    with pytest.raises(ModelError, match="no model is installed"):
        catalogue.active("lung-signs", catalogue.installed(data), digest=digest)


def test_no_model_for_the_task_is_said(data: Path) -> None:
    with pytest.raises(ModelError, match="uterine-lesions"):
        catalogue.active("uterine-lesions", [one for one in catalogue.installed(data) if one.card.task == "lung-signs"])
