"""What people read in a result, in English and Chinese: the warning, and the sentences around the numbers.

What this is not: codes (`code`), whose meanings have their own table.
"""

from collections.abc import Sequence

from dicom_ai.finding import Finding, State
from dicom_ai.reasons import REASONS
from dicom_ai.report.code import STATES, class_terms
from dicom_ai.report.content import Analysis, ReportContent

_TEXTS: dict[str, tuple[str, str]] = {
    "warning": (
        "AI-GENERATED RESULT, NOT VERIFIED BY A PHYSICIAN. Research use only. Not for primary diagnosis.",
        "人工智能生成的结果，未经医师审核。仅供研究使用，不得作为主要诊断依据。",
    ),
    "demonstration": (
        "DEMONSTRATION MODEL: this result has no clinical meaning.",
        "演示模型：本结果没有临床意义。",
    ),
    "band": ("AI HEATMAP - NOT VERIFIED - NOT FOR DIAGNOSIS", "AI热图 - 未经审核 - 不得用于诊断"),
    "band_demonstration": ("DEMONSTRATION MODEL", "演示模型"),
    "no_heat": ("No heat drawn: no finding on this image", "未绘制热图：该图像无所见"),
    "plain": ("The same picture without heat", "同一图像，未叠加热图"),
    "not_assessable": ("Not assessable: the model abstains on this image", "无法评估：模型对该图像不作判断"),
    "heat": ("Heat: {name} {percent:.1f} %|(study: {state})", "热图：{name} {percent:.1f} %|（检查：{state}）"),
    "class": ("{name} {percent:.1f} %", "{name} {percent:.1f} %"),
    "number": ("{name} {percent:.2f} %", "{name} {percent:.2f} %"),
    "frame_says": ("{where}: {numbers}.", "{where}：{numbers}。"),
    "low": ("low", "低"),
    "high": ("high", "高"),
    "sr_series": ("AI {task} report (unverified)", "AI{task}报告（未经审核）"),
    "capture_series": ("AI heatmaps (unverified, not for diagnosis)", "AI热图（未经审核，不得用于诊断）"),
    "lung-signs": ("lung signs", "肺部征象"),
    "uterine-lesions": ("uterine lesions", "子宫病变"),
    "model": (
        "Model: {name} {version}, grade {grade}. Weights SHA-256 {weights}.",
        "模型：{name} {version}，等级 {grade}。权重SHA-256 {weights}。",
    ),
    "study": ("Study level ({rule}): {answers}.", "检查级（{rule}）：{answers}。"),
    "answer": (
        "{name} {state}, probability {percent:.2f} %, threshold {threshold:.2f} %",
        "{name}{state}，概率 {percent:.2f} %，阈值 {threshold:.2f} %",
    ),
    "max": ("highest image decides each class", "每个类别取概率最高的图像"),
    "least_normal": ("the image least likely normal decides", "取最不可能正常的图像"),
    "analysed": ("Images analysed: {n} of {total}.", "已分析图像：{n}/{total}。"),
    "image": ("Image {n} = {place}{frames}{state}.", "图像{n} = {place}{frames}{state}。"),
    "skipped_image": ("Not analysed: {place}: {reason}.", "未分析：{place}：{reason}。"),
    "place": ("series {series}, image {instance}", "序列{series}，图像号{instance}"),
    "frames": ("; {analysed} of {frames} frames analysed", "；已分析{analysed}/{frames}帧"),
    "unassessable": ("; not assessable, says nothing", "；无法评估，不作判断"),
    "nothing": (
        "NO IMAGE COULD BE ASSESSED. This is not a negative result.",
        "没有可评估的图像。这不是阴性结果。",
    ),
    "partial": (
        "Unverified AI result; {n} of {total} images could be assessed",
        "未经审核的AI结果；{total}幅图像中{n}幅可评估",
    ),
    "complete": ("AI-generated result, not verified by a physician", "AI生成的结果，未经医师审核"),
    "track": ("Image {n}", "图像{n}"),
    "track_frame": ("Image {n} frame {frame}", "图像{n}第{frame}帧"),
    "track_region": ("{where}: {name} #{k}", "{where}：{name} #{k}"),
    "derivation": (
        "Class activation map ({names}) of {model} {version} over the cropped scan area; unverified AI result",
        "{model} {version}的类激活图（{names}），绘于裁剪后的扫描区域；未经审核的AI结果",
    ),
    "verdict_series": ("Verdict of a reader on an AI report", "阅片者对AI报告的评定"),
    "verdict_complete": ("Verdict of a reader on an AI-generated result", "阅片者对AI生成结果的评定"),
    "verdict": (
        (
            "VERDICT OF A READER ON AN AI RESULT: {accepted} accepted, {modified} modified, {rejected} rejected, "
            "{missed} missed by the AI. {others} of the {total} entries of the AI report are not listed here: they "
            "were not assessed. Research use only."
        ),
        (
            "阅片者对AI结果的评定：接受{accepted}，修改{modified}，拒绝{rejected}，AI漏检{missed}。"
            "AI报告的{total}个条目中有{others}个未列于此：未经评定。仅供研究使用。"
        ),
    ),
    "missed": ("Missed by the AI: {name} #{k}", "AI漏检：{name} #{k}"),
    "recall_series": ("Recall of an AI result", "AI结果召回"),
    "recall": (
        "RECALLED: the AI result named here is wrong and must not be used. {why}",
        "已召回：此处所列AI结果有误，不得使用。{why}",
    ),
    # the brackets hold the same in each language, so that a program can read them
    "crop_origin": (
        "{derived} [crop x {x0}..{x1} y {y0}..{y1} of {columns} x {rows}]",
        "{derived} [crop x {x0}..{x1} y {y0}..{y1} of {columns} x {rows}]",
    ),
    "derivation_none": (
        "Cropped scan area shown to {model} {version}; no class activation drawn; unverified AI result",
        "提供给{model} {version}的裁剪扫描区域；未绘制类激活图；未经审核的AI结果",
    ),
}


