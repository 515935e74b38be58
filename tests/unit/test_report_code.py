from pathlib import Path

import pytest
from pydicom.sr._concepts_dict import concepts

from dicom_ai.errors import CardMismatch
from dicom_ai.finding import State
from dicom_ai.report import code
from dicom_ai.report.code import CLASSES, STATES, TERMS, Term, class_terms
from models.card import read_card

# Reviewed by hand: pydicom carries the codes of the standard's context groups only.
NOT_IN_PYDICOM = {"95436008"}
CARDS = sorted((Path(__file__).parents[2] / "models" / "demo").glob("*/card.json"))


def test_every_constant_is_in_the_table():
    constants = {value for value in vars(code).values() if isinstance(value, Term)}
    assert constants <= set(TERMS)


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.value)
def test_lengths(term):
    assert 0 < len(term.value) <= 16
    assert 0 < len(term.scheme) <= 16
    assert 0 < len(term.en) <= 64
    assert 0 < len(term.zh) <= 64


def test_a_code_is_there_once():
    assert len({(term.value, term.scheme) for term in TERMS}) == len(TERMS)


def test_private_codes_are_in_our_scheme_and_start_with_99():
    assert code.SCHEME.startswith("99")
    known = {"SCT", "DCM", "UCUM", "LN", "I10", "UMLS", "RFC5646"}
    assert {term.scheme for term in TERMS} == known | {code.SCHEME}


@pytest.mark.parametrize("term", [t for t in TERMS if t.scheme in ("DCM", "SCT")], ids=lambda term: term.value)
def test_standard_codes_mean_what_pydicom_knows_of_them(term):
    known = {value: meanings[0] for by_value in concepts[term.scheme].values() for value, meanings in by_value.items()}
    if term.value in NOT_IN_PYDICOM:
        assert term.value not in known
    else:
        # pydicom has SNOMED's fully specified names: "Lung structure (body structure)" for Lung
        assert known[term.value].startswith(term.en.removesuffix("a"))


def test_the_classes_of_the_contract_are_all_there():
    assert set(CLASSES) == {
        "a_lines", "b_lines", "pleural_effusion", "consolidation", "endometrial_polyp", "submucous_fibroid", "normal",
    }  # fmt: skip
    assert set(STATES) == set(State)


def test_names_for_people_exist_in_both_languages():
    for terms in CLASSES.values():
        assert terms.name("en").isascii()
        assert not terms.name("zh").isascii()


def test_a_card_that_codes_a_class_otherwise_is_refused():
    assert class_terms("b_lines", "BLINE", "99DICOMAI") is CLASSES["b_lines"]
    with pytest.raises(CardMismatch, match="b_lines"):
        class_terms("b_lines", "BLINE", "SCT")
    with pytest.raises(CardMismatch, match="pneumothorax"):
        class_terms("pneumothorax")


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.parent.name)
def test_shipped_cards_agree_with_the_table(path):
    for stated in read_card(path.parent).classes:
        class_terms(stated.id, stated.code.value, stated.code.scheme)
