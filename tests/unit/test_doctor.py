"""The doctor: every check fails for real, names its remedy, and is well again after it. Looking changes nothing."""

import hashlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from sqlalchemy import text

from dicom_ai import service
from dicom_ai.classify import catalogue
from dicom_ai.classify.shelf import Named
from dicom_ai.commands import doctor
from dicom_ai.commands.checkup import device, host, ledger, running
from dicom_ai.commands.checkup.line import Check, guarded
from dicom_ai.settings import Classify, Deliver, Model, Models, Receive, Settings, Site, Store
from dicom_ai.site import Route, SiteTables
from dicom_ai.store import alarms, tables
from dicom_ai.store.database import open_engine, write
from dicom_ai.store.site_id import hold
from models.card import read_card, write_card
from tests.ledger import place
from tests.peers import free_port
from tests.postgres import started
from tests.workplace import destination, pacs

torch.set_num_threads(1)
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def first_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder as the first start leaves it."""
    found = tmp_path_factory.mktemp("first") / "data"
    service.prepare(settings(found))
    return found


@pytest.fixture
def data(tmp_path: Path, first_start: Path) -> Path:
    """A data folder as after the first start."""
    return Path(shutil.copytree(first_start, tmp_path / "data"))


def settings(data: Path, **sections: Any) -> Settings:
    given = {"store": Store(data=data), "site": Site(timezone="Asia/Shanghai"), **sections}
    return Settings(receive=given.pop("receive", Receive(port=free_port())), **given)


def looked(check: Any, *arguments: Any) -> list[Check]:
    """What one room of the doctor finds."""
    return list(guarded("look", lambda: check(*arguments)))


def one(check: Any, *arguments: Any) -> Check:
    (found,) = looked(check, *arguments)
    return found


def status(found: list[Check]) -> dict[str, str]:
    return {check.check: check.status for check in found}


def named(found: list[Check], name: str) -> Check:
    return next(check for check in found if check.check == name)


def in_force(data: Path, site: SiteTables) -> None:
    service.put_into_force(site, "test", settings(data), NOW)


class TestPort:
    def test_a_port_that_a_stranger_holds(self, data: Path) -> None:
        with socket.socket() as stranger:
            stranger.bind(("127.0.0.1", 0))
            stranger.listen()
            taken = settings(data, receive=Receive(port=stranger.getsockname()[1]))
            found = one(host.port, taken)
            assert found.status == "failed"
            assert f"held by process {os.getpid()} " in found.detail
            assert "receive.port" in found.remedy
            with hold(data):  # our service runs as well, on another port: the stranger is this process's parent's
                assert running.holder(data) == os.getpid()
        assert one(host.port, taken).status == "ok", "mended"

    def test_a_stranger_beside_our_running_service_is_no_part_of_it(self, data: Path) -> None:
        code = "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen();"
        code += "print(s.getsockname()[1], flush=True); time.sleep(60)"
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as stranger:
            assert stranger.stdout is not None
            port = int(stranger.stdout.readline())
            assert not running.belongs_to(os.getpid(), stranger.pid)
            assert running.belongs_to(stranger.pid, os.getpid())
            assert running.listeners(port) == {stranger.pid}
            stranger.kill()

    def test_what_holds_it_is_ours_and_does_not_answer(self, data: Path) -> None:
        with hold(data), socket.socket() as ours:
            ours.bind(("127.0.0.1", 0))
            ours.listen()
            slow = settings(data, receive=Receive(port=ours.getsockname()[1]), deliver=Deliver(connect_timeout_s=0.3))
            found = one(host.port, slow)
            assert (found.status, "does not answer" in found.detail) == ("failed", True)
            assert "Stop the service" in found.remedy

    def test_what_holds_it_is_ours_and_answers(self, data: Path, tmp_path: Path) -> None:
        with hold(data), pacs(tmp_path / "in") as peer:  # a DICOM node of this very process stands for the service
            found = one(host.port, settings(data, receive=Receive(port=peer.port, ae_title="PACS")))
        assert (found.status, "answers in" in found.detail) == ("ok", True)

    @pytest.mark.parametrize(
        ("name", "remedy"), [("192.0.2.1", "0.0.0.0"), ("no-such-host.invalid", "127.0.0.1")]
    )  # fmt: skip
    def test_an_address_that_is_not_this_machines(self, data: Path, name: str, remedy: str) -> None:
        found = one(host.port, settings(data, receive=Receive(host=name, port=free_port())))
        assert (found.status, remedy in found.remedy) == ("failed", True)

    def test_a_port_below_1024_without_the_right_to_it(self, data: Path) -> None:
        if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 104:
            pytest.skip("this machine lets everybody use port 104")
        with as_nobody():
            found = one(host.port, settings(data, receive=Receive(port=104)))
        assert (found.status, "CAP_NET_BIND_SERVICE" in found.remedy) == ("failed", True)

    def test_no_port_of_its_own(self, data: Path) -> None:
        assert one(host.port, settings(data, receive=Receive(port=0))).status == "ok"


class TestHost:
    def test_an_ae_title_that_is_none(self, data: Path) -> None:
        for section in ({"receive": Receive(ae_title="A\\B", port=0)}, {"deliver": Deliver(ae_title="ÄÖ")}):
            found = one(host.ae_titles, settings(data, **section))
            assert (found.status, "ASCII" in found.remedy) == ("failed", True)
        assert one(host.ae_titles, settings(data)).status == "ok"

    def test_a_data_folder_that_is_not_there_no_folder_or_open_to_others(self, tmp_path: Path, data: Path) -> None:
        absent = named(looked(host.data_folder, settings(tmp_path / "none")), "data folder")
        assert (absent.status, "dicom-ai serve" in absent.remedy) == ("failed", True)
        assert not (tmp_path / "none").exists(), "a look makes nothing"
        (tmp_path / "file").touch()
        assert "store.data" in one(host.data_folder, settings(tmp_path / "file")).remedy
        for path, wrong, right in ((data, 0o750, 0o700), (data / "ledger.sqlite", 0o644, 0o600)):
            path.chmod(wrong)
            found = named(looked(host.data_folder, settings(data)), "data folder")
            assert (found.status, f"chmod {right:o} {path}" in found.remedy) == ("failed", True)
            path.chmod(right)
            assert status(looked(host.data_folder, settings(data))) == {"data folder": "ok", "installation": "ok"}
        assert {path.name for path in data.iterdir()} == {"ledger.sqlite", "site.json"}

    def test_a_data_folder_of_another_user(self) -> None:
        folder = Path(tempfile.mkdtemp())
        try:
            with as_nobody():
                found = one(host.data_folder, settings(folder))
            assert (found.status, "chown" in found.remedy) == ("failed", True)
            assert named(looked(host.data_folder, settings(folder)), "data folder").status == "ok"
        finally:
            shutil.rmtree(folder)

    def test_a_damaged_identity_of_the_installation(self, data: Path) -> None:
        kept = (data / "site.json").read_bytes()
        (data / "site.json").write_text("{}")
        found = named(looked(host.data_folder, settings(data)), "installation")
        assert (found.status, "backup" in found.remedy) == ("failed", True)
        (data / "site.json").write_bytes(kept)
        assert named(looked(host.data_folder, settings(data)), "installation").status == "ok"

    @pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "fuse.glusterfs"])
    def test_a_network_file_system(self, data: Path, tmp_path: Path, kind: str) -> None:
        """A mount table stands for the mount, which no test may make."""
        table = tmp_path / "mountinfo"
        point = str(data.parent).replace(" ", "\\040")
        lines = ["1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw", f"2 1 0:44 / {point} rw shared:2 - {kind} server:/x rw"]
        table.write_text("\n".join(lines) + "\n")
        found = one(host.file_system, settings(data), table)
        assert (found.status, "PostgreSQL" in found.remedy, kind in found.detail) == ("failed", True, True)
        server = settings(data, store=Store(data=data, database_url="postgresql+psycopg://u@h/d"))
        assert one(host.file_system, server, table).status == "ok"
        assert one(host.file_system, settings(data)).status in {"ok", "warning"}

    def test_a_file_system_in_memory(self) -> None:
        if not os.path.ismount("/dev/shm"):
            pytest.skip("no /dev/shm on this machine")
        found = one(host.file_system, settings(Path("/dev/shm/dicom-ai-doctor")))
        assert (found.status, "lost with the power" in found.remedy) == ("warning", True)

    def test_no_room(self, data: Path) -> None:
        full = settings(data, store=Store(data=data, min_free_mib=1 << 40))
        found = one(host.space, full)
        assert (found.status, "store.min_free_mib" in found.remedy) == ("failed", True)
        assert one(host.space, settings(data / "not" / "there")).status == "ok"

    def test_validators_that_are_not_installed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        found = one(host.validators)
        assert (found.status, "apt-get install dcmtk dicom3tools" in found.remedy) == ("warning", True)

    def test_a_system_library_that_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(host.preflight.LIBRARIES, "libnothing.so.9", "libnothing9")
        found = one(host.libraries)
        assert (found.status, "apt-get install libnothing9" in found.remedy) == ("failed", True)

    def test_a_service_that_runs_or_not(self, data: Path) -> None:
        assert "dicom-ai serve" in one(host.service, settings(data)).remedy
        with hold(data):
            assert f"process {os.getpid()}" in one(host.service, settings(data)).detail
            assert one(host.service, settings(data)).status == "ok"


class TestLedger:
    def test_one_that_is_not_there_yet(self, tmp_path: Path) -> None:
        found = one(ledger.of_file, tmp_path / "ledger.sqlite")
        assert (found.status, "dicom-ai serve" in found.remedy) == ("failed", True)
        assert not (tmp_path / "ledger.sqlite").exists()

    @pytest.mark.parametrize("where", [0, 6], ids=["header", "page"])
    def test_a_damaged_one(self, data: Path, where: int) -> None:
        path = data / "ledger.sqlite"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        kept = path.read_bytes()
        assert status(looked(ledger.of_file, path)) == {"database": "ok"}
        broken = bytearray(kept)
        broken[where * 4096 : where * 4096 + 512] = b"\xa5" * 512
        path.write_bytes(bytes(broken))
        found = one(ledger.of_file, path)
        assert (found.status, "backup" in found.remedy) == ("failed", True)
        path.write_bytes(kept)
        assert one(ledger.of_file, path).status == "ok"

    def test_one_without_wal_is_told_and_not_mended_by_looking(self, data: Path) -> None:
        path = data / "ledger.sqlite"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
        for _ in range(2):
            found = list(doctor.examine(settings(data), NOW))
            assert (named(found, "durability").status, "WAL" in named(found, "durability").remedy) == ("failed", True)
        with closing(open_engine(settings(data).database_url).connect()):
            pass  # as the service's start does
        assert named(looked(ledger.of_file, path), "database").status == "ok"
        assert len(looked(ledger.of_file, path)) == 1

    def test_connections_that_do_not_sync(self, data: Path) -> None:
        opened = open_engine(settings(data).database_url)
        assert one(ledger.durability, opened).status == "ok"
        with opened.connect() as connection:  # the pool hands the same connection out again
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA synchronous=OFF")
        found = one(ledger.durability, opened)
        assert (found.status, "synchronous is 0" in found.detail) == ("failed", True)
        opened.dispose()

    def test_a_schema_that_is_missing_or_of_another_version(self, tmp_path: Path, data: Path) -> None:
        empty = open_engine(f"sqlite:///{tmp_path / 'empty.sqlite'}")
        found = one(ledger.schema, empty)
        assert (found.status, "dicom-ai serve" in found.remedy) == ("failed", True)
        place(tmp_path / "half").engine.dispose()
        half = open_engine(f"sqlite:///{tmp_path / 'half' / 'ledger.sqlite'}")
        assert status(looked(ledger.schema, half)) == {"schema": "ok", "engine": "failed"}
        assert "dicom-ai serve" in named(looked(ledger.schema, half), "engine").remedy
        opened = open_engine(settings(data).database_url)
        assert status(looked(ledger.schema, opened)) == {"schema": "ok", "engine": "ok"}
        with write(opened) as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        found = one(ledger.schema, opened)
        assert (found.status, "newer" in found.remedy) == ("failed", True)
        for each in (empty, half, opened):
            each.dispose()

    def test_a_clock_that_was_set_back_and_a_time_zone_nobody_chose(self, data: Path) -> None:
        opened = open_engine(settings(data).database_url)
        assert status(looked(ledger.clock, settings(data), opened, NOW)) == {"time zone": "ok", "clock": "ok"}
        ahead = NOW + timedelta(hours=1)
        with write(opened) as connection:
            connection.execute(tables.events.insert().values(at=ahead, kind="received", ids={}))
        found = named(looked(ledger.clock, settings(data), opened, NOW), "clock")
        assert (found.status, "NTP" in found.remedy, "3600 s before" in found.detail) == ("failed", True, True)
        assert named(looked(ledger.clock, settings(data), opened, ahead), "clock").status == "ok"
        found = named(looked(ledger.clock, settings(data, site=Site()), None, NOW), "time zone")
        assert (found.status, "site.timezone" in found.remedy) == ("warning", True)
        opened.dispose()

    def test_what_waits_for_a_person(self, data: Path) -> None:
        opened = open_engine(settings(data).database_url)
        assert status(looked(ledger.waiting, opened, NOW)) == {"alarms": "ok", "deliveries": "ok"}
        delivery = {"study": "s", "destination": "pacs", "kind": "source", "attempts": 0, "queued_at": NOW}
        with write(opened) as connection:
            alarms.raise_alarm(connection, "attempts_spent", NOW)
            connection.execute(tables.studies.insert().values(id="s", study_uid="1.2", first_at=NOW, last_at=NOW))
            connection.execute(tables.deliveries.insert().values(**delivery, state="dead"))
        found = looked(ledger.waiting, opened, NOW)
        assert status(found) == {"alarms": "warning", "deliveries": "warning"}
        assert "dicom-ai alarms" in found[0].remedy
        assert "--state dead" in found[1].remedy
        with write(opened) as connection:
            connection.execute(tables.deliveries.insert().values(**delivery, state="queued"))
        assert "--state queued" in named(looked(ledger.waiting, opened, NOW + timedelta(hours=3)), "deliveries").remedy
        opened.dispose()

    def test_a_database_server_that_is_down_careless_or_of_another_time(self, tmp_path: Path) -> None:
        with started() as server:
            url = server.new_database()
            known = settings(tmp_path, store=Store(data=tmp_path, database_url=url))
            opened = open_engine(url)
            assert status(looked(ledger.of_server, known, opened)) == {"database": "ok", "durability": "ok"}
            assert status(looked(ledger.schema, opened)) == {"schema": "ok", "engine": "ok"}
            opened.dispose()
            server.execute("ALTER SYSTEM SET full_page_writes = off")
            server.execute("SELECT pg_reload_conf()")
            found = named(looked(ledger.of_server, known, opened), "durability")
            assert (found.status, "full_page_writes = on" in found.remedy) == ("failed", True)
            server.execute("ALTER SYSTEM RESET full_page_writes")
            server.execute("SELECT pg_reload_conf()")
            opened.dispose()
            found = named(looked(ledger.clock, known, opened, NOW - timedelta(hours=2)), "clock")
            assert (found.status, "NTP" in found.remedy) == ("failed", True)
            assert named(looked(ledger.clock, known, opened, datetime.now(UTC)), "clock").status == "ok"
            opened.dispose()
            server.stop()
            found = one(ledger.of_server, known, opened)
            assert (found.status, "store.database_url" in found.remedy) == ("failed", True)
            assert server.password not in found.detail
            server.start()
            assert named(looked(ledger.of_server, known, opened), "database").status == "ok"
            opened.dispose()


class TestModels:
    @pytest.fixture
    def own(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The shipped lung model as an installed folder, and no other model."""
        shipped = catalogue.DEMO / "lung-signs-demo"
        monkeypatch.setattr(catalogue, "DEMO", data / "none")
        return Path(shutil.copytree(shipped, data / "models" / "lung"))

    @pytest.fixture
    def chosen(self, own: Path) -> tuple[Named, ...]:
        """The registry's rows after somebody activated that model."""
        return (Named(read_card(own).digest, "lung-signs", "champion"),)

    @pytest.mark.parametrize("name", ["weights.safetensors", "vectors.safetensors"])
    def test_one_bit_of_a_file(self, data: Path, own: Path, name: str, chosen: tuple[Named, ...]) -> None:
        path = own / name
        kept = bytearray(path.read_bytes())
        kept[len(kept) // 2] ^= 1
        path.write_bytes(kept)
        found = looked(device.models, settings(data), None, chosen)
        assert named(found, "model lung").status == "failed"
        assert "Install the model folder again" in named(found, "model lung").remedy
        assert (named(found, "task lung-signs").status, "model lung" in named(found, "task lung-signs").remedy) == (
            "failed",
            True,
        )
        kept[len(kept) // 2] ^= 1
        path.write_bytes(kept)
        found = looked(device.models, settings(data), None, chosen)
        assert (named(found, "model lung").status, named(found, "task lung-signs").status) == ("ok", "ok")
        assert "grade demonstration" in named(found, "task lung-signs").detail

    def test_a_card_that_is_none(self, data: Path, own: Path, chosen: tuple[Named, ...]) -> None:
        (own / "card.json").write_text("{}")
        found = looked(device.models, settings(data), None, chosen)
        assert set(status(found).values()) == {"failed"}
        assert "no folder" in named(found, "task lung-signs").detail
        assert "models list" in named(found, "task lung-signs").remedy

    def test_a_folder_that_nobody_activated_does_not_answer(self, data: Path, own: Path) -> None:
        found = looked(device.models, settings(data), None)
        assert (named(found, "model lung").status, named(found, "task lung-signs").status) == ("ok", "failed")

    def test_a_device_that_does_not_reproduce_the_vectors(self, data: Path, own: Path) -> None:
        """Stored outputs of another network stand for a device that computes otherwise."""
        vectors = load_file(own / "vectors.safetensors")
        save_file(vectors | {"logits": vectors["logits"] + 0.5}, own / "vectors.safetensors")
        card = read_card(own)
        digest = hashlib.sha256((own / "vectors.safetensors").read_bytes()).hexdigest()
        write_card(card.model_copy(update={"digests": {**card.digests, "vectors.safetensors": digest}}), own)
        found = named(looked(device.models, settings(data), None), "model lung")
        assert (found.status, "stored outputs" in found.detail) == ("failed", True)

    def test_a_task_without_a_model_and_one_that_is_switched_off(self, data: Path, own: Path) -> None:
        found = named(looked(device.models, settings(data), None), "task uterine-lesions")
        assert (found.status, "switch the task off" in found.remedy) == ("failed", True)
        off = settings(data, models=Models(uterine_lesions=Model(enabled=False)))
        assert named(looked(device.models, off, None), "task uterine-lesions").status == "ok"

    def test_a_demonstration_before_a_destination_that_is_no_test(
        self, data: Path, own: Path, chosen: tuple[Named, ...]
    ) -> None:
        clinic = SiteTables(destinations=(destination(1, "clinic", test=False),))
        found = named(looked(device.models, settings(data), clinic, chosen), "task lung-signs")
        assert (found.status, "clinic" in found.detail) == ("warning", True)
        test = SiteTables(destinations=(destination(1, "clinic"),))
        assert named(looked(device.models, settings(data), test, chosen), "task lung-signs").status == "ok"

    def test_a_device_that_is_none_or_not_there(self, data: Path) -> None:
        found = one(device.device, settings(data, classify=Classify(device="toaster")))
        assert (found.status, "classify.device" in found.remedy) == ("failed", True)
        assert one(device.device, settings(data, classify=Classify(device="cpu"))).status == "ok"
        wanted = one(device.device, settings(data, classify=Classify(device="cuda:99")))
        assert (wanted.status, "classify.device" in wanted.remedy) == ("failed", True)
        if torch.cuda.is_available():
            assert "cuda:0" in one(device.device, settings(data)).detail
            return
        assert "no NVIDIA driver" in one(device.device, settings(data)).detail
        assert one(device.device, settings(data)).status == "ok"
        assert "no NVIDIA driver" in one(device.device, settings(data, classify=Classify(device="cuda"))).detail


class TestSite:
    def test_tables_that_route_or_send_nothing(self, data: Path) -> None:
        opened = open_engine(settings(data).database_url)
        found = one(doctor.peers.tables, opened)
        assert (found.status, "dicom-ai apply" in found.remedy) == ("failed", True)
        in_force(data, SiteTables())
        found = looked(doctor.peers.tables, opened)
        assert status(found) == {"site tables": "ok", "routes": "failed", "destinations": "failed"}
        assert all("dicom-ai apply" in check.remedy for check in found[1:])
        in_force(data, SiteTables(routes=(Route(task="lung-signs"),), destinations=(destination(1, results=False),)))
        found = looked(doctor.peers.tables, opened)
        assert status(found) == {"site tables": "ok", "routes": "warning", "destinations": "warning"}
        routes = (Route(task="lung-signs", body_part="LUNG"),)
        in_force(data, SiteTables(routes=routes, destinations=(destination(1),)))
        assert set(status(looked(doctor.peers.tables, opened)).values()) == {"ok"}
        opened.dispose()

    def test_destinations_are_called_all_at_once_and_each_has_its_line(self, data: Path, tmp_path: Path) -> None:
        opened, known = open_engine(settings(data).database_url), settings(data, deliver=Deliver(connect_timeout_s=1.0))
        with contextmanager(silent)() as mute, pacs(tmp_path / "in") as peer:
            places = [destination(peer.port, "there"), destination(free_port(), "gone")]
            places += [destination(mute, f"mute-{number}") for number in range(4)]
            in_force(data, SiteTables(destinations=tuple(places)))
            begun = datetime.now(UTC)
            found = looked(doctor.peers.destinations, opened, known)
            took_s = (datetime.now(UTC) - begun).total_seconds()
            assert {name.split()[1]: said for name, said in status(found).items()} == {
                "there": "ok", "gone": "failed", **{f"mute-{number}": "failed" for number in range(4)},
            }  # fmt: skip
            assert took_s < 6.0, "four that do not answer within a second are waited for at the same time"
            remedy = named(found, "destination gone").remedy
            assert all(part in remedy for part in ("firewall", "DICOM_AI", "PACS@127.0.0.1"))
        assert named(looked(doctor.peers.destinations, opened, known), "destination there").status == "failed", (
            "stopped"
        )
        opened.dispose()


class TestWhole:
    def test_before_the_first_start_it_says_what_to_do_and_makes_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert doctor.doctor(settings(tmp_path / "data"), NOW, as_json=True) == 1
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert all(set(row) == {"check", "status", "detail", "remedy"} for row in rows)
        assert {row["check"] for row in rows if row["status"] == "failed"} == {"data folder", "database"}
        assert all("dicom-ai serve" in row["remedy"] for row in rows if row["status"] == "failed")
        assert all(row["remedy"] for row in rows if row["status"] != "ok")
        assert list(tmp_path.iterdir()) == []

    def test_a_sound_installation_fails_in_nothing(
        self, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pacs(tmp_path / "in") as peer:
            routes = (Route(task="lung-signs", body_part="LUNG"),)
            in_force(data, SiteTables(routes=routes, destinations=(destination(peer.port),)))
            assert doctor.doctor(settings(data), datetime.now(UTC), as_json=False) == 0
        out = capsys.readouterr().out
        assert "destination pacs: PACS@127.0.0.1" in out
        assert "0 failed, 1 to look at" in out, "only that the service does not run"

    def test_a_check_that_fails_itself_is_a_finding(self) -> None:
        def broken() -> Iterator[Check]:
            raise ZeroDivisionError("a text that might hold a name")
            yield

        found = one(broken)
        assert (found.status, "ZeroDivisionError" in found.detail, "might hold" in found.detail) == (
            "failed",
            True,
            False,
        )


def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield listening.getsockname()[1]


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's rights, in this process."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
