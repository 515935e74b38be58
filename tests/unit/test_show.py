"""`show`: answers first, in the report's language, escaped, without the patient; what is no report is refused."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from dicom_ai.commands.show import show
from dicom_ai.errors import SettingsError
from dicom_ai.report.checklist import items
from dicom_ai.report.header import part10
from dicom_ai.report.page import lines, page
from dicom_ai.report.summary import summary_of
from tests.results_set import result_set


@pytest.mark.parametrize("language", ["en", "zh"])
def test_answers_come_first_then_warning_images_measurements(language):
    text = "\n".join(lines(summary_of(result_set(language=language).report)))
    said = {
        "en": (
            "not verified by a physician, complete, preliminary",
            "B-lines on lung ultrasound: Present (highest 93.12 %)",
            "AI-GENERATED RESULT, NOT VERIFIED BY A PHYSICIAN",
            "2 images were looked at",
            "Image 2 = series 1, image 2.",
            "Finding Site: Lung",
            "Probability of B-lines: 93.12 %",
            "Image 2: B-lines #1",
            "Certainty of Finding: 93.12 %",
            "Region x 150 to 250, y 100 to 220 pixels",
        ),
        "zh": (
            "未经医师审核, 完整, 初步",
            "肺部超声B线: 存在 (最高 93.12 %)",
            "人工智能生成的结果",
            "共查看2幅图像",
            "图像2 = 序列1，图像号2。",
            "所见部位: 肺",
            "B线概率: 93.12 %",
            "图像2：B线 #1",
            "所见的确定性: 93.12 %",
            "区域 x 150 至 250",
        ),
    }[language]
    places = [text.index(phrase) for phrase in said]
    assert places == sorted(places)


class Tags(HTMLParser):
    """The tags and attributes of a page, and whether each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_stands_alone_and_is_escaped(language):
    report = result_set(language=language).report
    evil = '<script>alert("x")</script><img src=x onerror=y>'
    report.SeriesDescription = evil
    items.named(items.groups(report)[0], items.TRACKING_IDENTIFIER)[0].TextValue = evil
    items.named(report, "C0034375")[0].ContentSequence[0].TextValue = evil
    text = page(summary_of(report))
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.seen <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "br", "table", "tr", "th", "td", "b",
        "ul", "li",
    }  # fmt: skip
    assert tags.attributes <= {"lang", "charset", "http-equiv", "content", "class"}
    assert not re.search(r"https?:|url\(|@import", text)
    assert text.count("&lt;script&gt;") == 4
    assert ('lang="zh-CN"' in text) == (language == "zh")


def test_nobody_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = written(result_set(PatientName="Secret^Ann", PatientID="Secret-1").report, tmp_path)
    assert show(path, None) == 0
    assert show(path, tmp_path / "page.html") == 0
    said = "".join(capsys.readouterr()) + (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "93.12 %" in said
    assert "Secret" not in said


def written(ds: Dataset, folder: Path) -> Path:
    path = folder / "object.dcm"
    path.write_bytes(part10(ds))
    return path


def test_what_is_no_report_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("no DICOM")
    for path in (tmp_path / "none.dcm", tmp_path / "notes.txt", written(result_set().captures[0], tmp_path)):
        with pytest.raises(SettingsError):
            show(path, None)
    with pytest.raises(SettingsError, match="cannot be written"):
        show(written(result_set().report, tmp_path), tmp_path / "no" / "folder.html")


def test_a_report_of_another_maker_is_shown_as_far_as_it_goes():
    report = Dataset()
    assert lines(summary_of(report))[-1] == "  none"
