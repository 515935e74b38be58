"""The page's tables and headings as HTML; every text is escaped. What this is not: what stands in them (`page`)."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from train.evaluate.words import Language, word

STYLE = """
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", "WenQuanYi Micro Hei", sans-serif; margin: 2rem auto;
       max-width: 84rem; padding: 0 1rem; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.3rem; margin-top: 2.5rem; border-top: 2px solid #ddd; padding-top: 1rem; }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
table { border-collapse: collapse; margin: .4rem 0 1rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .55rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } thead th { border-bottom: 2px solid #888; white-space: normal; }
small { color: #666; } td small { display: block; } .note { color: #555; } .warn { color: #a33; font-weight: 600; }
.wide { overflow-x: auto; } img { max-width: 100%; } .maps { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; width: 24rem; } figcaption { font-size: .85rem; color: #444; }
"""


def page(title: str, body: str, language: Language) -> str:
    """A whole page; it may load nothing from anywhere."""
    lang = {"en": "en", "zh": "zh-CN"}[language]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="{lang}"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{STYLE}</style></head>\n'
        f"<body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )


def heading(text: str, level: int) -> str:
    """A heading."""
    return f"<h{level}>{escape(text)}</h{level}>\n"


def note(text: str, kind: str = "note") -> str:
    """A paragraph; kind "warn" is seen first."""
    return f'<p class="{kind}">{escape(text)}</p>\n'


def picture(uri: str, alt: str) -> str:
    """A picture inside the page."""
    return f'<p><img src="{uri}" alt="{escape(alt)}"></p>\n'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells are HTML (`cell`, `text`), the head is text."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{one}</td>" for one in row) + "</tr>\n" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead>\n<tbody>{body}</tbody></table></div>\n'


def text(value: object) -> str:
    """Any text as a cell."""
    return escape(str(value))


def cell(figure: Mapping[str, float | None] | None, *, percent: bool = True, sign: str = "") -> str:
    """A figure with its interval under it; a dash where there is none."""
    if figure is None or figure["value"] is None:
        return "–"
    shown = f"{number(figure['value'], percent=percent, sign=sign)}"
    if figure.get("low") is None or figure.get("high") is None:
        return shown
    low, high = (number(figure[side], percent=percent, sign=sign) for side in ("low", "high"))
    return f"{shown}<small>[{low}, {high}]</small>"


def number(value: float | None, *, percent: bool = True, sign: str = "") -> str:
    """Per cent with two digits after the point, as the papers print them, or four digits."""
    if value is None:
        return "–"
    return f"{100 * value:{sign}.2f}" if percent else f"{value:{sign}.4f}"


def not_estimable(row: Mapping[str, Any], language: Language) -> str:
    """n/N: patients who show the class, of those asked."""
    patients = row["patients"]
    return f"{text(word('not_estimable', language))} {patients['positive']}/{patients['asked']}"
