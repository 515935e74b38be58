"""Every kill point stands where its name says, kills once and only when armed, and costs nothing else."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydicom.uid import UltrasoundImageStorage
from pynetdicom import AE, evt
from sqlalchemy import event

from dicom_ai import points
from dicom_ai.simulate.pacs import listen
from dicom_ai.store import tables
from dicom_ai.store.files import Disk
from tests.databases import url_of
from tests.ledger import Place, place
from tests.stored import stored
from tests.workplace import destination, lung, pacs, small_cropper, tiny, workplace

ROOT = Path(__file__).parents[2]
OF_RECEIVING = ("after-fsync", "after-rename", "before-commit", "after-commit")


def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the tests or the product with these variables and none of ours from outside."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DICOM_AI_")}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, env={**plain, **changes}, capture_output=True, text=True, timeout=60)


def held(here: Place) -> tuple[int, int, int]:
    """How many files lie in the spool and in the store, and how many objects the ledger knows."""
    spool, store = here.data / "spool", here.data / "store"
    return len(list(spool.glob("*.part"))), len(list(store.rglob("*.dcm"))), len(here.rows(tables.objects))


def note_points(monkeypatch: pytest.MonkeyPatch, note: Callable[[str], None]) -> None:
    monkeypatch.setattr(points, "reached", note)


def test_the_durable_order_has_its_points_between_the_right_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real = Disk()

    def noted(name: str) -> Callable[..., None]:
        def call(*paths: Path) -> None:
            getattr(real, name)(*paths)
            steps.append(name)

        return call

    here = place(tmp_path, disk=Disk(noted("sync_file"), noted("rename"), noted("sync_directory")))
    batch = [here.spooled(number) for number in range(2)]
    event.listen(here.engine, "commit", lambda _: steps.append("commit"))
    note_points(monkeypatch, steps.append)
    steps.clear()
    assert [receipt.status for receipt in here.keeper.keep(batch)] == [0, 0]
    in_order = list(dict.fromkeys(step for step in steps if step != "commit"))
    assert in_order == ["sync_file", "after-fsync", "rename", "after-rename", "sync_directory", *OF_RECEIVING[2:]]
    assert steps[-3:] == ["before-commit", "commit", "after-commit"]
    assert [step for step in steps if step in points.POINTS] == list(OF_RECEIVING), "each of them once a batch"


@pytest.mark.parametrize(
    ("point", "left"),
    [
        ("after-fsync", (3, 0, 0)),
        ("after-rename", (0, 3, 0)),
        ("before-commit", (0, 3, 0)),
        ("after-commit", (0, 3, 3)),
    ],
)
def test_receiving_dies_at_the_point_and_once(tmp_path: Path, point: str, left: tuple[int, int, int]) -> None:
    armed = tmp_path / "armed"
    armed.mkdir()
    (armed / point).touch()
    arguments = ("tests.keep_and_die", str(tmp_path / "data"), "never", "1", url_of(tmp_path / "data"))
    killed = run(*arguments, **{points.VARIABLE: str(armed)})
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, ""), killed.stderr
    assert list(armed.iterdir()) == []
    here = place(tmp_path / "data")
    assert held(here) == left
    here.engine.dispose()
    if point == OF_RECEIVING[0]:
        again = run(*arguments, **{points.VARIABLE: str(armed)})
        assert (again.returncode, len(again.stdout.split())) == (0, 12), again.stderr


def test_without_the_variable_nobody_dies(tmp_path: Path) -> None:
    for point in points.POINTS:
        (tmp_path / point).touch()
    assert points._FOLDER == "", "the tests themselves run unarmed"
    for point in points.POINTS:
        points.reached(point)
    assert len(list(tmp_path.iterdir())) == len(points.POINTS)


def test_in_mid_send_a_part_has_gone_out_and_not_the_whole(tmp_path: Path) -> None:
    """A peer counts what reaches it of an object that is sent by `dicom-ai send`, which sends as the service does."""
    one = stored(tmp_path, 1, side=1024)
    armed, received, whole = tmp_path / "armed", [], []
    armed.mkdir()
    (armed / "mid-send").touch()
    entity = AE("PEER")
    entity.maximum_pdu_size = 131072
    entity.add_supported_context(UltrasoundImageStorage, one.syntax)
    handlers = [
        (evt.EVT_DATA_RECV, lambda event: received.append(event.data)),
        (evt.EVT_C_STORE, lambda event: whole.append(event) or 0x0000),
    ]
    server = listen(entity, ("127.0.0.1", 0), handlers)
    try:
        to = f"PEER@127.0.0.1:{server.server_address[1]}"
        killed = run("dicom_ai", "send", str(one.path), "--to", to, **{points.VARIABLE: str(armed)})
    finally:
        server.shutdown()
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not whole
    # PS3.8 9.3.5: byte 12 of a P-DATA-TF holds the control header; its lowest bit is 0 in a data set
    of_data_set = [data for data in received if data[0] == 4 and not data[11] & 1]
    assert of_data_set, "some of the data set has reached the peer"
    assert sum(map(len, of_data_set)) < len(one.dataset) / 2


def test_inference_and_sending_have_their_points_between_the_right_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    met: list[tuple[str, int, int]] = []
    with small_cropper() as cropper, pacs(tmp_path / "pacs") as peer:
        work = workplace(tmp_path / "data", cropper, [tiny(tmp_path / "model")])
        work.site = work.site.model_copy(update={"destinations": (destination(peer.port),)})

        def note(point: str) -> None:
            """The point, what was scored and committed before it, what the peer has and what is recorded as sent."""
            sent = sum(row.state == "sent" for row in work.deliveries())
            if point == "after-inference":
                met.append((point, len(work.rows(tables.scores)), 0))
            elif point in {"before-send", "mid-send", "after-answer"}:
                assert all(not row.is_open for row in work.rows(tables.outbox)), "what is due was picked up"
                met.append((point, len(peer.rows), sent))

        work.receive(*lung())
        set_id = work.closed_set()
        note_points(monkeypatch, note)
        work.analyse(set_id)
        assert met == [("after-inference", 0, 0), ("after-inference", 1, 0)]
        met.clear()
        assert work.deliver() == 5
    assert met[0] == ("before-send", 0, 0)
    assert [entry for entry in met if entry[0] == "after-answer"] == [("after-answer", n + 1, n) for n in range(5)]
    of_the_stills = [entry for entry in met if entry[0] == "mid-send"]
    assert of_the_stills[:2] == [("mid-send", 0, 0), ("mid-send", 1, 1)], "not yet answered, nor the next begun"
