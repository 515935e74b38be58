"""What is to be sent becomes the presentation contexts of associations; what was accepted becomes a result's form.

Objects are sent in the transfer syntax they are stored in, so every (SOP class, transfer syntax) pair is a
presentation context of its own (PS3.8 9.3.2.2): a context with several syntaxes would let the peer pick one we do not
have. A report can take several forms, each under its own SOP class; they are proposed together, and one is sent.

What this is not: a conversion. Nothing is ever sent in another syntax than it is stored in.
"""

from collections.abc import Collection, Iterable, Mapping

from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

Wanted = tuple[str, str]
"""SOP Class UID, Transfer Syntax UID."""

SR_CLASSES: tuple[str, ...] = (
    str(Comprehensive3DSRStorage),
    str(ComprehensiveSRStorage),
    str(EnhancedSRStorage),
)
"""The forms that say everything, best first; the content is the same in each."""

REPORT_FORMS: tuple[str, ...] = (
    *SR_CLASSES,
    str(BasicTextSRStorage),
    str(SecondaryCaptureImageStorage),
    str(EncapsulatedPDFStorage),
)
"""Every form a report can take, best first: measurements, then text, then a picture of a page, then a document."""

REPORT_SYNTAX = str(ExplicitVRLittleEndian)
"""The transfer syntax reports are written in, and the stills that stand in for a clip's capture."""

STILL: Wanted = (str(SecondaryCaptureImageStorage), REPORT_SYNTAX)
"""What the key frames of a clip's capture become where the clip is refused."""

MAX_CONTEXTS = 128
"""Presentation context ids are the odd numbers 1..255 (PS3.8 9.3.2.2)."""


def report_contexts() -> tuple[Wanted, ...]:
    """The contexts to propose before a report is made, so that its SOP class can be chosen by what is accepted."""
    return tuple((sop_class, REPORT_SYNTAX) for sop_class in REPORT_FORMS)


def has_stills(sop_class: str) -> bool:
    """Whether objects of this class can go as stills of their key frames where the class is refused."""
    return sop_class == MultiFrameTrueColorSecondaryCaptureImageStorage


def report_forms(accepted: Mapping[str, Collection[str]], begun: str | None = None) -> tuple[str, ...]:
    """The SOP classes in which a report may be sent over an association, in the order in which they are tried.

    Args:
        accepted: SOP Class UID -> Transfer Syntax UIDs the destination accepted.
        begun: the form that an earlier attempt ended with, whose answer is not known. The destination may hold it
            already, so it comes first, then what is less than it; a better form only if all of those are refused.

    Examples:
        >>> report_forms({"1.2.840.10008.5.1.4.1.1.88.22": {REPORT_SYNTAX}})
        ('1.2.840.10008.5.1.4.1.1.88.22',)
        >>> report_forms({})
        ()
    """
    at = REPORT_FORMS.index(begun) if begun in REPORT_FORMS else 0
    order = (*REPORT_FORMS[at:], *REPORT_FORMS[:at])
    return tuple(sop_class for sop_class in order if REPORT_SYNTAX in accepted.get(sop_class, ()))


def split_into_associations(wanted: Iterable[Wanted]) -> list[tuple[Wanted, ...]]:
    """Divide what is to be sent into proposals an association can hold.

    Args:
        wanted: pairs in the order of sending; repetitions are allowed.

    Returns:
        Distinct pairs in first-seen order, at most `MAX_CONTEXTS` each; one proposal in all but odd cases.
    """
    distinct = tuple(dict.fromkeys(wanted))
    return [distinct[start : start + MAX_CONTEXTS] for start in range(0, len(distinct), MAX_CONTEXTS)]
