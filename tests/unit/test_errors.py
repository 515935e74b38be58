"""The error tree: every class says what happened, what the peer is told, what follows and why."""

import pytest

import dicom_ai.reasons
from dicom_ai.errors import (
    After,
    ConflictingInstance,
    DicomAIError,
    InputError,
    NoImageArea,
    NotAnalysable,
    OutOfSpace,
    PeerFailed,
    PeerRefused,
    PeerUnreachable,
    ResourceError,
    SettingsError,
    UnreadableInstance,
    WrongKind,
)
from dicom_ai.reasons import REASONS


def subclasses(cls: type[DicomAIError]) -> list[type[DicomAIError]]:
    return [found for child in cls.__subclasses__() for found in (child, *subclasses(child))]


CLASSES = [cls for cls in (DicomAIError, *subclasses(DicomAIError)) if cls.__module__ == "dicom_ai.errors"]
EVERY_CLASS = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
EVERY_REASON = pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS.keys())
STAGES = {"receive", "store", "crop", "classify", "report", "deliver"}


def raised(cls: type[DicomAIError], detail: str = "") -> DicomAIError:
    return PeerFailed(0xC000, After.QUARANTINE, detail) if cls is PeerFailed else cls(detail)


def test_the_tree_is_walked():
    assert len(CLASSES) >= 20


@EVERY_CLASS
def test_a_class_has_a_docstring_of_its_own_as_message(cls):
    docstring = vars(cls).get("__doc__")
    assert docstring
    assert docstring.endswith(".")
    assert "\n" not in docstring
    assert not str(raised(cls)).endswith(".")


@EVERY_CLASS
def test_a_class_says_what_follows(cls):
    assert isinstance(raised(cls).after, After)


@EVERY_CLASS
def test_a_class_has_a_status_of_the_range_its_meaning_has(cls):
    """PS3.4 B.2.3: A700-A7FF out of resources, A900-A9FF mismatch, C000-CFFF cannot understand; PS3.7 C the rest."""
    status = cls.dimse_status
    assert isinstance(status, int)
    if issubclass(cls, ResourceError):
        assert 0xA700 <= status <= 0xA7FF
    elif issubclass(cls, WrongKind):
        assert 0xA900 <= status <= 0xA9FF
    elif issubclass(cls, NotAnalysable):
        assert status == 0x0000  # it is kept
    elif issubclass(cls, ConflictingInstance):
        assert status == 0x0111  # duplicate SOP instance
    elif issubclass(cls, InputError):
        assert 0xC000 <= status <= 0xCFFF
    else:
        assert status == 0x0110  # processing failure


@EVERY_CLASS
def test_a_class_names_a_reason_of_the_closed_list_or_none(cls):
    assert cls.reason is None or cls.reason in REASONS


@EVERY_CLASS
def test_the_tree_in_the_docstring_names_every_class_and_what_follows(cls):
    lines = [line for line in (dicom_ai.errors.__doc__ or "").splitlines() if cls.__name__ in line.split()]
    lines += [line for line in (dicom_ai.errors.__doc__ or "").splitlines() if f"─ {cls.__name__} " in f"{line} "]
    assert lines, f"{cls.__name__} is missing from the tree"
    said = {after.name for after in After if after.name in lines[0]}
    assert said <= {cls.after.name}


@EVERY_CLASS
def test_a_class_without_success_to_tell_is_never_retried_and_quarantined_at_once(cls):
    """What is answered as kept must be settled without the sender: it will not send it again."""
    if cls.dimse_status == 0x0000:
        assert cls.after is After.QUARANTINE
    if cls.after is After.RETRY and not issubclass(cls, (ResourceError, dicom_ai.errors.PeerError)):
        pytest.fail("only our own ill health and the peer's may pass later")


@EVERY_REASON
def test_a_reason_has_a_meaning_in_both_languages_and_a_remedy(reason):
    assert reason.meaning
    assert reason.remedy.endswith(".")
    assert any("一" <= letter <= "鿿" for letter in reason.meaning_zh)
    assert not reason.meaning.endswith(".")


@EVERY_REASON
def test_a_reason_belongs_to_a_stage_and_its_code_is_a_plain_word(reason):
    assert reason.stage in STAGES
    assert reason.code == reason.code.lower()
    assert reason.code.isidentifier()


def test_no_two_reasons_share_a_code_or_a_meaning():
    assert len({reason.code for reason in REASONS.values()}) == len(dicom_ai.reasons._REASONS)
    assert len({reason.meaning for reason in REASONS.values()}) == len(REASONS)
    assert len({reason.meaning_zh for reason in REASONS.values()}) == len(REASONS)


def test_the_detail_follows_the_class_message():
    error = OutOfSpace("2 GiB free, 5 GiB needed")
    assert str(error) == "The store has no room for another object: 2 GiB free, 5 GiB needed"
    assert error.detail == "2 GiB free, 5 GiB needed"


def test_without_a_detail_the_class_message_stands_alone():
    assert str(OutOfSpace()) == "The store has no room for another object"


def test_a_reason_of_the_instance_leaves_the_class_as_it_was():
    assert NoImageArea(reason="no_regions").reason == "no_regions"
    assert NoImageArea().reason == "witnesses_disagree"


def test_a_reason_outside_the_closed_list_is_refused():
    with pytest.raises(KeyError):
        NoImageArea(reason="whatever")


def test_a_failed_peer_carries_its_status_and_what_the_table_says():
    error = PeerFailed(0xA700, After.RETRY, "out of resources")
    assert (error.status, error.after) == (0xA700, After.RETRY)
    assert str(error) == "The peer answered with a failure status: 0xA700 out of resources"


@pytest.mark.parametrize(
    ("error", "after"),
    [
        (SettingsError, After.STOP),
        (UnreadableInstance, After.QUARANTINE),
        (PeerUnreachable, After.RETRY),
        (PeerRefused, After.QUARANTINE),
    ],
)
def test_what_follows(error, after):
    assert error().after is after
