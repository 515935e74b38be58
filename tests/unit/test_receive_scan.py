"""Header scan: reads what a full reader reads, and survives what a full reader does not."""

import random
import struct
import time
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.config import IGNORE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from dicom_ai.errors import UnreadableInstance, WrongKind
from dicom_ai.instance import US_IMAGE, Identity, Instance
from dicom_ai.receive.scan import MAX_DEPTH, MAX_ELEMENTS, MAX_VALUE_BYTES, WANTED, require_match, scan
from dicom_ai.receive.tables import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, JPEG_BASELINE, TRANSFER_SYNTAXES

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "us"
SYNTAXES = (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE)
SEED = 20260301


def header(**elements) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = US_IMAGE, "1.2.3.4"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "US", "GE", "LOGIQ E9"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.AccessionNumber = "A^B", "P 1", "19700102", "A1"
    ds.StudyDate, ds.StudyTime, ds.AcquisitionDateTime = "20260301", "101112.5", "20260301101113"
    ds.SeriesNumber, ds.InstanceNumber = 3, 12
    ds.NumberOfFrames, ds.FrameTime, ds.Rows, ds.Columns = 7, "33.3", 640, 480
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def encoded(ds: Dataset, syntax: str = EXPLICIT_LE) -> bytes:
    target = DicomBytesIO()
    target.is_implicit_VR = syntax == IMPLICIT_LE
    target.is_little_endian = syntax != EXPLICIT_BE
    ds._pixel_rep = 0
    write_dataset(target, ds)
    return target.getvalue()


def nested(depth: int, *, undefined: bool) -> Dataset:
    """Referenced study sequences within each other."""
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedStudySequence = Sequence([inner])
        outer["ReferencedStudySequence"].is_undefined_length = undefined
        inner.is_undefined_length_sequence_item = undefined
        inner = outer
    return inner


def facts(ds: Dataset, syntax: str) -> tuple[Instance, Identity]:
    return Instance.of(ds, syntax), Identity.of(ds)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [True, False])
def test_facts_are_those_of_a_full_reader(syntax, undefined):
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "LUNG1", "L"
    ds = header(ProcedureCodeSequence=[code, Dataset()])
    ds["ProcedureCodeSequence"].is_undefined_length = undefined
    code.is_undefined_length_sequence_item = undefined
    ds.update(nested(10, undefined=undefined))
    ds.add_new(0x00090010, "LO", "PRIVATE")
    ds.add_new(0x00091001, "OB", b"\xfe\xff\x00\xe0" * 3000)
    ds.SeriesDescription = "B^lines"
    assert facts(scan(encoded(ds, syntax), syntax), syntax) == facts(ds, syntax)


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("", "Plain^Ascii"),
        ("ISO_IR 100", "Buc^Jérôme"),
        ("ISO_IR 192", "王^小东"),
        ("GB18030", "王^小东"),
        ("GBK", "王^小东"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    ],
)
def test_names_in_every_character_set_of_the_region(charset, name):
    ds = header(SpecificCharacterSet=charset, PatientName=name, PatientID="P7")
    found = Identity.of(scan(encoded(ds), EXPLICIT_LE))
    read = Identity.of(dcmread(BytesIO(encoded(ds)), force=True))
    assert (found.patient_name, found.patient_id) == (name, "P7")
    assert read.patient_name == name


@pytest.mark.parametrize(
    ("charset", "raw", "name"),
    [
        (["", "ISO 2022 IR 58"], b"Zhang=\x1b$)A\xd5\xc5^\x1b$)A\xc8\xfd", "Zhang=张^三"),
        ("GBK", "Zhao=赵^璡誠".encode("gbk"), "Zhao=赵^璡誠"),  # second bytes that are a backslash
        ("ISO_IR 192", b"Zhao=\xd5\xd4", "Zhao=\xd5\xd4"),  # no UTF-8: as it came, never made equal to another
    ],
)
def test_names_the_library_cannot_write_are_read(charset, raw, name):
    ds = header(SpecificCharacterSet=charset, PatientID="P7", PatientName="X" * (len(raw) + len(raw) % 2))
    content = encoded(ds).replace(b"X" * (len(raw) + len(raw) % 2), raw + b" " * (len(raw) % 2))
    assert Identity.of(scan(content, EXPLICIT_LE)).patient_name == name


@pytest.mark.filterwarnings("ignore")
def test_real_objects_read_as_by_a_full_reader():
    files = sorted(SHARED.glob("*.dcm"))
    if not files:
        pytest.skip("no real ultrasound objects beside the repository")
    n_read = 0
    for file in files:
        ds = dcmread(file)
        syntax = str(ds.file_meta.TransferSyntaxUID)
        if syntax not in TRANSFER_SYNTAXES:
            continue
        raw = file.read_bytes()
        data_set = raw[132 + 12 + ds.file_meta.FileMetaInformationGroupLength :]
        assert facts(scan(data_set, syntax), syntax) == facts(dcmread(file, stop_before_pixels=True), syntax), file.name
        n_read += 1
    assert n_read >= 20


