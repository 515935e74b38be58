"""How a simulated scanner sends: in one piece or object by object, with which faults, and whether it tries again.

What this is not: the sending (`scanner`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dicom_ai.errors import SettingsError


@dataclass(frozen=True)
class Habits:
    """The default is a scanner that sends the whole exam over one association when it has ended, and means well.

    Attributes:
        one_by_one: an association of its own for every object, as scanners do that send while the exam goes on.
        pause_s: between those associations, in seconds.
        abort_at: number, from 1 over all exams, of the object in whose middle the scanner aborts.
        wrong_syntax: numbers of the objects whose data set is encoded otherwise than their context says.
        deflated: "preferred" proposes Deflated Explicit VR Little Endian beside the scanner's own syntax and uses it
            where it is accepted; "only" proposes nothing else.
        padded_uids: UIDs of the data set are padded with a space, or with two NULs where they were even.
        commit: port on which the scanner waits for the report on a Storage Commitment request after every exam.
        repeats: times that what failed is sent again over a new association; 0 as most scanners.
        repeat_after_s: pause before each repetition, in seconds.
    """

    one_by_one: bool = False
    pause_s: float = 0.0
    abort_at: int | None = None
    wrong_syntax: frozenset[int] = frozenset()
    deflated: Literal["", "preferred", "only"] = ""
    padded_uids: bool = False
    commit: int | None = None
    repeats: int = 0
    repeat_after_s: float = 1.0


def parse_habits(texts: Sequence[str], *, abort_at: int | None = None) -> Habits:
    """Read habits as people write them.

    Args:
        texts: `one-by-one[:PAUSE_MS]`, `repeat:N[:PAUSE_MS]`, `wrong-syntax:K` (repeatable), `deflated[:only]`,
            `padded-uids`, `commit:PORT`.
        abort_at: see `Habits`.

    Raises:
        SettingsError: a word is unknown or its number cannot be read.

    Examples:
        >>> parse_habits(["one-by-one:500", "repeat:2"]).pause_s
        0.5
    """
    read: dict[str, Any] = {}
    wrong: set[int] = set()
    for text in texts:
        word, *values = text.split(":")
        match word, values:
            case "one-by-one", [] | [_]:
                read |= {"one_by_one": True, "pause_s": _number(text, *values[:1]) / 1000}
            case "repeat", [times]:
                read["repeats"] = _number(text, times)
            case "repeat", [times, pause]:
                read |= {"repeats": _number(text, times), "repeat_after_s": _number(text, pause) / 1000}
            case "wrong-syntax", [number]:
                wrong.add(_number(text, number))
            case "deflated", [] | ["only"]:
                read["deflated"] = "only" if values else "preferred"
            case "commit", [port] if 0 < _number(text, port) < 65536:
                read["commit"] = int(port)
            case "padded-uids", []:
                read["padded_uids"] = True
            case _:
                raise _unknown(text)
    return Habits(abort_at=abort_at, wrong_syntax=frozenset(wrong), **read)


def _number(text: str, value: str = "0") -> int:
    if not re.fullmatch(r"[0-9]+", value, re.ASCII):
        raise _unknown(text)
    return int(value)


def _unknown(text: str) -> SettingsError:
    return SettingsError(
        f"{text!r} is no manner of a scanner; there are one-by-one[:PAUSE_MS], repeat:N[:PAUSE_MS], wrong-syntax:K, "
        "deflated[:only], padded-uids, commit:PORT"
    )
