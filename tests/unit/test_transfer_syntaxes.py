"""The tables of transfer syntaxes do not contradict each other: what is accepted is decoded, and can be sent on."""

from pydicom.uid import UID, AllTransferSyntaxes
from pynetdicom.presentation import build_context

from dicom_ai.crop.frames import PLUGINS, VIDEO
from dicom_ai.inflate import DEFLATED
from dicom_ai.receive.tables import TRANSFER_SYNTAXES, accepted

NOT_FOR_PICTURES = {
    "1.2.840.10008.1.2.4.92",  # JPEG 2000 Part 2, multi-component: volumes
    "1.2.840.10008.1.2.4.93",
    "1.2.840.10008.1.2.4.204",  # JPIP: the pixels lie on another server
    "1.2.840.10008.1.2.4.205",
    "1.2.840.10008.1.2.7.1",  # streams of the real-time network, never stored
    "1.2.840.10008.1.2.7.2",
    "1.2.840.10008.1.2.7.3",
}


def test_every_accepted_syntax_is_decoded_and_nothing_else():
    assert set(TRANSFER_SYNTAXES) == {str(syntax) for syntax in PLUGINS}
    assert len(set(TRANSFER_SYNTAXES)) == len(TRANSFER_SYNTAXES)


def test_no_syntax_of_the_standard_is_forgotten():
    known = {str(syntax) for syntax in AllTransferSyntaxes}
    assert known - set(accepted(accept_all=True, deflated=True).transfer_syntaxes) == NOT_FOR_PICTURES


def test_deflated_is_accepted_last_and_only_when_switched_on():
    assert DEFLATED not in accepted(accept_all=True).transfer_syntaxes
    assert accepted(accept_all=False, deflated=True).transfer_syntaxes == (*TRANSFER_SYNTAXES, DEFLATED)


def test_every_syntax_says_how_it_is_decoded():
    assert all(bool(plugin) == syntax.is_encapsulated for syntax, plugin in PLUGINS.items())
    assert {syntax for syntax, plugin in PLUGINS.items() if plugin == "opencv"} == set(VIDEO)


def test_every_accepted_syntax_can_be_proposed_to_a_destination():
    for syntax in accepted(accept_all=True, deflated=True).transfer_syntaxes:
        assert build_context("1.2.840.10008.5.1.4.1.1.6.1", [UID(syntax)]).transfer_syntax == [syntax]
