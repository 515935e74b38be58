"""The commands that talk DICOM without a service: send, echo, and the simulated scanner and PACS."""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dicom_ai.deliver.address import parse_address
from dicom_ai.deliver.echo import echo as call
from dicom_ai.deliver.paths import send_paths
from dicom_ai.errors import PeerError
from dicom_ai.rows import print_row, print_table
from dicom_ai.settings import Settings
from dicom_ai.simulate.device import devices
from dicom_ai.simulate.habits import parse_habits
from dicom_ai.simulate.pacs import SimulatedPacs, parse_manners
from dicom_ai.simulate.scanner import make_exams, send_exams


@dataclass(frozen=True)
class ScannerPlan:
    """What a simulated scanner does; `manners` are the words of `parse_habits`."""

    device: str
    exam: str
    studies: int
    seed: int
    rate: float
    abort_at: int | None
    manners: Sequence[str] = ()
    charset: str | None = None


def send(paths: Sequence[Path], to: str, from_ae: str, settings: Settings, *, as_json: bool) -> int:
    """Send files; 1 when one of them was not taken."""
    rows: list[dict[str, Any]] = []
    for row in send_paths(paths, parse_address(to), settings.deliver, from_ae=from_ae):
        rows.append(row)
        if as_json:
            print_row(row)
    if not as_json:
        lines = [(row["file"], row["status"], row["dimse"], row["reason"]) for row in rows]
        print_table(f"{len(rows)} files to {to}", ("file", "status", "DIMSE", "reason"), lines)
    return int(any(row["status"] == "failed" for row in rows))


def echo(to: str, settings: Settings) -> int:
    """C-ECHO a node; 1 when it does not answer."""
    try:
        elapsed_s = call(parse_address(to), settings.deliver)
    except PeerError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    sys.stdout.write(f"{to} answered in {elapsed_s * 1000:.0f} ms\n")
    return 0


def simulate_scanner(plan: ScannerPlan, to: str) -> int:
    """Draw studies and send them as a scanner does; 1 when an object was not taken in the end."""
    exams = make_exams(plan.device, plan.exam, plan.studies, plan.seed, charset=plan.charset)
    habits = parse_habits(plan.manners, abort_at=plan.abort_at)
    calling = devices()[plan.device].ae_title if plan.device in devices() else "LOGIQE9"
    last: dict[str, str] = {}
    for row in send_exams(exams, parse_address(to), rate=plan.rate, habits=habits, calling=calling):
        print_row(row)
        last[row.get("sop_uid") or row["transaction"]] = row["status"]
    return int(any(status != "0x0000" for status in last.values()))


def simulate_pacs(port: int, out: Path, manners: Sequence[str], now: Callable[[], datetime]) -> int:
    """Be a PACS until stopped; one JSON line per object, the first line says where it listens."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with SimulatedPacs(out, clock=now, manners=parse_manners(manners), tell=print_row, ae_title="PACS") as pacs:
        print_row({"ready": True, "ae": "PACS", "port": pacs.start(port)})
        stop.wait()
    return 0
