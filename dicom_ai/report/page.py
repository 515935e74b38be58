"""A summary as lines of text, and as one self-contained page: no script, nothing loaded, every word escaped.

In the report's language. What this is not: a viewer; pictures stay in the PACS.
"""

from html import escape

from dicom_ai.report.summary import Measured, Summary

_WORDS: dict[str, tuple[str, str]] = {
    "answers": ("Answers", "结论"),
    "remarks": ("Warning and remarks", "警告与说明"),
    "images": ("Images", "图像"),
    "listed": ("{n} images were looked at", "共查看{n}幅图像"),
    "measured": ("Measurements", "测量"),
    "none": ("none", "无"),
    "highest": ("highest {value}", "最高 {value}"),
    "region": ("Region x {x0} to {x1}, y {y0} to {y1} pixels", "区域 x {x0} 至 {x1}，y {y0} 至 {y1} 像素"),
    "made": ("Made {made} by {by}", "{made} 由 {by} 生成"),
    "class": ("Class", "类别"),
    "state": ("State", "状态"),
    "probability": ("Highest probability", "最高概率"),
    "UNVERIFIED": ("not verified by a physician", "未经医师审核"),
    "VERIFIED": ("verified by a reader", "已由阅片者审核"),
    "COMPLETE": ("complete", "完整"),
    "PARTIAL": ("PARTIAL: not every image could be assessed", "不完整：部分图像无法评估"),
    "PRELIMINARY": ("preliminary", "初步"),
    "FINAL": ("final", "最终"),
}
_STYLE = """
body{font:16px/1.45 "Noto Sans CJK SC","Noto Sans",system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;
color:#111;background:#fff}
h1{font-size:1.5em}h2{font-size:1.15em;border-bottom:1px solid #999;margin-top:1.6em}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3em .6em;border-bottom:1px solid #ddd;
vertical-align:top}
.warning{border:3px solid #b00;padding:.6em .8em;font-weight:bold}.flags{color:#444}.number{white-space:nowrap}
ul{padding-left:1.2em}
"""


def lines(summary: Summary) -> list[str]:
    """The report for a screen of letters, answers first."""
    found = [summary.title, _flags(summary), _made(summary), "", _word(summary, "answers")]
    found += [f"  {_answer(summary, row)}" for row in summary.answers] or [f"  {_word(summary, 'none')}"]
    found += ["", _word(summary, "remarks"), *(f"  {remark}" for remark in summary.remarks)]
    found += ["", _word(summary, "images"), f"  {_word(summary, 'listed', n=summary.images)}"]
    found += [f"  {sentence}" for sentence in summary.about_images]
    found += ["", _word(summary, "measured")]
    for one in summary.measured:
        found.append(f"  {one.label}")
        found += [f"    {name}: {value}" if name and value else f"    {name or value}" for name, value in one.facts]
        found += [f"    {region}" for region in _region(summary, one)]
    return found if summary.measured else [*found, f"  {_word(summary, 'none')}"]


def page(summary: Summary) -> str:
    """The report as one HTML document."""
    language = "zh-CN" if summary.language == "zh" else "en"
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    parts = [
        f'<!DOCTYPE html>\n<html lang="{language}"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        f"<title>{escape(summary.title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(summary.title)}</h1>",
        f'<p class="flags">{escape(_flags(summary))}<br>{escape(_made(summary))}</p>',
        _heading(summary, "answers"),
        _table(summary),
        _heading(summary, "remarks"),
        *(_remark(remark, first=number == 0) for number, remark in enumerate(summary.remarks)),
        _heading(summary, "images"),
        f"<p>{escape(_word(summary, 'listed', n=summary.images))}</p>",
        f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in summary.about_images)}</ul>",
        _heading(summary, "measured"),
        *(_group(summary, one) for one in summary.measured),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _table(summary: Summary) -> str:
    head = "".join(f"<th>{escape(_word(summary, key))}</th>" for key in ("class", "state", "probability"))
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td><b>{escape(state)}</b></td><td class="number">{escape(highest)}</td></tr>'
        for name, state, highest in summary.answers
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def _remark(remark: str, *, first: bool) -> str:
    return f'<p class="warning">{escape(remark)}</p>' if first else f"<p>{escape(remark)}</p>"


def _group(summary: Summary, one: Measured) -> str:
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="number">{escape(value)}</td></tr>' for name, value in one.facts
    )
    region = "".join(f"<p>{escape(text)}</p>" for text in _region(summary, one))
    return f"<h3>{escape(one.label)}</h3><table>{rows}</table>{region}"


def _heading(summary: Summary, key: str) -> str:
    return f"<h2>{escape(_word(summary, key))}</h2>"


def _answer(summary: Summary, row: tuple[str, str, str]) -> str:
    name, state, highest = row
    return f"{name}: {state}" + (f" ({_word(summary, 'highest', value=highest)})" if highest else "")


def _region(summary: Summary, one: Measured) -> list[str]:
    if one.box is None:
        return []
    x0, y0, x1, y1 = one.box
    return [_word(summary, "region", x0=x0, y0=y0, x1=x1, y1=y1)]


def _flags(summary: Summary) -> str:
    return ", ".join(_word(summary, flag) if flag in _WORDS else flag for flag in summary.flags)


def _made(summary: Summary) -> str:
    return _word(summary, "made", made=summary.made, by=summary.by)


def _word(summary: Summary, key: str, **values: object) -> str:
    return _WORDS[key][1 if summary.language == "zh" else 0].format(**values)
