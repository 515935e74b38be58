"""The composition root's own decisions: routes, welcome, site files, refusals at the start."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from dicom_ai import service
from dicom_ai.errors import DataFolderInUse, SettingsError
from dicom_ai.instance import US_IMAGE, Instance
from dicom_ai.settings import Receive, Settings, Store
from dicom_ai.site import Peer, Route, SiteTables
from dicom_ai.store.database import open_engine, read
from dicom_ai.store.site_id import hold
from dicom_ai.store.site_rows import newest
from tests.ledger import EXPLICIT_LE, START

ROUTES = SiteTables(
    routes=(
        Route(task="uterine-lesions", called_ae="GYN"),
        Route(task="lung-signs", description_contains="lung"),
        Route(task="uterine-lesions", body_part="UTERUS", model="LOGIQE9"),
    )
)


def settings(data: Path, *, known_peers_only: bool = False) -> Settings:
    return Settings(store=Store(data=data), receive=Receive(known_peers_only=known_peers_only))


@pytest.mark.parametrize(
    ("facts", "called", "task"),
    [
        ({"study_description": "Lung ultrasound"}, "DICOM_AI", "lung-signs"),
        ({"study_description": "Lung ultrasound"}, "GYN", "uterine-lesions"),  # the first row that matches
        ({"body_part": "UTERUS", "model": "LOGIQE9"}, "DICOM_AI", "uterine-lesions"),
        ({"body_part": "UTERUS", "model": "other"}, "DICOM_AI", None),
        ({}, "DICOM_AI", None),
    ],
)
def test_the_sites_routes_say_the_task(facts: dict[str, str], called: str, task: str | None) -> None:
    instance = Instance("1.2.3", US_IMAGE, EXPLICIT_LE, "1.2.9", "1.2.9.1", **facts)
    assert service.task_of(ROUTES, instance, "SCANNER", called) == task


def test_a_site_without_routes_gives_no_task() -> None:
    instance = Instance("1.2.3", US_IMAGE, EXPLICIT_LE, "1.2.9", "1.2.9.1", study_description="lung")
    assert service.task_of(SiteTables(), instance, "SCANNER", "DICOM_AI") is None


@pytest.mark.parametrize(
    ("only", "calling", "welcome"),
    [(False, "ANYBODY", True), (True, "SCANNER", True), (True, "ANYBODY", False), (True, "scanner", False)],
)
def test_who_may_call(tmp_path: Path, only: bool, calling: str, welcome: bool) -> None:
    tables = SiteTables(peers=(Peer(ae_title="SCANNER"),))
    assert service._is_welcome(settings(tmp_path, known_peers_only=only), tables, calling) is welcome


def test_a_site_file_is_put_into_force_in_a_fresh_folder(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text('[[routes]]\ntask = "lung-signs"\n', encoding="utf-8")
    here = settings(tmp_path / "data")
    said = service.apply_site(path, "me", here).splitlines()
    assert said[0].startswith("version 1 in force: 1 routes, 0 destinations")
    assert said[1:] == ["warning: row 1 (lung-signs) states no field and matches every ultrasound object"]
    opened = open_engine(here.database_url)
    with read(opened) as connection:
        assert newest(connection).routes == (Route(task="lung-signs"),)
    opened.dispose()
    assert service.put_into_force(SiteTables(), "me", here, START) == 2


def test_a_wrong_site_file_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text("[[routes]]\n", encoding="utf-8")
    with pytest.raises(SettingsError):
        service.apply_site(path, "me", settings(tmp_path / "data"))
    assert not (tmp_path / "data").exists()


def test_preparing_twice_keeps_the_identity_of_the_folder(tmp_path: Path) -> None:
    here = settings(tmp_path / "data")
    service.prepare(here)
    first = (tmp_path / "data" / "site.json").read_bytes()
    service.prepare(here)
    assert (tmp_path / "data" / "site.json").read_bytes() == first
    assert set(json.loads(first)) == {"schema_version", "store_id", "namespace"}


@pytest.mark.parametrize("roles", [[], ["web2"], ["receive", "nonsense"]])
def test_a_role_that_does_not_exist_is_refused(tmp_path: Path, roles: list[str]) -> None:
    with pytest.raises(SettingsError, match="receive, work"):
        service.serve(settings(tmp_path / "data"), roles)
    assert not (tmp_path / "data").exists()


def test_a_folder_that_another_service_holds_is_refused(tmp_path: Path) -> None:
    with hold(tmp_path / "data"), pytest.raises(DataFolderInUse):
        service.serve(settings(tmp_path / "data"), ["receive"])


def test_neither_supervisor_nor_receiver_loads_torch() -> None:
    imports = "dicom_ai.service, dicom_ai.receive.acceptor, dicom_ai.store.committer, dicom_ai.store.commit"
    code = f"import sys, {imports}; print([name for name in sys.modules if name.split('.')[0] == 'torch'])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_the_clock_is_aware() -> None:
    assert isinstance(service._now(), datetime)
    assert service._now().utcoffset() is not None
