"""Patients with names in every script, and with none: what the scanner wrote stands in report and captures, or none
is made.

Files as scanners write them go through `dicom-ai analyse` in Chinese; what comes out is read by pydicom, DCMTK and
dciodvfy. The encoders here are Python's codecs and escape sequences written out, not the product's decoder.
"""

import json
import re
import subprocess
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicom_ai.commands import offline
from dicom_ai.report.header import part10
from dicom_ai.settings import Settings, Site, Store
from dicom_ai.simulate.exam import Shot, exam
from dicom_ai.simulate.patients import patient_of
from tests.e2e.validators import errors_of, texts_of, tool
from tests.workplace import tiny

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(280),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # pydicom says what is wrong with the bad ones
]

VRS = {
    "PatientName": "PN", "ReferringPhysicianName": "PN", "StudyDescription": "LO", "PatientComments": "LT",
    "AdmittingDiagnosesDescription": "LO", "PatientID": "LO", "AccessionNumber": "SH", "StudyID": "SH",
}  # fmt: skip
TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "ReferringPhysicianName",
    "StudyID", "AccessionNumber", "SeriesNumber", "InstanceNumber", "PatientOrientation", "Laterality",
)  # fmt: skip
GOOD = {
    "gb18030": ("GB18030", "gb18030", "", "Wang^Xiaodong=王^小东", "肺部超声"),
    "gbk": ("GBK", "gbk", "", "Zhao^Jin=赵^璡誠昞", "肺部超声昞检查"),  # second bytes that are a backslash
    "ir58": ("\\ISO 2022 IR 58", "gb2312", "\x1b$)A", "Zhang^San=张^三", "肺部超声"),
    "ir87": ("\\ISO 2022 IR 87", "iso2022_jp", "", "Yamada^Tarou=山田^太郎=やまだ^たろう", "肺エコー"),
    "ir149": ("\\ISO 2022 IR 149", "euc_kr", "\x1b$)C", "Hong^Gildong=洪^吉洞=홍^길동", "폐 초음파"),
    "ir100": ("ISO_IR 100", "latin-1", "", "Größe^Jürgen", "Lungenübersicht"),
    "ir144": ("ISO_IR 144", "iso8859-5", "", "Пробный^Пациент^Ильич", "УЗИ лёгких"),
    "utf8": ("ISO_IR 192", "utf-8", "", "Wang^XiaoDong=王^小東", "肺部超聲"),
}
BAD = {
    "absent, GBK": (None, "王^小东".encode("gbk")),
    "absent, UTF-8": (None, "王^小东".encode()),
    "unknown term": ("KLINGON", "王^小东".encode("gbk")),
    "GBK said to be UTF-8": ("ISO_IR 192", "王^小东".encode("gbk")),
    "undecodable": ("GB18030", b"Wang=\xcd\xf5\xff\xff"),
    "escape nobody knows": ("\\ISO 2022 IR 87", b"Yamada=\x1b%G\xe5\xb1\xb1"),
}


def put(ds: Dataset, keyword: str, raw: bytes) -> None:
    """The bytes as a scanner wrote them."""
    tag, vr = Tag(keyword), VRS.get(keyword, "LO")
    raw += b" " * (len(raw) % 2)
    ds[tag] = RawDataElement(tag, vr, len(raw), raw, 0, False, True)


def written(text: str, codec: str, escape: str) -> bytes:
    """Text in a set that is called by an escape sequence after every delimiter, or needs none."""
    parts = re.split(r"([=^\\\n])", text)
    return b"".join(p.encode() if p.isascii() else escape.encode() + p.encode(codec) for p in parts)


