"""A report as one page that needs nothing but itself. What this is not: figures; it prints what `report` found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from train.evaluate import plots
from train.evaluate.gallery import Looks, seen_of, wanted_of
from train.evaluate.learning import series_of
from train.evaluate.markup import cell, heading, not_estimable, note, number, page, picture, table, text
from train.evaluate.projection import projection
from train.evaluate.resample import Chance
from train.evaluate.tables_of import class_table, pairs_table, published_table
from train.evaluate.told import Told
from train.evaluate.words import Language, sentence, word

BANDS = 200
"""Resamples behind the bands of a plot."""


@dataclass(frozen=True)
class Style:
    """How the page is written: its language, the chance of bands and samples, and where each run's maps come from."""

    language: Language
    chance: Chance
    looks: Mapping[str, Looks]


def page_of(report: Mapping[str, Any], told: Sequence[Told], style: Style) -> str:
    """The whole page as HTML."""
    said, chance = style.language, report["chance"]
    values = {"level": round(100 * chance["level"]), "fewest": report["rule"]["fewest_patients"]}
    parts = [heading(word("read", said), 3), note(sentence("rule", said, **{**chance, **values}))]
    if report["compared"]:
        parts += [heading(word("compared", said), 2), _compared(report["compared"], said)]
    for gap in report["gaps"]:
        parts += [heading(word("gap", said), 2), note(sentence("gap_said", said)), _gap(gap, said)]
    parts += [_run(one, style) for one in told]
    names = ", ".join(one.run.name for one in told)
    return page(f"{word('title', said)}: {names}", "".join(parts), said)


def _run(one: Told, style: Style) -> str:
    said = style.language
    parts = [heading(one.run.name, 2)]
    if one.run.is_by_image:
        parts.append(note(sentence("by_image_run", said), "warn"))
    parts.append(_decided(one.row["decision"], said))
    for level in ("clip", "frame"):
        row = one.row["levels"][level]["overall"]
        title = f"{word(level, said)} ({row['units']}, {row['patients']} {word('patients', said)})"
        parts += [heading(f"{word('table_l', said)}: {title}", 3), class_table(row, said)]
        if row["whole"]["units"]:
            parts += [heading(f"{word('confusion', said)}: {word(level, said)}", 3)]
            parts += [note(sentence("rows", said, n=row["whole"]["units"], total=row["units"]))]
            drawn = plots.confusion(row["whole"]["matrix"], list(row["classes"]), said)
            parts += [picture(drawn, word("confusion", said))]
    parts += [published_table(one.clips.class_ids, said), _curves(one, style)]
    parts += [_groups(one, said), _folds(one, said), _calibration(one, said)]
    parts += [_features(one, style), _learning(one, said), _gallery(one, style)]
    return "".join(parts)


def _decided(decision: Mapping[str, Any], said: Language) -> str:
    thresholds = ", ".join(f"{name} {value:g}" for name, value in decision["thresholds"].items())
    if not any(decision["thresholds"].values()):  # of a softmax head without a card
        thresholds = word("most_probable", said)
    return note(sentence("decided", said, by=word(decision["stated_by"], said), thresholds=thresholds,
                         pooling=decision["frame_to_clip"]))  # fmt: skip


def _compared(rows: Sequence[Mapping[str, Any]], said: Language) -> str:
    columns = [("macro", "precision"), ("macro", "recall"), ("macro", "f1"), ("macro", "auc"), ("whole", "accuracy")]
    head = [word("run", said), *(word(name, said) for _, name in columns), word("kappa", said)]
    head += [f"{word(name, said)}: {word('difference', said)}" for name in ("f1", "auc")]
    body = []
    for row in rows:
        cells = [cell(row[part][name]) for part, name in columns]
        cells.append(cell(row["whole"]["kappa"], percent=False))
        cells += [cell(row["difference"].get(f"macro/{name}"), sign="+") for name in ("f1", "auc")]
        body.append([text(row["name"]), *cells])
    classes = sorted({", ".join(row["classes"]) for row in rows})
    return table(head, body) + note(sentence("means", said, classes="; ".join(classes)))


def _gap(gap: Mapping[str, Any], said: Language) -> str:
    head = [word("figure", said), f"{word('by_image', said)}: {gap['by_image']}"]
    head += [f"{word('by_patient', said)}: {gap['by_patient']}", word("pretended", said)]
    body = []
    for row in gap["rows"]:
        part, _, name = row["figure"].partition("/")
        shown = [cell(row[side], percent=name != "kappa") for side in ("by_image", "by_patient")]
        shown.append(cell(row["gap"], percent=name != "kappa", sign="+"))
        label = f"{word('mean' if part == 'macro' else part, said)}, {word(name, said)}"
        body.append([text(label), *shown])
    return table(head, body)


