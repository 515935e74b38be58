"""Settings: one file and the environment, frozen, all problems at once; the shipped file names every default."""

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from dicom_ai.errors import SettingsError
from dicom_ai.settings import Settings, read_settings

SHIPPED = Path(__file__).parents[2] / "deploy" / "dicom_ai.toml"


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def written(tmp_path, text):
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_the_defaults_hold():
    assert read_settings() == Settings()


def test_the_shipped_file_names_every_setting_with_its_default():
    told = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    assert told == Settings().model_dump(mode="json", by_alias=True)
    assert read_settings(SHIPPED) == Settings()


def test_every_setting_is_explained():
    text = SHIPPED.read_text(encoding="utf-8")
    for info in Settings.model_fields.values():
        for name, field in type(info.default).model_fields.items():
            assert field.description
            assert f"# {field.description}" in text, name


@pytest.mark.parametrize("name", ["LUNG_SIGNS", "UTERINE_LESIONS"])
def test_a_task_is_switched_off_by_file_or_environment(name, tmp_path, monkeypatch):
    task = name.lower().replace("_", "-")
    assert Settings().models.is_enabled(task)
    assert not read_settings(written(tmp_path, f"[models.{task}]\nenabled = false\n")).models.is_enabled(task)
    monkeypatch.setenv(f"DICOM_AI_MODELS__{name}__ENABLED", "false")
    settings = read_settings(written(tmp_path, ""))
    assert not settings.models.is_enabled(task)
    assert Settings.model_validate_json(settings.model_dump_json()) == settings  # as the roles are told


def test_the_environment_overrides_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("DICOM_AI_RECEIVE__PORT", "104")
    assert read_settings(written(tmp_path, "[receive]\nport = 105\n")).receive.port == 104


def test_what_the_command_line_says_wins(tmp_path, monkeypatch):
    monkeypatch.setenv("DICOM_AI_RECEIVE__PORT", "104")
    assert read_settings(written(tmp_path, ""), receive={"port": 106}).receive.port == 106


def test_all_problems_are_named_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("DICOM_AI_RECIEVE__PORT", "1")
    text = '[receive]\nprot = 1\nae_title = "A_TITLE_THAT_IS_TOO_LONG"\n[stor]\nx = 1\n[site]\ntimezone = "Mars/X"\n'
    with pytest.raises(SettingsError) as raised:
        read_settings(written(tmp_path, text))
    named = ("DICOM_AI_RECIEVE__PORT", "receive.prot", "receive.ae_title", "stor", "site.timezone")
    assert [name for name in named if name not in str(raised.value)] == []


def test_a_file_that_is_no_toml_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"settings\.toml"):
        read_settings(written(tmp_path, "receive = ["))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match="no such settings file"):
        read_settings(tmp_path / "absent.toml")


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        Settings().receive.port = 1
