"""The papers' tables of one run, and what the papers print. What this is not: the figures (`judge`)."""

from collections.abc import Mapping, Sequence
from typing import Any

from train.evaluate import published
from train.evaluate.judge import ONE_CLASS
from train.evaluate.markup import cell, heading, not_estimable, note, table, text
from train.evaluate.words import Language, sentence, word

_LUNG = ("precision", "specificity", "f1", "recall", "accuracy")


def class_table(row: Mapping[str, Any], said: Language) -> str:
    """The lung paper's table: each class against the rest, their means, and the whole; with areas beside it.

    The uterus paper's figures are precision, recall and F1 of the row of means.
    """
    body = []
    for name, one in row["classes"].items():
        if one["is_estimable"]:
            patients = f"{one['patients']['positive']}/{one['patients']['asked']}"
            body.append([text(name), patients, *(cell(one["figures"][figure]) for figure in ONE_CLASS), "–"])
        else:
            body.append([text(name), not_estimable(one, said), *["–"] * (len(ONE_CLASS) + 1)])
    macro, whole = row["macro"], row["whole"]["figures"]
    body.append([text(word("mean", said)), "", *(cell(macro["figures"][figure]) for figure in ONE_CLASS), "–"])
    blank = ["–"] * len(ONE_CLASS)
    blank[ONE_CLASS.index("accuracy")] = cell(whole["accuracy"])
    body.append([text(word("whole", said)), str(row["whole"]["patients"]), *blank, cell(whole["kappa"], percent=False)])
    head = [word("class", said), word("patients", said), *(word(name, said) for name in ONE_CLASS), "kappa"]
    classes = ", ".join(macro["classes"]) or word("none", said)
    return table(head, body) + note(sentence("means", said, classes=classes))


def pairs_table(row: Mapping[str, Any], said: Language) -> str:
    """Units with one of two classes alone: how well they are told apart, all together and per source."""
    clips = row["levels"]["clip"]
    parts = {"": clips["overall"], **clips["groups"].get("source", {})}
    body = []
    for name, part in parts.items():
        for pair in part["pairs"]:
            if not any(pair["n"]):
                continue
            counts = " / ".join(f"{n} ({p})" for n, p in zip(pair["n"], pair["patients"], strict=True))
            shown = cell(pair["auc"]) if pair["auc"] else text(word("not_estimable", said))
            body.append([text(name or word("whole", said)), text(" / ".join(pair["classes"])), counts, shown])
    if not body:
        return ""
    head = ["", word("class", said), f"{word('clip', said)} ({word('patients', said)})", word("auc", said)]
    return heading(word("pairs", said), 3) + table(head, body)


def published_table(class_ids: Sequence[str], said: Language) -> str:
    """What the paper of this task prints; nothing for classes of no paper."""
    if set(class_ids) & set(published.LUNG):
        head = [word("class", said), *(word(name, said) for name in _LUNG), "kappa"]
        rows = [[text(name), *(f"{value:.2f}" for value in values), "–"] for name, values in published.LUNG.items()]
        whole = [f"{value:.2f}" for value in published.LUNG_ALL]
        rows.append([text(word("whole", said)), *whole, f"{published.LUNG_KAPPA:.4f}"])
    elif {"endometrial_polyp", "submucous_fibroid"} & set(class_ids):
        head = [word("network", said), *(word(name, said) for name in ("precision", "recall", "f1"))]
        rows = [[text(name), *map(text, values)] for name, values in published.UTERUS.items()]
    else:
        return ""
    return heading(word("published", said), 3) + note(sentence("not_ours", said)) + table(head, rows)