def _curves(one: Told, style: Style) -> str:
    names = one.overall["clip"].row["macro"]["classes"]
    parts = []
    if names:
        chance = Chance(min(BANDS, style.chance.resamples), style.chance.seed, style.chance.level)
        drawn = plots.curves(one.clips, names, chance, style.language)
        parts = [heading(f"{word('curves', style.language)}: {word('clip', style.language)}", 3)]
        parts.append(picture(drawn, word("curves", style.language)))
    return "".join(parts) + pairs_table(one.row, style.language)


def _groups(one: Told, said: Language) -> str:
    parts = []
    for level in ("clip", "frame"):
        for group, found in one.row["levels"][level]["groups"].items():
            parts.append(heading(f"{word('groups', said)}: {group}, {word(level, said)}", 3))
            body = []
            for name, row in found.items():
                for class_id, figures in row["classes"].items():
                    body.append([text(name or "–"), text(class_id), *_group_cells(figures, said)])
            head = [group, word("class", said), word("patients", said)]
            parts.append(table([*head, *(word(f, said) for f in ("auc", "f1", "recall", "specificity"))], body))
    return "".join(parts)


def _group_cells(row: Mapping[str, Any], said: Language) -> list[str]:
    if not row["is_estimable"]:
        return [not_estimable(row, said), *["–"] * 4]
    patients = f"{row['patients']['positive']}/{row['patients']['asked']}"
    return [patients, *(cell(row["figures"][name]) for name in ("auc", "f1", "recall", "specificity"))]


def _folds(one: Told, said: Language) -> str:
    folds = one.row["levels"]["clip"]["folds"]
    if not folds:
        return ""
    names = ("f1", "auc", "accuracy", "kappa")
    body = [[text(f["fold"]), text(f["patients"]), *(number(f["figures"][n], percent=n != "kappa") for n in names),
             text(", ".join(f["classes"]))] for f in folds]  # fmt: skip
    body.append([text(word("spread", said)), "", *(_spread([f["figures"][n] for f in folds], n) for n in names), ""])
    head = [word("fold", said), word("patients", said), *(word(name, said) for name in names), word("class", said)]
    return heading(f"{word('folds', said)}: {word('clip', said)}", 3) + table(head, body)


def _spread(values: Sequence[float | None], name: str) -> str:
    there = [value for value in values if value is not None]
    if len(there) < 2:
        return "–"
    mean = sum(there) / len(there)
    deviation = (sum((value - mean) ** 2 for value in there) / (len(there) - 1)) ** 0.5
    is_share = name != "kappa"
    return f"{number(mean, percent=is_share)} ± {number(deviation, percent=is_share)}"


def _calibration(one: Told, said: Language) -> str:
    found = one.row["calibration"]
    values = found["temperature"]
    shown = f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g}–{values[-1]:g}"
    parts = [heading(word("calibration", said), 3)]
    parts.append(note(sentence("fitted", said, value=shown, on=word(found["fitted_on"], said))))
    body = []
    for level, rows in found["levels"].items():
        for when, row in rows.items():
            cells = [cell(row[name], percent=False) for name in ("ece", "brier")]
            nll = number(row.get("nll"), percent=False)
            body.append([text(f"{word(level, said)}, {word(when, said)}"), *cells, nll])
    parts.append(table(["", *(word(name, said) for name in ("ece", "brier", "nll"))], body))
    classes = {when: row["classes"] for when, row in found["levels"]["clip"].items()}
    if any(classes.values()):
        parts.append(picture(plots.reliability(classes, said), word("calibration", said)))
    return "".join(parts)


def _features(one: Told, style: Style) -> str:
    said = style.language
    made = projection(one.run.told, style.chance.seed)
    if made is None:
        return heading(word("features", said), 3) + note(word("nothing", said))
    drawn = picture(plots.scatter(made, one.frames.class_ids, said), word("features", said))
    return heading(word("features", said), 3) + note(sentence("one_fold", said, fold=made.fold)) + drawn


def _learning(one: Told, said: Language) -> str:
    series = series_of(one.row["curves"])
    if not series:
        return heading(word("learning", said), 3) + note(word("nothing", said))
    return heading(word("learning", said), 3) + picture(plots.learning(series, said), word("learning", said))


def _gallery(one: Told, style: Style) -> str:
    said, look = style.language, style.looks.get(one.run.name)
    seen = [] if look is None else seen_of(wanted_of(one.frames), look)
    if not seen:
        return heading(word("gallery", said), 3) + note(word("nothing", said))
    shown = []
    for wanted, picture_and_heat in seen:
        said_of = f"{wanted.class_id}: {word(wanted.kind, said)}, {100 * wanted.probability:.1f} %"
        where = f"{wanted.clip[:12]} #{wanted.frame}"
        shown.append(f'<figure><img src="{plots.overlaid(picture_and_heat)}" alt="{text(said_of)}">'
                     f"<figcaption>{text(said_of)}<br><small>{text(where)}</small></figcaption></figure>")  # fmt: skip
    top = heading(word("gallery", said), 3) + note(sentence("derived", said))
    return top + f'<div class="maps">{"".join(shown)}</div>\n'
