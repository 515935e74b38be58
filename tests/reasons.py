"""One probe per reason: it gives real input to the real part and returns the reason that came of it.

The inputs are what a hospital could send or a machine could suffer. `tests/unit/test_reasons.py` runs them.
"""

import errno
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.tag import Tag
from pydicom.uid import JPEG2000MC, EnhancedUSVolumeStorage, RawDataStorage, SecondaryCaptureImageStorage

from dicom_ai.classify.catalogue import Installed
from dicom_ai.classify.runtime import Classifier
from dicom_ai.commands.exporting import Exporter
from dicom_ai.commitments import promising
from dicom_ai.crop.catalogue import Layout
from dicom_ai.crop.cropper import Cropper
from dicom_ai.engine import StepFailed
from dicom_ai.errors import DicomAIError
from dicom_ai.instance import OUR_MANUFACTURER
from dicom_ai.ledger import Ledger
from dicom_ai.ports import CommitmentRequest
from dicom_ai.receive.bounded import require_size
from dicom_ai.receive.scan import require_match, scan
from dicom_ai.report.header import part10
from dicom_ai.settings import Models
from dicom_ai.simulate.exam import Shot
from dicom_ai.site import SiteTables
from dicom_ai.store import rejections, tables
from dicom_ai.store.database import write
from dicom_ai.store.files import Disk
from dicom_ai.store.quarantine import discard, quarantined
from tests.disputes import Dispute
from tests.exports import BLIND, pixels, plain
from tests.ledger import Place, place
from tests.peers import free_port
from tests.unit.tiny_model import kept_pixels
from tests.workplace import CAPTURE_CLASSES, Workplace, destination, lung, pacs, small_cropper, tiny, workplace

_ALL_ON = Models()


@dataclass(frozen=True)
class Parts:
    """What a probe may use: a folder of its own, and parts that cost time to make."""

    folder: Path
    cropper: Cropper
    model: Installed

    def work(
        self,
        *,
        site: SiteTables | None = None,
        models: tuple[Installed, ...] | None = None,
        switches: Models = _ALL_ON,
    ) -> Workplace:
        there = (self.model,) if models is None else models
        return workplace(self.folder / "data", self.cropper, there, site=site, switches=switches)

    def cropped(self, ds: Dataset, cropper: Cropper | None = None) -> str | None:
        path = self.folder / "object.dcm"
        path.write_bytes(part10(ds))
        return (cropper or self.cropper).crop(path, 4)[0].reason


def still() -> Dataset:
    """One sound object."""
    (ds,) = lung(Shot(frozenset({"b_lines"})))
    return ds


def of_error(call: Callable[[], object]) -> str | None:
    with pytest.raises(DicomAIError) as caught:
        call()
    return caught.value.reason


def unreadable(parts: Parts) -> str | None:
    return of_error(lambda: scan(b"not a data set", "1.2.840.10008.1.2.1"))


def sop_mismatch(parts: Parts) -> str | None:
    ds = still()
    return of_error(lambda: require_match(ds, RawDataStorage, ds.SOPInstanceUID))


def conflict(parts: Parts) -> str | None:
    here = place(parts.folder / "data")
    here.keeper.keep([here.spooled(1), here.spooled(1, content=b"other content")])
    (row,) = (row for row in here.rows(tables.objects) if row.state == "conflict")
    return str(row.reason)


def replaced(parts: Parts) -> str | None:
    dispute = Dispute(place(parts.folder / "data"))
    first = dispute.send(1, "first content")
    dispute.send(1, "other content")
    dispute.resolve(1, "new")
    return dispute.state_of(first)[1]


def no_space(parts: Parts) -> str | None:
    here = place(parts.folder / "data", min_free_mib=1 << 40)
    return of_error(here.files.new_spool)


def too_large(parts: Parts) -> str | None:
    return of_error(lambda: require_size(1 << 20, (1 << 20) - 1))


def store_failed(parts: Parts) -> str | None:
    def broken(path: Path) -> None:
        raise OSError(errno.EIO, "disk")

    here = place(parts.folder / "data", disk=Disk(sync_file=broken))
    return here.keeper.keep([here.spooled(1)])[0].reason


def object_reason(here: Place) -> str | None:
    (row,) = here.rows(tables.objects)
    return str(row.reason)


def not_ultrasound(parts: Parts) -> str | None:
    here = place(parts.folder / "data")
    here.keeper.keep([here.spooled(1, sop_class_uid=str(RawDataStorage))])
    return object_reason(here)


