"""What is to be sent becomes the presentation contexts of associations; what was accepted becomes a report's class.

Objects are sent in the transfer syntax they are stored in, so every (SOP class, transfer syntax) pair is a
presentation context of its own (PS3.8 9.3.2.2): a context with several syntaxes would let the peer pick one we do not
have.

What this is not: a conversion. Nothing is ever sent in another syntax than it is stored in.
"""

from collections.abc import Collection, Iterable, Mapping

from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
)

Wanted = tuple[str, str]
"""SOP Class UID, Transfer Syntax UID."""

SR_CLASSES: tuple[str, ...] = (
    str(Comprehensive3DSRStorage),
    str(ComprehensiveSRStorage),
    str(EnhancedSRStorage),
)
"""Forms a report can take, best first."""

REPORT_SYNTAX = str(ExplicitVRLittleEndian)
"""The transfer syntax reports are written in."""

MAX_CONTEXTS = 128
"""Presentation context ids are the odd numbers 1..255 (PS3.8 9.3.2.2)."""


def report_contexts() -> tuple[Wanted, ...]:
    """The contexts to propose before a report is made, so that its SOP class can be chosen by what is accepted."""
    return tuple((sop_class, REPORT_SYNTAX) for sop_class in SR_CLASSES)


def choose_report_class(accepted: Mapping[str, Collection[str]]) -> str | None:
    """Choose the SOP class of a report before its SOP Instance UID is made.

    Args:
        accepted: SOP Class UID -> Transfer Syntax UIDs the destination accepted.

    Returns:
        The best class of `SR_CLASSES`, None when the destination takes none of them.

    Examples:
        >>> choose_report_class({"1.2.840.10008.5.1.4.1.1.88.22": {REPORT_SYNTAX}})
        '1.2.840.10008.5.1.4.1.1.88.22'
        >>> choose_report_class({}) is None
        True
    """
    return next((sop_class for sop_class in SR_CLASSES if REPORT_SYNTAX in accepted.get(sop_class, ())), None)


def split_into_associations(wanted: Iterable[Wanted]) -> list[tuple[Wanted, ...]]:
    """Divide what is to be sent into proposals an association can hold.

    Args:
        wanted: pairs in the order of sending; repetitions are allowed.

    Returns:
        Distinct pairs in first-seen order, at most `MAX_CONTEXTS` each; one proposal in all but odd cases.
    """
    distinct = tuple(dict.fromkeys(wanted))
    return [distinct[start : start + MAX_CONTEXTS] for start in range(0, len(distinct), MAX_CONTEXTS)]
