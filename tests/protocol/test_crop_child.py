"""The decoding child as a process: what it answers, what it refuses, how it dies, and that it never outlives anyone."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from dicom_ai.crop.cropper import Cropper
from dicom_ai.crop.emit import full_frame
from dicom_ai.instance import OUR_MANUFACTURER, US_IMAGE, US_MULTI_FRAME
from dicom_ai.kept import mask_of, sampled_frames

ROWS, COLUMNS = 480, 640
REGION = (20, 40, 619, 469)
CANARY = "CANARY^IDENTITY"


def screens(frames=1):
    """Grey sector screens with a name above and inside the region; also where the sector is."""
    random = np.random.default_rng(3)
    ys, xs = np.mgrid[:ROWS, :COLUMNS] + 0.5
    radius, angle = np.hypot(xs - 320, ys - 10), np.arctan2(xs - 320, ys - 10)
    sector = (radius > 80) & (radius < 430) & (np.abs(angle) < 0.6)
    noise = random.integers(0, 256, (frames, ROWS, COLUMNS)).astype(np.float32)
    speckle = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in noise])  # white noise has lines like letters
    clip = np.where(sector, np.clip((speckle - 128) * 2.5 + 90, 20, 200), 0).astype(np.uint8)
    for frame in clip:
        cv2.putText(frame, "DOE JANE 1970", (20, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2)
        cv2.putText(frame, "DOE", (40, 80), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2)
    return clip, sector


def instance(clip, **changes):
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    ds.SOPClassUID = US_IMAGE if len(clip) == 1 else US_MULTI_FRAME
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = "2.25.1", "2.25.2", "2.25.3"
    ds.PatientName, ds.Modality, ds.Manufacturer = CANARY, "US", "Invented"
    ds.Rows, ds.Columns, ds.NumberOfFrames = clip.shape[1], clip.shape[2], len(clip)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    item = Dataset()
    item.RegionSpatialFormat = item.RegionDataType = 1
    item.RegionLocationMinX0, item.RegionLocationMinY0, item.RegionLocationMaxX1, item.RegionLocationMaxY1 = REGION
    ds.SequenceOfUltrasoundRegions = [item]
    ds.PixelData = clip.tobytes()
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    return ds


def saved(tmp_path, ds, name="a.dcm"):
    path = tmp_path / name
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def sound(tmp_path):
    return saved(tmp_path, instance(screens()[0]), "sound.dcm")


def cropper(**changes):
    return Cropper(**({"children": 1, "memory_mib": 1024, "timeout_s": 30.0, "recycle_after": 50} | changes))


def children_of(pid):
    """Decoding children; the test process may have others, a database server for one."""
    stats = (entry / "stat" for entry in Path("/proc").iterdir() if entry.name.isdigit())
    found = []
    for stat in stats:
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            is_decoder = b"dicom_ai.crop.child" in stat.with_name("cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid and fields[0] != "Z" and is_decoder:
            found.append(int(stat.parent.name))
    return found


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_still_comes_back_with_the_sector_only(sound):
    clip, sector = screens()
    with cropper() as crop:
        outcome, kept = crop.crop(sound, 16)
    assert (outcome.status, outcome.frames, kept.frame_numbers) == ("cropped", 1, (1,))
    mask = mask_of(outcome.keep, ROWS, COLUMNS)
    screen = full_frame(kept, 0)[:, :, 0]
    assert np.array_equal(screen, np.where(mask, clip[0], 0))
    assert not (mask & ~sector).any()
    assert mask.sum() / sector.sum() > 0.94


def test_clip_is_sampled_and_every_frame_is_the_right_one(tmp_path):
    clip, _ = screens(17)
    with cropper() as crop:
        outcome, kept = crop.crop(saved(tmp_path, instance(clip)), 8)
    assert kept.frame_numbers == sampled_frames(17, 8)
    mask = mask_of(outcome.keep, ROWS, COLUMNS)
    for index, number in enumerate(kept.frame_numbers):
        assert np.array_equal(full_frame(kept, index)[:, :, 0], np.where(mask, clip[number - 1], 0))


def test_jpeg_clip_is_decoded(tmp_path):
    clip, _ = screens(3)
    frames = [cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes() for frame in clip]
    ds = instance(clip, PixelData=encapsulate(frames))
    ds.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    with cropper() as crop:
        outcome, kept = crop.crop(saved(tmp_path, ds), 8)
    assert (outcome.status, kept.frame_numbers) == ("cropped", (1, 2, 3))


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        pytest.param({"SOPClassUID": uid.CTImageStorage}, "quarantined", "not_ultrasound", id="other class"),
        pytest.param(
            {"Manufacturer": OUR_MANUFACTURER, "ImageType": ["DERIVED", "PRIMARY"]},
            "quarantined",
            "own_result",
            id="own",
        ),
        pytest.param({"SequenceOfUltrasoundRegions": []}, "quarantined", "no_regions", id="no regions"),
        pytest.param({"Rows": 200}, "quarantined", "pixel_length", id="fewer rows than pixels"),
        pytest.param({"PixelData": b"\0" * (ROWS * COLUMNS)}, "quarantined", "no_picture", id="black"),
        pytest.param({"PixelData": b"\0" * 99}, "quarantined", "pixel_length", id="short"),
        pytest.param({"Columns": 0}, "quarantined", "decode_failed", id="no columns"),
        pytest.param({"SamplesPerPixel": None}, "quarantined", "decode_failed", id="no samples"),
    ],
)
def test_refusal_names_its_reason(tmp_path, changes, status, reason):
    with cropper() as crop:
        outcome, kept = crop.crop(saved(tmp_path, instance(screens()[0], **changes)), 16)
    assert (outcome.status, outcome.reason, kept) == (status, reason, None)


def test_syntaxes_without_decoder_are_named(tmp_path, sound):
    with cropper() as crop:
        for syntax in (uid.DeflatedExplicitVRLittleEndian, uid.JPEG2000MC):
            ds = instance(screens()[0])
            ds.file_meta.TransferSyntaxUID = syntax
            if syntax == uid.JPEG2000MC:
                ds.PixelData = encapsulate([b"\0" * 64])
            assert crop.crop(saved(tmp_path, ds), 16)[0].reason == "unsupported_syntax"


@pytest.mark.parametrize("content", [b"", b"not DICOM", b"\0" * 128 + b"DICM" + b"\xff" * 500])
def test_unreadable_bytes_fail_and_the_next_object_is_fine(tmp_path, sound, content):
    (tmp_path / "bad").write_bytes(content)
    with cropper() as crop:
        assert crop.crop(tmp_path / "bad", 16)[0].row()["status"] == "failed"
        assert crop.crop(tmp_path / "missing", 16)[0].reason == "unreadable"
        assert crop.crop(sound, 16)[0].status == "cropped"


def test_memory_limit_ends_the_object_not_the_service(tmp_path, sound):
    clip = np.zeros((1, 9000, 12000), np.uint8)
    clip[:] = np.random.default_rng(1).integers(20, 200, 12000, np.uint8)
    greedy = saved(tmp_path, instance(clip))
    with cropper(memory_mib=512) as crop:
        outcome, kept = crop.crop(greedy, 16)
        assert (outcome.status, kept) == ("quarantined", None)
        assert outcome.reason in {"decoder_died", "decode_failed"}
        assert crop.crop(sound, 16)[0].status == "cropped"


def test_one_death_of_a_child_costs_no_object(sound):
    with cropper() as crop:
        assert crop.crop(sound, 16)[0].status == "cropped"
        (child,) = children_of(os.getpid())
        os.kill(child, signal.SIGSTOP)  # so that it dies with a request on its hands
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(crop.crop, sound, 16)
            time.sleep(0.1)
            os.kill(child, signal.SIGKILL)
            assert answer.result()[0].status == "cropped"


def test_an_object_on_which_every_child_dies_is_quarantined_alone(sound):
    with cropper() as crop, ThreadPoolExecutor(1) as pool:
        assert crop.crop(sound, 16)[0].status == "cropped"
        os.kill(children_of(os.getpid())[0], signal.SIGSTOP)
        answer = pool.submit(crop.crop, sound, 16)
        while not answer.done():
            for child in children_of(os.getpid()):
                os.kill(child, signal.SIGKILL)
            time.sleep(0.005)
        assert answer.result()[0].reason == "decoder_died"
        assert crop.crop(sound, 16)[0].status == "cropped"


def test_death_while_idle_harms_nobody(sound):
    with cropper() as crop:
        crop.crop(sound, 16)
        (child,) = children_of(os.getpid())
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: not children_of(os.getpid()))
        assert crop.crop(sound, 16)[0].status == "cropped"


def test_time_is_up_kills_the_child(sound):
    with cropper(timeout_s=1.5) as crop:
        idle = crop._take()
        idle._wait_until_ready()
        crop._give_back(idle, is_fit=True)
        (child,) = children_of(os.getpid())
        os.kill(child, signal.SIGSTOP)
        assert crop.crop(sound, 16)[0].reason == "decode_timeout"
        assert child not in children_of(os.getpid())


def test_child_is_replaced_after_its_number_of_objects(sound):
    with cropper(recycle_after=2) as crop:
        seen = set()
        for _ in range(4):
            assert crop.crop(sound, 16)[0].status == "cropped"
            seen.update(children_of(os.getpid()))
        crop.crop(sound, 16)
        seen.update(children_of(os.getpid()))
    assert len(seen) == 3


def test_many_callers_share_few_children(sound):
    with cropper(children=2) as crop, ThreadPoolExecutor(6) as pool:
        outcomes = [answer[0].status for answer in pool.map(lambda _: crop.crop(sound, 16), range(12))]
        assert len(children_of(os.getpid())) <= 2
    assert outcomes == ["cropped"] * 12
    assert not children_of(os.getpid())


def test_child_outlives_the_thread_that_first_asked_for_it(sound):
    with cropper() as crop:
        first = threading.Thread(target=crop.crop, args=(sound, 16))
        first.start()
        first.join()
        (child,) = children_of(os.getpid())
        assert crop.crop(sound, 16)[0].status == "cropped"
        assert children_of(os.getpid()) == [child]


def test_closed_cropper_refuses():
    crop = cropper()
    crop.close()
    with pytest.raises(RuntimeError, match="closed"):
        crop.crop(Path("anything"), 1)


def started():
    return subprocess.Popen(
        [sys.executable, "-m", "dicom_ai.crop.child", "1024"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_answer_is_one_line_and_as_many_bytes_as_it_says_without_identity(sound):
    with started() as child:
        out, _ = child.communicate(
            json.dumps({"path": str(sound), "frame_limit": 4, "layouts": []}).encode() + b"\n", timeout=30
        )
    ready, line, raw = out.split(b"\n", 2)
    assert json.loads(ready) == {"ready": True}
    header = json.loads(line)
    assert set(header) == {"outcome", "shape", "frame_numbers", "bytes"}
    assert header["bytes"] == len(raw) == np.prod(header["shape"])
    assert b"CANARY" not in out
    assert child.returncode == 0  # the end of stdin is the end of the child


def test_child_never_imports_torch():
    code = "import sys, dicom_ai.crop.child, dicom_ai.crop.cropper; print([m for m in sys.modules if 'torch' in m])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_child_is_confined(sound):
    with started() as child:
        child.stdin.write(json.dumps({"path": str(sound), "frame_limit": 1, "layouts": []}).encode() + b"\n")
        child.stdin.flush()
        child.stdout.readline()
        limits = Path(f"/proc/{child.pid}/limits").read_text()
        child.kill()
    soft = {line[:26].strip(): line[26:].split()[0] for line in limits.splitlines()[1:]}
    assert soft["Max address space"] == str(1024 * 1024 * 1024)
    assert soft["Max core file size"] == "0"
    assert soft["Max file size"] == "0"


def test_no_orphan_when_the_parent_is_killed(sound):
    code = (
        "import sys, time; from pathlib import Path; from dicom_ai.crop.cropper import Cropper\n"
        "crop = Cropper(children=1, memory_mib=1024, timeout_s=30, recycle_after=9)\n"
        "print(crop.crop(Path(sys.argv[1]), 4)[0].status, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(sound)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline().strip() == "cropped"
        (child,) = children_of(parent.pid)
        os.kill(child, signal.SIGSTOP)  # even a child that cannot read the end of stdin
        parent.kill()
        parent.wait()
    wait_until(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text())
