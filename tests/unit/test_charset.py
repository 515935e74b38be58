"""Text of a data set by its character set: the Standard's examples, every character of a set, and what has no reading.

Examples: PS3.5 Annexes H (Japanese), I (Korean), J (UTF-8, GB18030, GBK) and K (GB 2312 with code extensions).
"""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_ai.charset import terms_of, text_of


@pytest.mark.parametrize(
    ("terms", "raw", "name"),
    [
        (
            ("", "ISO 2022 IR 87"),
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            ("ISO 2022 IR 13", "ISO 2022 IR 87"),
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        ),
        (
            ("", "ISO 2022 IR 149"),
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=洪^吉洞=홍^길동",
        ),
        (
            ("", "ISO 2022 IR 58"),
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
            "Zhang^XiaoDong=张^小东=",
        ),
        (("GB18030",), b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="),
        (("ISO_IR 192",), "Wang^XiaoDong=王^小東=".encode(), "Wang^XiaoDong=王^小東="),
        (("ISO_IR 144",), b"\xbb\xee^\xb8\xd2\xd0\xdd", "Лю^Иван"),
        (("ISO_IR 100",), b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
        (("ISO 2022 IR 100", "ISO 2022 IR 144"), b"M\xfcller^\x1b-L\xb8\xd2\xd0\xdd", "Müller^Иван"),
    ],
)
def test_the_examples_of_the_standard(terms, raw, name):
    assert text_of(raw, terms, "PN") == name


@pytest.mark.parametrize("term", ["GB18030", "GBK"])
def test_a_character_whose_second_byte_is_a_delimiter_stays_one(term):
    for trail in (b"\\", b"^"):
        lead = (bytes([byte]) for byte in range(0x81, 0xFF))
        hit = [one + trail for one in lead if _readable(one + trail, term.lower())]
        assert len(hit) > 60
        for raw in hit:
            assert text_of(b"Wu^Ren=" + raw + b"^" + raw, (term,), "PN") == f"Wu^Ren={(c := raw.decode(term))}^{c}"
            assert text_of(raw + b"\\" + raw, (term,), "LO") == [c, c]


@pytest.mark.parametrize(
    ("term", "python", "escape"),
    [
        ("ISO_IR 100", "latin-1", b""), ("ISO_IR 101", "iso8859-2", b""), ("ISO_IR 144", "iso8859-5", b""),
        ("ISO_IR 126", "iso8859-7", b""), ("ISO_IR 192", "utf-8", b""), ("GB18030", "gb18030", b""),
        ("GBK", "gbk", b""), ("\\ISO 2022 IR 58", "gb2312", b"\x1b$)A"), ("\\ISO 2022 IR 149", "euc_kr", b"\x1b$)C"),
        ("\\ISO 2022 IR 87", "iso2022_jp", b""), ("\\ISO 2022 IR 159", "iso2022_jp_2", b""),
    ],
)  # fmt: skip
def test_every_character_a_set_has_comes_back(term, python, escape):
    letters = [chr(code) for code in range(0xA0, 0xFFFD) if _is_of(chr(code), python)]
    assert len(letters) > 60
    text = "".join(letters)
    assert text_of(escape + text.encode(python), term.split("\\"), "LT") == text


@pytest.mark.parametrize(
    ("terms", "raw"),
    [
        ((), "王^小东".encode("gbk")),  # no set stated: ASCII only
        ((), "王^小东".encode()),
        (("",), b"M\xfcller"),
        (("ISO_IR 192",), "王".encode("gbk")),
        (("ISO_IR 192",), "Müller".encode("latin-1")),
        (("GB18030",), b"\xcd\xf5\xff"),
        (("GBK",), b"\xcd"),  # half a character
        (("KLINGON",), "王".encode()),
        (("ISO_IR 999",), b"M\xfcller"),
        (("ISO_IR 100",), b"\x81\x40abc"),  # GBK under a wrong name: C1 controls are no Latin letters
        (("ISO_IR 13",), b"\xe0"),
        (("", "ISO 2022 IR 58"), b"Zhang=\x1b$)A\xd5\xc5^\xd0\xa1"),  # the delimiter ended the set
        (("", "ISO 2022 IR 87"), b"\x1b$B;3E"),  # half a character
        (("", "ISO 2022 IR 87"), b"\x1b%G\xe5\xb1\xb1"),  # a switch DICOM does not know
        (("GB18030",), b"\x1b$)A\xd5\xc5"),
        (("ISO_IR 100",), b"a\0b"),
    ],
)
def test_what_has_no_reading_is_not_guessed(terms, raw):
    with pytest.raises(ValueError):  # noqa: PT011 - codecs raise its children
        text_of(raw, terms, "PN")


@given(
    st.binary(max_size=40), st.sampled_from(["", "KLINGON", "ISO_IR 100", "GB18030", "ISO_IR 192", "\\ISO 2022 IR 87"])
)
def test_any_bytes_are_text_or_an_error(raw, term):
    try:
        text = text_of(raw, terms_of(term.encode()), "PN")
    except ValueError:
        return
    assert "\x1b" not in str(text)
    assert "\ufffd" not in str(text)


def test_ascii_is_read_under_any_set():
    assert text_of(b"Muster^Erika \0", ("KLINGON",), "PN") == "Muster^Erika"
    assert text_of(b"a \\b", (), "LO") == ["a", "b"]
    assert text_of(b"a\\b\r\nc", (), "LT") == "a\\b\r\nc"


def test_slips_of_the_pen_in_the_term():
    assert terms_of("ISO_IR 100") == ("ISO_IR 100",)
    assert terms_of("ISO IR 192") == terms_of("ISO-IR 192") == terms_of(b"ISO_IR 192 ") == ("ISO_IR 192",)
    assert terms_of(["", "ISO 2022 IR 87"]) == ("", "ISO 2022 IR 87")
    assert terms_of(None) == ("",)


def _readable(raw: bytes, name: str) -> bool:
    try:
        return len(raw.decode(name)) == 1
    except ValueError:
        return False


def _is_of(char: str, name: str) -> bool:
    try:
        raw = char.encode(name)
    except ValueError:
        return False
    # The codecs know more than DICOM: other sets behind other escapes, and Hangul put together from parts.
    is_dicom = raw[:1] != b"\x1b" or raw.startswith((b"\x1b$B", b"\x1b$(D"))
    is_dicom &= name != "euc_kr" or (len(raw) == 2 and char != "\u3164")
    return unicodedata.category(char)[0] not in "CZ" and is_dicom
