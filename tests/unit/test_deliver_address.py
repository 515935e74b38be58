import pytest

from dicom_ai.deliver.address import Address, parse_address
from dicom_ai.errors import SettingsError
from dicom_ai.site import Destination


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PACS@127.0.0.1:104", Address("PACS", "127.0.0.1", 104)),
        (" MY PACS@pacs.example.org:11112 ", Address("MY PACS", "pacs.example.org", 11112)),
        ("A@[2001:db8::7]:65535", Address("A", "2001:db8::7", 65535)),
    ],
)
def test_addresses_are_read_and_written_back(text, expected):
    assert parse_address(text) == expected
    assert parse_address(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("127.0.0.1:104", "is no address"),
        ("PACS@127.0.0.1", "is no address"),
        ("PACS@::1:104", "is no address"),
        ("PACS@host:http", "is no address"),
        ("A@B@host:104", "is no address"),
        ("", "is no address"),
        ("@host:104", "is no AE title"),
        ("ABCDEFGHIJKLMNOPQ@host:104", "is no AE title"),
        ("A\\B@host:104", "is no AE title"),
        ("放射科@host:104", "is no AE title"),
        ("PACS@:104", "names no host"),
        ("PACS@[]:104", "names no host"),
        ("PACS@host:0", "not in 1..65535"),
        ("PACS@host:65536", "not in 1..65535"),
    ],
)
def test_a_wrong_address_is_named_with_the_right_shape(text, says):
    with pytest.raises(SettingsError, match=says) as caught:
        parse_address(text)
    assert "PACS@192.0.2.7:104" in str(caught.value)


def test_a_destination_of_the_site_tables_can_be_called_as_it_is():
    destination = Destination(name="main", ae_title="PACS", host="::1", port=104)
    assert str(Address(destination.ae_title, destination.host, destination.port)) == "PACS@[::1]:104"
