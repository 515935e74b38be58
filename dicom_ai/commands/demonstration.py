"""The demonstration: a simulated LOGIQ E9, the real service and a simulated PACS on this machine, shown as it happens.

Everything between scanner and PACS is the product: the same processes, ledger, models and objects. What is simulated
says so. It writes into one folder and nowhere else, listens on the loopback address only, and ends when told to.
"""

import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from dicom_ai import groundwork, log, service
from dicom_ai.deliver.address import Address
from dicom_ai.errors import SettingsError
from dicom_ai.report.text import report_lines, report_rows
from dicom_ai.settings import Settings, read_settings
from dicom_ai.simulate.exam import Exam
from dicom_ai.simulate.pacs import SimulatedPacs
from dicom_ai.simulate.scanner import make_exams, send_exams
from dicom_ai.site import Destination, Route, SiteTables
from dicom_ai.store.site_id import hold
from dicom_ai.supervisor import Supervisor

_MARK = ".dicom-ai-demonstration"  # only a folder that we made is emptied
_LIMIT_S = 300.0
_SR = "1.2.840.10008.5.1.4.1.1.88."
_CAPTURES = ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.4")


@dataclass
class _Arrived:
    """What the PACS has received, written by its threads."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    changed: threading.Event = field(default_factory=threading.Event)

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        self.changed.set()

    def count(self, is_wanted: Callable[[str], bool]) -> int:
        return sum(is_wanted(row["sop_class"]) for row in self.rows)


def run(folder: Path, *, seed: int, once: bool, clock: Callable[[], datetime]) -> int:
    """Show the whole way; 0 when both studies were answered.

    Args:
        folder: emptied at start if it is an earlier demonstration's.
        seed: of the simulated patients.
        once: end by itself when the results are there; otherwise serve until Ctrl-C.
        clock: gives aware times.

    Raises:
        SettingsError: the folder holds something else.
    """
    _prepare(folder)
    console = Console()
    arrived = _Arrived()
    settings = _settings(folder)
    with SimulatedPacs(folder / "pacs", clock=clock, tell=arrived.add, ae_title="DEMO_PACS") as pacs:
        pacs_port = pacs.start()
        with _served(settings, folder, pacs_port, clock) as port:
            console.print(f"service   DICOM_AI@127.0.0.1:{port}    log {folder / 'service.log'}")
            console.print(f"PACS      DEMO_PACS@127.0.0.1:{pacs_port}    folder {folder / 'pacs'}  (simulated)")
            exams = [*make_exams("logiq-e9", "lung", 1, seed), *make_exams("logiq-e9", "uterus", 1, seed)]
            answered = _watch(console, exams, port, arrived)
            _show(console, folder)
            if not answered:
                console.print(f"[red]Not every study was answered in {_LIMIT_S:.0f} s; see {folder / 'service.log'}[/]")
                return 1
            if not once:
                _serve_on(console, port)
    return 0


def _prepare(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
        raise SettingsError(f"{folder} is not empty and no earlier demonstration; name another folder with --data")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()


def _settings(folder: Path) -> Settings:
    return read_settings(
        Path(__file__).parents[1] / "simulate" / "demonstration.toml",
        # Said here, so that no variable of a real service's environment can lead the demonstration astray.
        store={"data": folder / "service", "database_url": "", "settle_quiet_s": 2.0, "settle_late_quiet_s": 4.0},
        receive={"ae_title": "DICOM_AI", "host": "127.0.0.1", "port": 0, "known_peers_only": False},
    )


@contextmanager
def _served(settings: Settings, folder: Path, pacs_port: int, clock: Callable[[], datetime]) -> Iterator[int]:
    """The service, running as `dicom-ai serve` runs it; gives its DICOM port."""
    log.configure("error", "text")
    destination = Destination(
        name="pacs", ae_title="DEMO_PACS", host="127.0.0.1", port=pacs_port, forward="all", results=True, test=True
    )
    routes = (
        Route(task="lung-signs", description_contains="lung"),
        Route(task="uterine-lesions", description_contains="transvaginal"),
    )
    with hold(settings.store.data), (folder / "service.log").open("w") as output:
        groundwork.prepare(settings)
        service.put_into_force(SiteTables(routes=routes, destinations=(destination,)), "demo", settings, clock())
        supervisor = Supervisor(settings, service.ROLES, log_to=output)
        port = int(supervisor.start()["port"])
        thread = threading.Thread(target=supervisor.run, daemon=True)
        thread.start()
        try:
            yield port
        finally:
            supervisor.stop()
            thread.join(40)


def _watch(console: Console, exams: Sequence[Exam], port: int, arrived: _Arrived) -> bool:
    """Send the studies and show what happens to them; True when every study has its report in the PACS."""
    n_objects = sum(len(exam) for exam in exams)
    columns = (TextColumn("{task.description:<34}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        sent = progress.add_task("scanner sends (simulated LOGIQ E9)", total=n_objects)
        forwarded = progress.add_task("originals forwarded to the PACS", total=n_objects)
        captures = progress.add_task("heatmaps in the PACS", total=n_objects)
        reports = progress.add_task("structured reports in the PACS", total=len(exams))
        for row in send_exams(exams, Address("DICOM_AI", "127.0.0.1", port)):
            if row["status"] != "0x0000":
                console.print(f"[red]the service refused an object: {row['status']}[/]")
            progress.advance(sent)
        for _ in range(round(_LIMIT_S / 0.2)):
            arrived.changed.wait(0.2)
            arrived.changed.clear()
            n_reports = arrived.count(lambda sop_class: sop_class.startswith(_SR))
            n_captures = arrived.count(lambda sop_class: sop_class in _CAPTURES)
            progress.update(forwarded, completed=len(arrived.rows) - n_reports - n_captures)
            progress.update(captures, completed=n_captures, total=max(n_captures, n_objects))
            progress.update(reports, completed=n_reports)
            if n_reports == len(exams) and len(arrived.rows) - n_reports - n_captures == n_objects:
                progress.update(captures, total=n_captures)
                return True
    return False


def _show(console: Console, folder: Path) -> None:
    """Findings, the reports as text, and the heatmaps as pictures, all read from what the PACS received."""
    texts, pictures = folder / "reports", folder / "heatmaps"
    texts.mkdir()
    pictures.mkdir()
    received = [pydicom.dcmread(path) for path in sorted((folder / "pacs").rglob("*.dcm"))]
    for report in (ds for ds in received if str(ds.SOPClassUID).startswith(_SR)):
        console.rule(str(report.SeriesDescription))
        for name, state, probability in report_rows(report):
            console.print(f"  {name:<32} {state:<14} {probability}", highlight=False)
        console.print()
        for line in report_lines(report, brief=True):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        path = texts / f"{str(report.SOPInstanceUID)[-8:]}.txt"
        path.write_text("\n".join(report_lines(report)) + "\n", encoding="utf-8")
        console.print(f"the whole report: {path}", highlight=False)
    console.rule("Heatmaps")
    for ds in (ds for ds in received if str(ds.SOPClassUID) in _CAPTURES):
        console.print(f"  {_picture(ds, pictures)}", highlight=False)
    console.print("Demonstration models are trained on drawings. NOT FOR CLINICAL USE.")


def _picture(ds: Dataset, folder: Path) -> Path:
    """The middle frame of a capture as PNG, so that it can be looked at without a viewer."""
    frames = int(ds.get("NumberOfFrames", 1))
    pixels = pixel_array(ds, index=frames // 2 if frames > 1 else None)
    path = folder / f"{ds.InstanceNumber:02d}-{str(ds.SOPInstanceUID)[-8:]}.png"
    cv2.imwrite(str(path), pixels[:, :, ::-1])
    return path


def _serve_on(console: Console, port: int) -> None:
    console.print(f"\nServing. Send your own studies to DICOM_AI@127.0.0.1:{port}; Ctrl-C ends.")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
