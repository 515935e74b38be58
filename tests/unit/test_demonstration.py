"""The demonstration keeps to its folder and to this machine."""

from pathlib import Path

import pytest

from dicom_ai.commands.demonstration import _settings


def test_the_environment_of_a_real_service_does_not_lead_it_astray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DICOM_AI_STORE__DATABASE_URL", "postgresql+psycopg://hospital/dicom_ai")
    monkeypatch.setenv("DICOM_AI_STORE__DATA", "/srv/hospital")
    monkeypatch.setenv("DICOM_AI_RECEIVE__HOST", "0.0.0.0")
    monkeypatch.setenv("DICOM_AI_RECEIVE__AE_TITLE", "HOSPITAL")
    settings = _settings(tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path / 'service' / 'ledger.sqlite'}"
    assert settings.store.data == tmp_path / "service"
    assert (settings.receive.host, settings.receive.port) == ("127.0.0.1", 0)
    assert settings.receive.ae_title == "DICOM_AI"
