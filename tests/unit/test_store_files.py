"""Object files: the durable order, what a failing disk does, and what is swept."""

import errno
import os
import stat
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_ai.errors import InputError, OutOfSpace, ResourceError
from dicom_ai.ports import data_set_digest
from dicom_ai.store.files import ORPHAN_AGE_S, Disk, ObjectStore, part10_digest

DIGESTS = ["aa" + "0" * 62, "aa" + "1" * 62, "bb" + "0" * 62]


class RecordingDisk:
    """The real calls, written down; fails at the n-th call of one kind."""

    def __init__(self, fail: str = "", at: int = 1, code: int = errno.EIO) -> None:
        self.calls: list[tuple[str, str]] = []
        self._fail, self._at, self._code = fail, at, code
        self._real = Disk()
        self.is_armed = False

    def disk(self) -> Disk:
        return Disk(self._call("sync_file"), self._call("rename"), self._call("sync_directory"), self._real.free_bytes)

    def _call(self, kind: str):
        def call(*paths: Path) -> None:
            self.calls.append((kind, paths[-1].name))
            if self.is_armed and kind == self._fail:
                self._at -= 1
                if self._at == 0:
                    raise OSError(self._code, "injected")
            getattr(self._real, kind)(*paths)

        return call


def spooled(files: ObjectStore, digests=DIGESTS) -> list[tuple[Path, str]]:
    pairs = [(files.new_spool(), digest) for digest in digests]
    for path, digest in pairs:
        path.write_bytes(digest.encode())
    return pairs


def test_a_group_is_synced_renamed_and_its_directories_synced_once_in_this_order(tmp_path):
    recording = RecordingDisk()
    files = ObjectStore(tmp_path, disk=recording.disk())
    recording.calls.clear()
    files.keep(spooled(files))
    assert [kind for kind, _ in recording.calls] == ["sync_file"] * 3 + ["rename"] * 3 + ["sync_directory"] * 2
    assert [name for kind, name in recording.calls if kind == "sync_directory"] == ["aa", "bb"]
    assert [files.path(digest).read_bytes() for digest in DIGESTS] == [digest.encode() for digest in DIGESTS]
    assert not list((tmp_path / "spool").iterdir())


def test_new_folders_are_synced_before_anything_is_kept(tmp_path):
    recording = RecordingDisk()
    ObjectStore(tmp_path / "data", disk=recording.disk())
    assert recording.calls == [("sync_directory", "store"), ("sync_directory", "data")]


def test_folders_and_results_are_ours_alone(tmp_path):
    old = os.umask(0)
    try:
        files = ObjectStore(tmp_path / "data")
        path = files.path(files.write_result(part10()))
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (path.parent, path.parent.parent, tmp_path / "data" / "spool"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["sync_file", "sync_directory"])
@pytest.mark.parametrize("at", [1, 2])
def test_a_failed_fsync_is_never_repeated(tmp_path, kind, at):
    recording = RecordingDisk(kind, at)
    files = ObjectStore(tmp_path, disk=recording.disk())
    recording.is_armed = True
    pairs = spooled(files)
    with pytest.raises(ResourceError) as failure:
        files.keep(pairs)
    assert failure.value.dimse_status == 0xA700
    assert files.is_read_only
    n_calls = len(recording.calls)
    with pytest.raises(ResourceError):
        files.keep(pairs)
    with pytest.raises(ResourceError):
        files.new_spool()
    assert len(recording.calls) == n_calls


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.ENOSPC, OutOfSpace), (errno.EDQUOT, OutOfSpace), (errno.EROFS, ResourceError)]
)
def test_a_failed_rename_says_why_and_may_be_repeated(tmp_path, code, kind):
    recording = RecordingDisk("rename", 2, code)
    files = ObjectStore(tmp_path, disk=recording.disk())
    recording.is_armed = True
    pairs = spooled(files)
    with pytest.raises(ResourceError) as failure:
        files.keep(pairs)
    assert type(failure.value) is kind
    assert not files.is_read_only
    files.keep(pairs)
    assert all(files.path(digest).exists() for digest in DIGESTS)


