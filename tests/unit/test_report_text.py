"""A Structured Report as text, read back from a small tree written here."""

from pydicom.dataset import Dataset

from dicom_ai.report.text import report_lines, report_rows


def coded(value, meaning):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "99TEST", meaning
    return item


def node(kind, name, *children, **attributes):
    item = Dataset()
    item.ValueType = kind
    item.ConceptNameCodeSequence = [coded(*name)]
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    if children:
        item.ContentSequence = list(children)
    return item


def number(name, value, *children):
    measured = Dataset()
    measured.NumericValue = value
    measured.MeasurementUnitsCodeSequence = [coded("%", "Percent")]
    return node("NUM", name, *children, MeasuredValueSequence=[measured])


def report():
    finding = node("CODE", ("121071", "Finding"), ConceptCodeSequence=[coded("BLINE", "B-lines")])
    return node(
        "CONTAINER",
        ("126000", "Imaging Measurement Report"),
        node(
            "CONTAINER",
            ("C0034375", "Qualitative Evaluations"),
            node("CODE", ("BLINE", "B-lines"), ConceptCodeSequence=[coded("52101004", "Present")]),
            node("TEXT", ("121106", "Comment"), TextValue="not verified"),
        ),
        node(
            "CONTAINER",
            ("125007", "Measurement Group"),
            node("TEXT", ("111001", "Algorithm Name"), TextValue="net"),
            number(("P-BLINE", "Probability of B-lines"), 12.5, finding),
            number(("P-BLINE", "Probability of B-lines"), 93.0, finding),
        ),
    )


def test_every_item_is_a_line_indented_by_its_depth():
    lines = report_lines(report())
    assert lines[0] == "Imaging Measurement Report"
    assert "    B-lines: Present" in lines
    assert "    Comment: not verified" in lines
    assert "    Probability of B-lines: 12.50 %" in lines
    assert "    Algorithm Name: net" in lines


def test_the_brief_form_leaves_out_what_is_for_programs():
    lines = report_lines(report(), brief=True)
    assert not any("Algorithm" in line for line in lines)
    assert "    Probability of B-lines: 93.00 %" in lines


def test_the_rows_give_state_and_highest_probability():
    assert report_rows(report()) == [("B-lines", "Present", "93.00 %")]
