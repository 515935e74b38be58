"""The commands send, echo and simulate against a PACS on a socket: exit codes, rows and tables."""

import json
from pathlib import Path

import pytest

from dicom_ai.commands import network
from dicom_ai.errors import SettingsError
from dicom_ai.settings import Deliver, Settings
from tests.peers import free_port
from tests.stored import stored
from tests.workplace import pacs

SETTINGS = Settings(deliver=Deliver(connect_timeout_s=10.0, response_timeout_s=10.0))


def rows(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_send_says_what_became_of_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    made = [stored(tmp_path / "in", number) for number in (1, 2)]
    with pacs(tmp_path / "pacs") as peer:
        code = network.send([tmp_path / "in"], f"PACS@127.0.0.1:{peer.port}", "ME", SETTINGS, as_json=True)
    assert code == 0
    assert [(row["status"], row["dimse"], row["sop_uid"]) for row in rows(capsys)] == [
        ("sent", "0x0000", one.uid) for one in made
    ]
    assert [row["sop_uid"] for row in peer.rows] == [one.uid for one in made]


@pytest.mark.parametrize(("manners", "reason"), [("status:C000", "peer_failed"), ("status:A700", "peer_failed")])
def test_send_fails_when_a_file_is_not_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], manners: str, reason: str
) -> None:
    one = stored(tmp_path, 1)
    with pacs(tmp_path / "pacs", manners) as peer:
        assert network.send([one.path], f"PACS@127.0.0.1:{peer.port}", "ME", SETTINGS, as_json=False) == 1
    out = capsys.readouterr().out
    assert "failed" in out
    assert reason in out


def test_send_to_nobody_fails_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = stored(tmp_path, 1)
    assert network.send([one.path], f"PACS@127.0.0.1:{free_port()}", "ME", SETTINGS, as_json=True) == 1
    assert [(row["status"], row["reason"]) for row in rows(capsys)] == [("failed", "attempts_spent")]


@pytest.mark.parametrize("to", ["PACS", "PACS@host", "@host:104", "PACS@host:99999", "PACS@host:x"])
def test_a_node_that_is_no_node_is_refused(tmp_path: Path, to: str) -> None:
    with pytest.raises(SettingsError):
        network.echo(to, SETTINGS)


def test_echo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pacs(tmp_path / "pacs") as peer:
        assert network.echo(f"PACS@127.0.0.1:{peer.port}", SETTINGS) == 0
    assert "answered in" in capsys.readouterr().out
    assert network.echo(f"PACS@127.0.0.1:{free_port()}", SETTINGS) == 1
    assert capsys.readouterr().err


@pytest.mark.parametrize(("manner", "code"), [("slow:0", 0), ("status:A700", 1)])
def test_a_simulated_scanner_fails_when_an_object_is_not_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], manner: str, code: int
) -> None:
    plan = network.ScannerPlan("logiq-e9", "uterus", studies=1, seed=3, rate=0.0, abort_at=None)
    with pacs(tmp_path / "pacs", manner) as peer:
        assert network.simulate_scanner(plan, f"PACS@127.0.0.1:{peer.port}") == code
    assert {row["status"] for row in rows(capsys)} == ({"0x0000"} if code == 0 else {"0xA700"})
    assert len(peer.rows) == 3