def test_nothing_is_begun_below_the_watermark(tmp_path):
    free = [600 << 20]
    files = ObjectStore(tmp_path, min_free_mib=512, disk=Disk(free_bytes=lambda _: free[0]))
    pairs = spooled(files, DIGESTS[:1])
    free[0] = 511 << 20
    with pytest.raises(OutOfSpace):
        files.new_spool()
    with pytest.raises(OutOfSpace):
        files.write_result(part10())
    files.keep(pairs)  # what was begun is finished
    free[0] = 513 << 20
    files.new_spool()


def test_spool_names_are_random_and_paths_come_from_digests_alone(tmp_path):
    files = ObjectStore(tmp_path)
    assert len({files.new_spool() for _ in range(100)}) == 100
    for wrong in ("", "../../x", "A" * 64, "0" * 63, "0" * 64 + "\n"):
        with pytest.raises(ValueError, match="digest"):
            files.path(wrong)


def part10(**elements) -> bytes:
    from io import BytesIO

    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.PrivateInformationCreatorUID = "1.2.3"
    ds.file_meta.PrivateInformation = b"\x02\x00" * 8  # must not be taken for an element
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3.4"
    ds.update({})
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    target = BytesIO()
    ds.save_as(target, enforce_file_format=True)
    return target.getvalue()


def test_a_result_is_kept_under_the_digest_of_a_received_object(tmp_path):
    files = ObjectStore(tmp_path)
    written = part10(PatientID="X")
    digest = files.write_result(written)
    assert files.path(digest).read_bytes() == written
    data_set = written[written.index(b"\x08\x00\x16\x00UI") :]
    assert digest == data_set_digest(data_set, ExplicitVRLittleEndian)
    assert dcmread(files.path(digest)).PatientID == "X"
    assert files.write_result(written) == digest
    assert not list((tmp_path / "spool").iterdir())


def test_the_preamble_and_the_meta_group_do_not_count():
    written = bytearray(part10())
    plain = part10_digest(bytes(written))
    written[:128] = b"II*\0" * 32
    assert part10_digest(bytes(written)) == plain
    assert part10_digest(part10(PatientID="X")) != plain


@pytest.mark.parametrize("wrong", [b"", b"DICM", b"\0" * 128 + b"DICM", part10()[:180]])
def test_what_is_not_part_10_is_refused(tmp_path, wrong):
    with pytest.raises(InputError):
        ObjectStore(tmp_path).write_result(wrong)


def test_sweep_removes_leftovers_and_old_orphans_only(tmp_path):
    files = ObjectStore(tmp_path)
    known, old_orphan, young_orphan = DIGESTS
    files.keep(spooled(files))
    for digest in (known, old_orphan):
        path = files.path(digest)
        age = path.stat().st_mtime - ORPHAN_AGE_S - 60
        os.utime(path, (age, age))
    leftover, of_another = files.new_spool(), ObjectStore(tmp_path, role="work-").new_spool()
    of_another.write_bytes(b"half")
    leftover.write_bytes(b"half")
    work = tmp_path / "spool" / "work"
    work.mkdir()
    assert ObjectStore(tmp_path, role="receive-").sweep_spool() == 0
    assert of_another.exists(), "another process is writing it"
    assert files.sweep_spool() == 2
    assert files.sweep_store(lambda digests: {known} & set(digests)) == 1
    assert not leftover.exists()
    assert [files.path(digest).exists() for digest in DIGESTS] == [True, False, True]
    assert work.exists()
    assert young_orphan != old_orphan


def test_a_file_that_is_gone_is_no_failed_fsync(tmp_path):
    files = ObjectStore(tmp_path)
    with pytest.raises(ResourceError, match="gone"):
        files.keep([(files.new_spool(), DIGESTS[0])])
    assert not files.is_read_only