def test_every_attribute_the_facts_ask_for_is_scanned():
    asked = set()

    class Spy(Dataset):
        def get(self, key, default=None):
            asked.add(key)

    Instance.of(Spy(), EXPLICIT_LE)
    Identity.of(Spy())
    assert asked - {"ProcedureCodeSequence"} <= set(WANTED)
    assert len(asked) > 20


def test_pixels_are_not_looked_at():
    ds = header()
    whole = encoded(ds) + b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + b"garbage"
    assert scan(whole, JPEG_BASELINE).Rows == 640


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("uid", ["", "../../x", "1.2.3/4", "1", "x" * 64, "1." + "2" * 63, "1..2"])
def test_uids_are_there_and_well_formed(keyword, uid):
    ds = encoded(header())
    element = header()[keyword]
    old = element.value.encode()
    old += b"\0" * (len(old) % 2)
    new = uid.encode() + b"\0" * (len(uid) % 2)
    tag = struct.pack("<HH", element.tag.group, element.tag.element) + b"UI"
    start = ds.index(tag)
    changed = ds[:start] + tag + struct.pack("<H", len(new)) + new + ds[start + 8 + len(old) :]
    with pytest.raises(UnreadableInstance) as failure:
        scan(changed, EXPLICIT_LE)
    assert failure.value.dimse_status == 0xC210
    assert uid == "" or uid not in str(failure.value)


def test_request_and_data_set_must_agree():
    found = scan(encoded(header()), EXPLICIT_LE)
    require_match(found, US_IMAGE, "1.2.3.4")
    for sop_class, uid in ((US_IMAGE, "1.2.3.5"), ("1.2.840.10008.5.1.4.1.1.7", "1.2.3.4")):
        with pytest.raises(WrongKind) as failure:
            require_match(found, sop_class, uid)
        assert failure.value.dimse_status == 0xA900


def test_nesting_is_followed_to_the_stated_depth_without_recursion():
    at_limit = header()
    at_limit.update(nested(MAX_DEPTH, undefined=True))
    assert scan(encoded(at_limit), EXPLICIT_LE).Rows == 640
    bomb = b"\x08\x00\x10\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 10_000
    with pytest.raises(UnreadableInstance, match="deep"):
        scan(bomb, EXPLICIT_LE)


def test_elements_are_counted_at_all_levels():
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * (MAX_ELEMENTS + 1)
    bomb = b"\x08\x00\x10\x11SQ\0\0\xff\xff\xff\xff" + items
    with pytest.raises(UnreadableInstance, match="many"):
        scan(bomb, EXPLICIT_LE)
    with pytest.raises(UnreadableInstance, match="many"):
        scan(b"\x09\x00\x10\x10LO\0\0" * (MAX_ELEMENTS + 1), EXPLICIT_LE)


def test_a_wanted_value_has_a_limit():
    ds = header()
    ds.add(DataElement("StudyDescription", "LO", "A" * (MAX_VALUE_BYTES + 2), validation_mode=IGNORE))
    with pytest.raises(UnreadableInstance, match="long"):
        scan(encoded(ds), EXPLICIT_LE)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\0" * 500,
        b"GET / HTTP/1.1\r\n\r\n" * 20,
        b"\xff" * 500,
        bytes(range(256)) * 4,
        b"\x02\x00\x10\x00UI\x04\x001.2\0",
    ],
)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_garbage_is_unreadable(garbage, syntax):
    with pytest.raises(UnreadableInstance):
        scan(garbage, syntax)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_whatever_the_bytes_only_a_domain_error_and_soon(syntax):
    """Seeded mutations of a real-looking header; the seed of a failure is in its message."""
    code = Dataset()
    code.CodeValue = "LUNG1"
    ds = header(
        SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎", ProcedureCodeSequence=[code]
    )
    ds.update(nested(5, undefined=True))
    sound = encoded(ds, syntax)
    n_refused = 0
    for seed in range(SEED, SEED + 3000):
        mutated = _mutated(sound, random.Random(seed))
        began = time.perf_counter()
        try:
            found = scan(mutated, syntax)
            Instance.of(found, syntax).facts()
            Identity.of(found)
        except UnreadableInstance:
            n_refused += 1
        except Exception as exc:
            raise AssertionError(f"seed {seed}: {exc!r}") from exc
        assert time.perf_counter() - began < 1, f"seed {seed} took too long"
    assert 300 < n_refused < 2990


def _mutated(sound: bytes, chance: random.Random) -> bytes:
    data = bytearray(sound)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data))
        kind = chance.randrange(5)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            data[at : at + 4] = chance.choice(
                [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xfe\xff\x00\xe0"]
            )
        elif kind == 2:
            del data[at : at + chance.randint(1, 16)]
        elif kind == 3:
            data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 16)))
        else:
            data[at:at] = b"\x1b$B"
        if not data:
            return b""
    return bytes(data[: chance.randrange(len(data))]) if chance.random() < 0.1 else bytes(data)