def attributes(name: str, description: str) -> dict[str, str]:
    """What the source says, by keyword."""
    last = name.rsplit("=", maxsplit=1)[-1]
    return {
        "PatientName": name, "ReferringPhysicianName": last, "StudyDescription": description,
        "PatientComments": f"{description}\n{last.split('^')[0]}", "PatientID": f"{last.split('^')[0]}-1",
        "AdmittingDiagnosesDescription": f"{description}\\{description}", "AccessionNumber": f"{description[:2]}7",
        "StudyID": "77",
    }  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What one call made, by the name of the file given."""

    sets: dict[str, dict[str, Any]]
    out: Path

    def results(self, name: str) -> list[Path]:
        """Report first, then captures."""
        return [Path(self.sets[name]["sr"]), *map(Path, self.sets[name]["captures"])]


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    folder = tmp_path_factory.mktemp("character-sets")
    (folder / "in").mkdir()
    shot = (Shot(frozenset({"b_lines"})),)
    (drawn,) = exam("lung", seed=1, patient=patient_of(1), layout="epiq-7c", content=shot)  # with a private block
    studies = {}
    for number, name in enumerate([*GOOD, *BAD, "description only", "bare"]):
        term, raw = BAD.get(name, (None, b"Wang^Xiaodong")) if name not in GOOD else (GOOD[name][0], b"")
        ds = copy_of(drawn, number, term)
        studies[str(ds.StudyInstanceUID)] = name
        if name in GOOD:
            _, codec, escape, person, description = GOOD[name]
            for keyword, text in attributes(person, description).items():
                put(ds, keyword, written(text, codec, escape))
        else:
            put(ds, "PatientName", raw)
            put(ds, "StudyDescription", "肺部超声".encode("gbk"))
        if name == "bare":
            for keyword in TYPE_2:
                ds.pop(Tag(keyword), None)
        content = part10(ds)
        assert (
            name == "bare" or ds.get_item("PatientName").value in content
        )  # the bytes as they are, not as the library reads them
        (folder / "in" / f"{number}.dcm").write_bytes(content)
    given = {path: path.read_bytes() for path in (folder / "in").iterdir()}
    rows = analysed(folder)
    assert {path: path.read_bytes() for path in (folder / "in").iterdir()} == given
    return Answer({studies[row["study"]]: row for row in rows}, folder / "out")


def copy_of(drawn: Dataset, number: int, term: str | None) -> Dataset:
    """A study of its own in a character set, read from its bytes: then the library leaves later bytes alone."""
    ds = Dataset()
    ds.update(drawn)
    ds.file_meta = drawn.file_meta
    ds.StudyInstanceUID, ds.SOPInstanceUID = f"2.25.88{number}", f"2.25.88{number}.1"
    ds.PatientName, ds.StudyDescription = "Nobody", "Lung"
    del ds.SpecificCharacterSet
    if term is not None:
        put(ds, "SpecificCharacterSet", term.encode())
    return dcmread(BytesIO(part10(ds)))


def analysed(folder: Path) -> list[dict[str, Any]]:
    model = tiny(folder / "model")
    settings = Settings(store=Store(data=folder / "none"), site=Site(language="zh"))
    request = offline.Request((folder / "in",), folder / "out", "lung-signs", model.folder, None)
    rows: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(offline, "print_row", lambda row: rows.append(json.loads(json.dumps(row))))
        assert offline.analyse(request, settings, as_json=True) == 1  # the sets nobody can be named in
    return [row for row in rows if row["row"] == "set"]


@pytest.mark.parametrize("name", GOOD)
def test_identity_comes_back_unchanged_in_report_and_captures(answer: Answer, name: str) -> None:
    *_, person, description = GOOD[name]
    expected = attributes(person, description)
    results = answer.results(name)
    assert len(results) >= 2
    for path in results:
        ds = dcmread(path)
        assert ds.SpecificCharacterSet == "ISO_IR 192"
        groups = person.split("=") + [""] * 2
        assert (ds.PatientName.alphabetic, ds.PatientName.ideographic, ds.PatientName.phonetic) == tuple(groups[:3])
        assert {keyword: text_in(ds, keyword) for keyword in expected} == expected
        ds.pop("PixelData", None)
        assert b"\x1b" not in part10(ds)
        assert not any(element.tag.is_private for element in ds.iterall())
        assert not errors_of(path)


@pytest.mark.parametrize("name", GOOD)
def test_dcmtk_reads_the_name_and_the_chinese_text(answer: Answer, name: str) -> None:
    person = GOOD[name][3]
    for path in answer.results(name):
        done = subprocess.run([tool("dcmdump"), "+U8", str(path)], capture_output=True, check=True, timeout=60)
        assert f"[{person}]" in done.stdout.decode(errors="replace")  # it cuts long texts anywhere
    shown = texts_of(answer.results(name)[0])
    assert all("未经" in text or "人工智能" in text for text in shown.values())


@pytest.mark.parametrize("name", BAD)
def test_who_cannot_be_read_gets_no_result_and_the_reason(answer: Answer, name: str) -> None:
    row = answer.sets[name]
    assert (row["status"], row["reason"]) == ("failed", "identity_unreadable")
    assert "sr" not in row
    assert not [path for path in answer.out.iterdir() if dcmread(path).StudyInstanceUID == row["study"]]


def test_a_description_that_cannot_be_read_is_left_out_and_the_patient_gets_the_result(answer: Answer) -> None:
    for path in answer.results("description only"):
        ds = dcmread(path)
        assert ds.PatientName == "Wang^Xiaodong"
        assert "StudyDescription" not in ds


def test_what_the_scanner_left_out_stands_empty_in_the_results(answer: Answer) -> None:
    for path in answer.results("bare"):
        ds = dcmread(path)
        for keyword in TYPE_2[:9]:
            assert keyword in ds
            assert not ds[keyword].value
        assert not errors_of(path)


def text_in(ds: Dataset, keyword: str) -> str:
    value = ds[keyword].value
    return "\\".join(value) if ds[keyword].VM > 1 else str(value).replace("\r\n", "\n")