def say(key: str, language: str, **values: object) -> str:
    """The text `key` in `language` ("en" or "zh") with `values` filled in."""
    return _TEXTS[key][1 if language == "zh" else 0].format(**values)


def warning(analysis: Analysis) -> str:
    """The warning every result carries; a demonstration model says so."""
    text = say("warning", analysis.language)
    if analysis.model.grade == "demonstration":
        text += " " + say("demonstration", analysis.language)
    return text


def answer(finding: Finding, language: str) -> str:
    """One class in words: name, state, probability, threshold."""
    return say(
        "answer",
        language,
        name=class_terms(finding.class_id).name(language),
        state=STATES[finding.state].meaning(language).lower(),
        percent=100 * finding.probability,
        threshold=100 * finding.threshold,
    )


def comments(content: ReportContent, places: Sequence[str]) -> list[str]:
    """What stands under the answers: study-level numbers, model, which images were analysed and which not, and why.

    Args:
        content: of the report.
        places: where a reader finds each image (analysed ones first, then the skipped), of `place`.
    """
    language, model = content.analysis.language, content.analysis.model
    answers = "; ".join(answer(finding, language) for finding in content.findings)
    study = say("study", language, rule=say(model.clip_to_study, language), answers=answers)
    return [*not_assessed(content), study, model_named(content), *about_images(content, places)]


def not_assessed(content: ReportContent) -> list[str]:
    """That no image says anything, where that is so."""
    if any(finding.state is not State.INDETERMINATE for finding in content.findings):
        return []
    usable = any(image.is_assessable for image in content.images)
    return [] if usable else [say("nothing", content.analysis.language)]


def model_named(content: ReportContent) -> str:
    """Which model says it: name, version, grade, digest of its weights."""
    model = content.analysis.model
    named = {"name": model.name, "version": model.version, "grade": model.grade, "weights": model.weights_digest}
    return say("model", content.analysis.language, **named)


def about_images(content: ReportContent, places: Sequence[str]) -> list[str]:
    """How many images were analysed, then a line for each one, the analysed ones first; arguments as `comments`."""
    language = content.analysis.language
    total = len(content.images) + len(content.skipped)
    lines = [say("analysed", language, n=len(content.images), total=total)]
    for n, (image, where) in enumerate(zip(content.images, places, strict=False), 1):
        clip = {"analysed": image.analysed_frames, "frames": image.frames}
        frames = say("frames", language, **clip) if image.frames > 1 else ""
        state = "" if image.is_assessable else say("unassessable", language)
        lines.append(say("image", language, n=n, place=where, frames=frames, state=state))
    for skipped, where in zip(content.skipped, places[len(content.images) :], strict=True):
        reason = REASONS[skipped.reason]
        meaning = reason.meaning_zh if language == "zh" else reason.meaning
        lines.append(say("skipped_image", language, place=where, reason=meaning))
    return lines


def completion(content: ReportContent) -> str:
    """Completion Flag Description (LO, at most 64 characters)."""
    language = content.analysis.language
    if content.is_complete:
        return say("complete", language)
    n = sum(image.is_assessable for image in content.images)
    return say("partial", language, n=n, total=len(content.images) + len(content.skipped))
