import pytest

from dicom_ai.errors import SettingsError
from dicom_ai.simulate.pacs import Manners, _name, parse_manners


def test_manners_are_read():
    texts = ["slow:250", "refuse:1.2.3", "refuse:1.2.4", "status:A700", "vanish:1.5", "lose"]
    assert parse_manners(texts) == Manners(0.25, frozenset({"1.2.3", "1.2.4"}), 0xA700, 1.5, lose=True)
    assert parse_manners([]) == Manners()
    assert parse_manners(["status:0x0111"]).status == 0x0111
    of_classes = parse_manners(["status:A900:1.2.3", "status:0xC000:1.2.4"])
    assert of_classes == Manners(statuses={"1.2.3": 0xA900, "1.2.4": 0xC000})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rude",
        "slow",
        "slow:-1",
        "slow:nan",
        "refuse:CT",
        "status:12345",
        "status:7",
        "status:A900:CT",
        "vanish:soon",
        "lose:1",
    ],
)
def test_a_word_that_is_no_manner_is_named(text):
    with pytest.raises(SettingsError, match="is no manner"):
        parse_manners([text])


@pytest.mark.parametrize("uid", ["../../etc/passwd", "1.2/3", "", "..", "1..2", "1.2.", "1" * 65, "1.2\0", "ⅷ.2", "٣"])
def test_a_file_is_never_named_by_what_is_no_uid(uid):
    assert len(_name(uid)) == 16
    assert set(_name(uid)) <= set("0123456789abcdef")


def test_a_file_is_named_by_its_uid():
    assert _name("1.2.840.1") == "1.2.840.1"
