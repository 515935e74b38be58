"""Makes small stored objects, with encodings a library would not write, so that any re-encoding shows.

What this is not: images of anything. The pixels are counting bytes.
"""

import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian, UltrasoundImageStorage

ROOT = "2.25.4242"


@dataclass(frozen=True)
class Stored:
    """A Part 10 file and what it holds."""

    path: Path
    sop_class: str
    syntax: str
    uid: str
    dataset: bytes

    @property
    def pair(self) -> tuple[str, str]:
        """SOP class and transfer syntax, as an association proposes them."""
        return self.sop_class, self.syntax


def stored(
    folder: Path,
    number: int,
    *,
    sop_class: str = UltrasoundImageStorage,
    syntax: str = ExplicitVRLittleEndian,
    study: int = 1,
    side: int = 16,
    odd: bool = False,
) -> Stored:
    """Write one object.

    Args:
        folder: where to.
        number: makes its UIDs and file name.
        sop_class: of an image.
        syntax: transfer syntax; pixels of a compressed one are bytes no codec would read.
        study: number of the study.
        side: rows and columns; the pixels take side x side bytes.
        odd: put in what pydicom would not write again: a wrong group length, a UID padded by a space, and data set
            trailing padding (explicit little endian only).
    """
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = UID(sop_class), UID(f"{ROOT}.{study}.1.{number}")
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.{study}", f"{ROOT}.{study}.1"
    ds.PatientID, ds.PatientName, ds.Modality = f"P{study}", f"Invented^{study}", "US"
    ds.PatientBirthDate, ds.PatientSex, ds.StudyDate, ds.StudyTime = "19700101", "O", "20260101", "120000"
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "1", "", ""
    ds.SeriesNumber, ds.InstanceNumber = 1, number
    ds.Rows = ds.Columns = side
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    pixels = bytes((number + i) % 256 for i in range(256)) * (side * side // 256)
    is_encapsulated = UID(syntax).is_encapsulated
    ds.PixelData = encapsulate([pixels]) if is_encapsulated else pixels
    ds["PixelData"].VR = "OB"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    content = buffer.getvalue()
    begin = len(content) - len(_dataset_of(content))
    meta, dataset = content[:begin], content[begin:]
    if odd:
        study_uid = ds.StudyInstanceUID.encode()
        padded = study_uid + b" " * (2 + len(study_uid) % 2)
        plain = study_uid + b"\0" * (len(study_uid) % 2)
        tag = b"\x20\x00\x0d\x00UI"
        dataset = dataset.replace(
            tag + struct.pack("<H", len(plain)) + plain, tag + struct.pack("<H", len(padded)) + padded
        )
        dataset = b"\x08\x00\x00\x00UL\x04\x00\xff\x00\x00\x00" + dataset  # a group length that is wrong
        dataset += b"\xfc\xff\xfc\xffOB\x00\x00\x08\x00\x00\x00" + b"padding!"
    path = folder / f"{study}-{number}.dcm"
    path.write_bytes(meta + dataset)
    return Stored(path, str(sop_class), str(syntax), str(ds.SOPInstanceUID), dataset)


def _dataset_of(content: bytes) -> bytes:
    # Element by element (explicit little endian): a real file states a wrong length of group 2 in (0002,0000).
    at = 132
    while content[at : at + 2] == b"\x02\x00":
        is_long = content[at + 4 : at + 6] in (b"OB", b"UN", b"OW", b"SQ", b"UT")
        at += (
            12 + struct.unpack_from("<L", content, at + 8)[0]
            if is_long
            else 8 + content[at + 6] + 256 * content[at + 7]
        )
    return content[at:]


def dataset_bytes(content: bytes) -> bytes:
    """The encoded data set of a Part 10 file, without preamble and group 0002."""
    assert content[128:132] == b"DICM"
    return _dataset_of(content)


def read(content: bytes) -> Dataset:
    """The data set of a Part 10 file."""
    return dcmread(BytesIO(content))
