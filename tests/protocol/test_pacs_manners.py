"""Every manner of the simulated PACS, met by DCMTK and by our own courier: what each is told and what is kept."""

import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import pytest

from dicom_ai.instance import US_IMAGE
from dicom_ai.simulate.exam import Shot, exam
from dicom_ai.simulate.pacs import SimulatedPacs, parse_manners
from dicom_ai.simulate.patients import patient_of
from dicom_ai.site import SiteTables
from tests.stored import stored
from tests.workplace import Workplace, destination, small_cropper, workplace

pytestmark = pytest.mark.protocol

# manners -> (what DCMTK says, what is kept), (state and reason of our delivery, what is kept)
MANNERS: dict[tuple[str, ...], tuple[tuple[str, int], tuple[str, str | None, int]]] = {
    (): (("Success", 1), ("sent", None, 1)),
    ("slow:300",): (("Success", 1), ("sent", None, 1)),
    (f"refuse:{US_IMAGE}",): (("No valid Presentation Context", 0), ("dead", "class_refused", 0)),
    ("status:B007",): (("Warning", 1), ("sent", None, 1)),
    ("status:C000",): (("Error: CannotUnderstand", 0), ("dead", "peer_failed", 0)),
    ("status:A700",): (("Refused: OutOfResources", 0), ("queued", None, 0)),
    ("lose",): (("Success", 0), ("sent", None, 0)),
    ("slow:1500", "vanish:0.4"): (("Peer", 0), ("queued", None, 0)),
}
IDS = [" ".join(manners).replace(US_IMAGE, "US") or "good" for manners in MANNERS]


class Peer:
    """A PACS for the length of a block, and what it said."""

    def __init__(self, folder: Path, manners: tuple[str, ...]) -> None:
        self.rows: list[dict[str, Any]] = []
        self.folder = folder
        clock = lambda: datetime.now(UTC)  # noqa: E731
        self._pacs = SimulatedPacs(folder, clock=clock, manners=parse_manners(manners), tell=self.rows.append)

    def __enter__(self) -> Self:
        self.port = self._pacs.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pacs.stop()

    def kept(self) -> int:
        return len(list(self.folder.rglob("*.dcm")))


@pytest.mark.parametrize("manners", MANNERS, ids=IDS)
def test_dcmtk_meets_it(tmp_path: Path, manners: tuple[str, ...]) -> None:
    tool = shutil.which("storescu") or pytest.skip("DCMTK is not installed (Debian package dcmtk)")
    said, n_kept = MANNERS[manners][0]
    one = stored(tmp_path, 1)
    with Peer(tmp_path / "pacs", manners) as peer:
        command = [tool, "-v", "-xe", "127.0.0.1", str(peer.port), str(one.path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert said in done.stdout + done.stderr
        time.sleep(1.5 if "slow:1500" in manners else 0)  # nothing is kept behind our back either
        assert peer.kept() == n_kept
        if "vanish:0.4" not in manners:
            assert [(row["sop_uid"], row["kept"]) for row in peer.rows] == [(one.uid, bool(n_kept))] * (
                "refuse" not in manners[0] if manners else 1
            )


@pytest.mark.parametrize(
    "manners",
    [
        pytest.param(one, id=name, marks=() if name in ("refuse:US", "lose", "status:A700") else pytest.mark.verify)
        for one, name in zip(MANNERS, IDS, strict=True)
    ],
)
def test_our_courier_meets_it(tmp_path: Path, manners: tuple[str, ...]) -> None:
    state, reason, n_kept = MANNERS[manners][1]
    (ds,) = exam("lung", seed=1, patient=patient_of(1), layout="epiq-7c-clip", content=(Shot(frozenset()),))
    with Peer(tmp_path / "pacs", manners) as peer, small_cropper() as cropper:
        site = SiteTables(destinations=(destination(peer.port),))
        work: Workplace = workplace(tmp_path / "data", cropper, (), site=site)
        work.receive(ds)
        work.deliver()
        (row,) = work.deliveries("source")
        assert (row.state, row.reason) == (state, reason)
        assert peer.kept() == n_kept


def test_manners_go_together(tmp_path: Path) -> None:
    """A refusing, slow, losing PACS is slow and refuses and loses."""
    manners = parse_manners(["slow:50", "lose", f"refuse:{US_IMAGE}"])
    assert (manners.slow_s, manners.lose, manners.refused) == (0.05, True, {US_IMAGE})