def secondary_capture(parts: Parts) -> str | None:
    here = place(parts.folder / "data")
    here.keeper.keep([here.spooled(1, sop_class_uid=str(SecondaryCaptureImageStorage), modality="US")])
    return object_reason(here)


def ultrasound_volume(parts: Parts) -> str | None:
    here = place(parts.folder / "data")
    here.keeper.keep([here.spooled(1, sop_class_uid=str(EnhancedUSVolumeStorage), modality="US")])
    return object_reason(here)


def own_result(parts: Parts) -> str | None:
    here = place(parts.folder / "data")
    here.keeper.keep([here.spooled(1, manufacturer=OUR_MANUFACTURER, is_own_result=True)])
    return object_reason(here)


def no_task(parts: Parts) -> str | None:
    here = place(parts.folder / "data", task=lambda *_: None)
    here.keeper.keep([here.spooled(1)])
    return object_reason(here)


def mixed_patient(parts: Parts) -> str | None:
    first, second = lung()
    second.PatientID = "ANOTHER"
    work = parts.work()
    work.receive(first, second)
    work.closed_set()
    (reason,) = {row.reason for row in work.rows(tables.objects)}
    return str(reason)


def unsupported_syntax(parts: Parts) -> str | None:
    (ds,) = lung(Shot(frozenset({"b_lines"}), frames=2))
    ds.file_meta.TransferSyntaxUID = JPEG2000MC
    return parts.cropped(ds)


def decode_failed(parts: Parts) -> str | None:
    ds = still()
    ds.BitsAllocated = 32
    return parts.cropped(ds)


def malformed(parts: Parts) -> str | None:
    """A delimiter between two elements hides what follows from a lenient reader."""
    path = parts.folder / "object.dcm"
    whole = part10(still())
    at = whole.index(b"\x28\0\x02\0US")  # Samples per Pixel
    path.write_bytes(whole[:at] + b"\xfe\xff\x0d\xe0\0\0\0\0" + whole[at:])
    return parts.cropper.crop(path, 4)[0].reason


def pixel_length(parts: Parts) -> str | None:
    ds = still()
    ds.Rows -= 2
    return parts.cropped(ds)


def frame_count(parts: Parts) -> str | None:
    (ds,) = lung(Shot(frozenset({"b_lines"}), frames=3))
    ds.NumberOfFrames = 2
    return parts.cropped(ds)


def frame_size(parts: Parts) -> str | None:
    (ds,) = lung(Shot(frozenset({"b_lines"}), frames=2))
    first, second = generate_frames(ds.PixelData, number_of_frames=2)
    at = second.index(b"\xff\xc0") + 5  # rows in the frame header
    second = second[:at] + (ds.Rows - 8).to_bytes(2, "big") + second[at + 2 :]
    ds.PixelData = encapsulate([first, second])
    return parts.cropped(ds)


def pixels_truncated(parts: Parts) -> str | None:
    path = parts.folder / "object.dcm"
    path.write_bytes(part10(still())[:-1000])
    return parts.cropper.crop(path, 4)[0].reason


def colour_wrong(parts: Parts) -> str | None:
    (ds,) = lung(Shot(frozenset({"b_lines"}), rgb=True))
    ds.PhotometricInterpretation = "YBR_FULL"
    return parts.cropped(ds)


def background_not_black(parts: Parts) -> str | None:
    ds = still()
    ds.PhotometricInterpretation = "MONOCHROME1"
    return parts.cropped(ds)


