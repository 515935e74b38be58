"""The report on one page: warning, answers, model, images, and the heat of the key frames that show most.

The page goes to destinations that take no document with coded content. With the patient on it, it becomes an
Encapsulated PDF (`pdf`), without it a Secondary Capture (`page_capture`). What this is not: the whole report; what has
no room is counted, never left out in silence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicom_ai.finding import State
from dicom_ai.report.basic_text import frame_sentence
from dicom_ai.report.code import STATES, class_terms
from dicom_ai.report.content import CaptureLink, KeyFrame, ReportContent
from dicom_ai.report.group import illustrating, where_in
from dicom_ai.report.header import content_moment
from dicom_ai.report.letters import Picture, is_drawable
from dicom_ai.report.sheet import GREY, RED, Caption, Sheet
from dicom_ai.report.structured import place_of
from dicom_ai.report.wording import about_images, model_named, not_assessed, say, warning

MOST_PICTURES = 4
_LARGE, _BODY, _SMALL = 34, 24, 20
_FOR_PICTURES = 620
"""Rows that lines leave free where there are pictures."""

_TEXTS: dict[str, tuple[str, str]] = {
    "class": ("Class", "类别"),
    "answer": ("Answer", "结论"),
    "probability": ("Probability", "概率"),
    "threshold": ("Threshold", "阈值"),
    "made": ("Made {made} by dicom-ai at {station}", "{made} 由dicom-ai于{station}生成"),
    "rule": ("Study level: {rule}.", "检查级：{rule}。"),
    "revision": (
        "Revision {n}: this page replaces earlier AI results of this study.",
        "第{n}次修订：本页取代该检查先前的AI结果。",
    ),
    "card": (
        "Model card (weights and thresholds) SHA-256 {digest}.",
        "模型卡（权重与阈值）SHA-256 {digest}。",
    ),
    "more": ("{n} more lines have no room on this page.", "另有{n}行未能列于本页。"),
    "shown": ("{n} of {total} key frames are shown.", "共{total}个关键帧，显示{n}个。"),
    "name": ("Patient", "患者姓名"),
    "id": ("Patient ID", "患者ID"),
    "birth": ("Born", "出生日期"),
    "sex": ("Sex", "性别"),
    "accession": ("Accession", "检查号"),
    "study": ("Study", "检查日期"),
    "study_id": ("Study ID", "检查ID"),
    "unstated": ("not stated", "未注明"),
    "undrawable": (
        "written in characters that this page cannot show; see the header of this object",
        "含本页无法显示的字符；请见该对象的头信息",
    ),
}


@dataclass(frozen=True)
class Shown:
    """A key frame that a page may show: the frame of its capture, RGB uint8 (rows, columns, 3), and its caption."""

    picture: Picture
    caption: str


def worth_showing(content: ReportContent) -> list[tuple[CaptureLink, int, str]]:
    """The key frames for a page, at most `MOST_PICTURES`: (capture, index of its frame from 0, caption).

    Frames of classes that are Present come first, the most probable ones before others.
    """
    found = []
    for number, image in enumerate(content.images, 1):
        for frame in image.key_frames:
            link = illustrating(image, frame, _strongest(content, frame))
            if link is not None:
                caption = where_in(number, frame, content.analysis.language)
                index = link.frame_numbers.index(frame.frame_number) if frame.frame_number is not None else 0
                found.append((-_weight(content, frame), link, index, caption))
    found.sort(key=lambda one: one[0])
    return [(link, index, caption) for _, link, index, caption in found[:MOST_PICTURES]]


def one_page(
    content: ReportContent, headers: Sequence[Dataset], shown: Sequence[Shown], patient: Dataset | None
) -> Picture:
    """Draw the page.

    Args:
        content: of the report.
        headers: of the images that `content` names, in its order.
        shown: pictures, of `worth_showing`.
        patient: data set with the Patient and Study modules of the result; None for a page without identity.

    Returns:
        RGB, uint8 (ROWS, COLUMNS, 3) of `sheet`.
    """
    analysis = content.analysis
    language, sheet = analysis.language, Sheet()
    sheet.boxed(warning(analysis), _LARGE, RED)
    sheet.text(say("sr_series", language, task=say(analysis.model.task, language)), _LARGE)
    moment = content_moment(analysis, headers[0])
    sheet.text(_say("made", language, made=f"{moment:%Y-%m-%d %H:%M}", station=analysis.station), _SMALL, GREY)
    if analysis.revision > 1:
        sheet.text(_say("revision", language, n=analysis.revision), _BODY, RED)
    sheet.gap()
    if patient is not None:
        sheet.table(_identity(patient, language), _BODY, has_head=False)
    for sentence in not_assessed(content):
        sheet.boxed(sentence, _LARGE, RED)
    sheet.table(_answers(content), _BODY)
    _lines(sheet, content, [place_of(h, language) for h in headers], is_tight=bool(shown))
    if shown:
        total = sum(len(image.key_frames) for image in content.images)
        sheet.text(_say("shown", language, n=len(shown), total=total), _SMALL, GREY)
        sheet.pictures([Caption(one.picture, one.caption) for one in shown], _SMALL)
    return sheet.pixels


def words() -> Mapping[str, tuple[str, str]]:
    """Every text of the page that is not of `wording`, in English and Chinese."""
    return _TEXTS


def _lines(sheet: Sheet, content: ReportContent, places: Sequence[str], *, is_tight: bool) -> None:
    language, model = content.analysis.language, content.analysis.model
    analysed, *rest = about_images(content, places)
    n_images = len(content.images)
    # What was not analysed, and why, before what was.
    ordered = [_say("rule", language, rule=say(model.clip_to_study, language)), analysed, *rest[n_images:]]
    ordered += [model_named(content), _say("card", language, digest=model.card_digest)]
    ordered += [frame_sentence(content, number, frame) for number, frame in _frames(content)]
    ordered += rest[:n_images]
    keep = _FOR_PICTURES if is_tight else 0
    last = sheet.height(_say("more", language, n=len(ordered)), _SMALL)
    for number, line in enumerate(ordered):
        if sheet.free - sheet.height(line, _SMALL) < keep + last:
            sheet.text(_say("more", language, n=len(ordered) - number), _SMALL, RED)
            break
        sheet.text(line, _SMALL)
    sheet.gap()


def _frames(content: ReportContent) -> list[tuple[int, KeyFrame]]:
    return [(n, frame) for n, image in enumerate(content.images, 1) for frame in image.key_frames]


def _answers(content: ReportContent) -> list[tuple[str, str, str, str]]:
    language = content.analysis.language
    head = [_say(key, language) for key in ("class", "answer", "probability", "threshold")]
    rows = [(head[0], head[1], head[2], head[3])]
    for finding in content.findings:
        name, state = class_terms(finding.class_id).name(language), STATES[finding.state].meaning(language)
        rows.append((name, state, f"{100 * finding.probability:.2f} %", f"{100 * finding.threshold:.2f} %"))
    return rows


def _identity(patient: Dataset, language: str) -> list[tuple[str, str]]:
    study = f"{_date(patient, 'StudyDate')} {_time(patient, 'StudyTime')}".strip()
    stated = {
        "name": " = ".join(group.replace("^", " ").strip() for group in _text(patient, "PatientName").split("=")),
        "id": _text(patient, "PatientID"),
        "birth": _date(patient, "PatientBirthDate"),
        "sex": _text(patient, "PatientSex"),
        "accession": _text(patient, "AccessionNumber"),
        "study": study,
        "study_id": _text(patient, "StudyID"),
    }
    return [(_say(key, language), _readable(value.strip(" ="), language)) for key, value in stated.items()]


def _readable(value: str, language: str) -> str:
    """A value as it is, or why it is not there: a name with a gap in it would be another name."""
    if not value:
        return _say("unstated", language)
    return value if is_drawable(value) else _say("undrawable", language)


def _strongest(content: ReportContent, frame: KeyFrame) -> str | None:
    pairs = zip(content.findings, frame.probabilities, strict=True)
    present = [(p, f.class_id) for f, p in pairs if f.state is State.PRESENT]
    return max(present)[1] if present else None


def _weight(content: ReportContent, frame: KeyFrame) -> float:
    pairs = zip(content.findings, frame.probabilities, strict=True)
    return max((p for f, p in pairs if f.state is State.PRESENT), default=0.0)


def _date(patient: Dataset, keyword: str) -> str:
    digits = _text(patient, keyword)
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}" if len(digits) == 8 else digits


def _time(patient: Dataset, keyword: str) -> str:
    digits = _text(patient, keyword)
    return f"{digits[:2]}:{digits[2:4]}" if len(digits) >= 4 else digits


def _text(patient: Dataset, keyword: str) -> str:
    return str(patient.get(keyword) or "").strip(" \0")


def _say(key: str, language: str, **values: object) -> str:
    return _TEXTS[key][1 if language == "zh" else 0].format(**values)