class Fatal:
    """A cropper whose children are killed as soon as they are there, as a system short of memory does it."""

    def __init__(self) -> None:
        self.cropper = small_cropper()
        self._spared = _children()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Cropper:
        self._thread.start()
        return self.cropper.__enter__()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.cropper.close()

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            for pid in _children() - self._spared:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _children() -> set[int]:
    """Decoding children of this process."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            for pid in (task / "children").read_text().split():
                if b"crop.child" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.add(int(pid))
    return found


def decoder_died(parts: Parts) -> str | None:
    with Fatal() as cropper:
        return parts.cropped(still(), cropper)


def decode_timeout(parts: Parts) -> str | None:
    with small_cropper(timeout_s=0.01) as cropper:  # a child takes longer to start
        return parts.cropped(still(), cropper)


def no_regions(parts: Parts) -> str | None:
    ds = still()
    del ds.SequenceOfUltrasoundRegions
    return parts.cropped(ds)


def _with_region(parts: Parts, x0: int, y0: int, x1: int, y1: int) -> str | None:
    ds = still()
    item = ds.SequenceOfUltrasoundRegions[0]
    item.RegionLocationMinX0, item.RegionLocationMinY0 = x0, y0
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = x1, y1
    return parts.cropped(ds)


def region_overflow(parts: Parts) -> str | None:
    return _with_region(parts, 0, 100, still().Columns + 40, 500)


def region_empty(parts: Parts) -> str | None:
    return _with_region(parts, 100, 100, 100, 500)


def region_whole_frame(parts: Parts) -> str | None:
    return _with_region(parts, 0, 0, still().Columns - 1, still().Rows - 1)


def unknown_model(parts: Parts) -> str | None:
    ds = still()
    ds.Manufacturer = ds.ManufacturerModelName = None
    return parts.cropped(ds)


def layout_disagrees(parts: Parts) -> str | None:
    """People approved a screen whose pictures all lie in the left third."""
    ds = still()
    third = ((0.0, 0.0), (ds.Columns / 3, 0.0), (ds.Columns / 3, float(ds.Rows)), (0.0, float(ds.Rows)))
    maker, model = str(ds.Manufacturer), str(ds.ManufacturerModelName)
    layout = Layout("approved", maker, model, None, ds.Rows, ds.Columns, (third,), "approved")
    path = parts.folder / "object.dcm"
    path.write_bytes(part10(ds))
    return parts.cropper.crop(path, 4, [layout])[0].reason


def no_picture(parts: Parts) -> str | None:
    ds = still()
    ds.PixelData = bytes(len(ds.PixelData))
    return parts.cropped(ds)


def witnesses_disagree(parts: Parts) -> str | None:
    ds = still()
    item = ds.SequenceOfUltrasoundRegions[0]
    item.RegionLocationMaxX1 = (item.RegionLocationMinX0 + item.RegionLocationMaxX1) // 2  # of a smaller picture
    return parts.cropped(ds)


def text_on_tissue(parts: Parts) -> str | None:
    ds = still()
    frame = np.frombuffer(ds.PixelData, np.uint8, ds.Rows * ds.Columns).reshape(ds.Rows, ds.Columns).copy()
    cv2.putText(frame, "PHANTOM 1970", (480, 400), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (230,), 1, cv2.LINE_AA)
    ds.PixelData = frame.tobytes()
    return parts.cropped(ds)


def discarded(parts: Parts) -> str | None:
    ds = still()
    del ds.SequenceOfUltrasoundRegions
    work = parts.work()
    work.answered(ds)
    with write(work.here.engine) as connection:
        (found,) = quarantined(connection)
        discard(connection, found, by="A. Person", why="no picture", now=work.here.clock())
    return object_reason(work.here)


def proof_failed(parts: Parts) -> str | None:
    """A disk that loses the end of what was written."""
    path = parts.folder / "object.dcm"
    path.write_bytes(part10(plain()))
    whole = pixels()
    with Exporter(parts.folder / "out", "5" * 64, BLIND, reread=lambda file: file.read_bytes()[:-2]) as exporter:
        return exporter.add(path, whole.outcome, whole)[0].reason


def disabled(parts: Parts) -> str | None:
    work = parts.work(switches=Models.model_validate({"lung-signs": {"enabled": False}}))
    work.receive(still())
    set_id = work.closed_set()
    return of_error(lambda: work.story.choose_model(set_id))


def not_released(parts: Parts) -> str | None:
    work = parts.work(site=SiteTables(destinations=(destination(1, release="hold"),)))
    work.answered(still())
    return str(work.deliveries("report")[0].reason)


def superseded(parts: Parts) -> str | None:
    first, late = lung()
    work = parts.work()
    work.answered(first)
    work.answered(late)
    return str(work.deliveries("report")[0].reason)


def no_model(parts: Parts) -> str | None:
    work = parts.work(site=SiteTables(destinations=(destination(1, test=False),)))
    work.answered(still())
    return str(work.deliveries("report")[0].reason)


def no_model_at_all(parts: Parts) -> str | None:
    return of_error(lambda: parts.work(models=()).analyst.model_for("lung-signs"))


def non_finite(parts: Parts) -> str | None:
    """A card whose scaling overflows on pixels, although the network answers its test vectors."""
    tiny(parts.folder / "model", input={"size": 64, "channels": 1, "mean": [0.5], "std": [1e-40]})
    network = Classifier(parts.folder / "model", device="cpu")
    return of_error(lambda: network.score(kept_pixels(1)))


def identity_unreadable(parts: Parts) -> str | None:
    ds = still()
    del ds.SpecificCharacterSet
    name = "王^小东".encode("gbk")
    ds[Tag("PatientName")] = RawDataElement(Tag("PatientName"), "PN", len(name), name, 0, False, True)
    work = parts.work()
    return of_error(lambda: work.answered(ds))


def analysis_failed(parts: Parts) -> str | None:
    work = parts.work()
    work.receive(still())
    set_id = work.closed_set()
    work.story.failed(set_id, 99, StepFailed("OSError", "retry", None), "job")
    return str(work.events("set_ended")[0]["reason"])


def delivered(parts: Parts, *manners: str, tables_in_force: bool = True) -> Workplace:
    with pacs(parts.folder / "pacs", *manners) as peer:
        work = parts.work(site=SiteTables(destinations=(destination(peer.port),)))
        work.receive(still())
        if not tables_in_force:
            work.site = SiteTables()
        work.deliver()
    return work


def the_reason(work: Workplace) -> str | None:
    (row,) = work.deliveries()
    assert row.state == "dead"
    return str(row.reason)


def identity_conflict(parts: Parts) -> str | None:
    ds = still()
    work = parts.work()
    work.answered(ds)
    ds.PatientID = "ANOTHER"  # the same UID, another patient
    work.receive(ds)
    (reason,) = {row.reason for row in work.deliveries() if row.kind != "source"}
    return str(reason)


def recalled(parts: Parts) -> str | None:
    work = parts.work(site=SiteTables(destinations=(destination(free_port()),)))
    key = work.answered(still())
    with write(work.here.engine) as connection:
        rejections.stop(connection, key, work.here.clock())
    (reason,) = {row.reason for row in work.deliveries() if row.kind != "source"}
    return str(reason)


def class_refused(parts: Parts) -> str | None:
    return the_reason(delivered(parts, f"refuse:{still().SOPClassUID}"))


def other_form(parts: Parts) -> str | None:
    (clip,) = lung(Shot(frozenset({"b_lines"}), frames=3))
    with pacs(parts.folder / "no-clips", f"refuse:{CAPTURE_CLASSES[1]}") as peer:
        work = parts.work(site=SiteTables(destinations=(destination(peer.port),)))
        work.answered(clip)
        work.deliver()
    (row,) = [row for row in work.deliveries("capture") if row.state == "dead"]
    return str(row.reason)


def peer_failed(parts: Parts) -> str | None:
    return the_reason(delivered(parts, "status:C000"))


def no_destination(parts: Parts) -> str | None:
    return the_reason(delivered(parts, tables_in_force=False))


def no_address(parts: Parts) -> str | None:
    work = parts.work(site=SiteTables())
    ledger = Ledger(work.here.engine, work.here.jobs, work.here.clock)
    promising(ledger, 5.0)(CommitmentRequest("SCANNER", "DICOM_AI", "1.2.77.1", (("1.2", "1.2.3.1"),)))
    assert work.story.report_commitment("1") == "queued"
    (row,) = work.rows(tables.alarms)
    return str(row.reason)


def attempts_spent(parts: Parts) -> str | None:
    work = parts.work(site=SiteTables(destinations=(destination(free_port()),)))
    work.receive(still())
    work.here.clock.forward(3601)  # the retention time of these tests is an hour
    work.deliver()
    return the_reason(work)


PROBES: dict[str, Callable[[Parts], str | None]] = {
    probe.__name__: probe
    for probe in (
        unreadable, sop_mismatch, conflict, replaced, identity_conflict, no_space, too_large, store_failed,
        not_ultrasound, secondary_capture, ultrasound_volume, own_result, no_task, mixed_patient,
        malformed, pixel_length, frame_count, frame_size, pixels_truncated, colour_wrong, background_not_black,
        unsupported_syntax, decode_failed, decoder_died, decode_timeout, no_regions, region_overflow, region_empty,
        region_whole_frame, unknown_model, layout_disagrees, no_picture,
        witnesses_disagree, text_on_tissue, proof_failed, discarded, disabled, not_released, superseded,
        no_model, non_finite, identity_unreadable, analysis_failed, class_refused, other_form, peer_failed,
        no_destination, no_address, attempts_spent, recalled,
    )
}  # fmt: skip
