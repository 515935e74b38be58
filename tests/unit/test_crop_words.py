"""What a header states of identity: short words for pictures, bytes in every encoding for files."""

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from dicom_ai.crop.words import forms_of, identity_bytes, identity_numbers, identity_texts, identity_words
from tests.exports import plain, read, source


def test_screens_may_show_these_words():
    header = source(
        PatientName="Testperson^Quirina=測試^人=てすと", OtherPatientIDs=["AB-12", "CD-34"], StudyID="S9",
        InstitutionName="Nowhere Clinic", ReferringPhysicianName="Doctrix^Eva",
    )  # fmt: skip
    words = identity_words(header)
    assert {
        "Testperson", "Quirina", "Testperson Quirina", "Testperson, Quirina", "測試", "測試人", "てすと", "QX-4471-92",
        "AB-12", "CD-34", "ACC7719034", "S9", "Nowhere Clinic", "Nowhere", "Clinic", "Doctrix", "Eva", "Operatrix",
        "18.05.1961", "05/18/1961", "04-MAR-2024", "2024年3月4日",
    } <= set(words)  # fmt: skip
    assert "LOGIQE9" not in words
    assert list(words) == sorted(words, key=lambda w: (-len(w), w))
    assert min(map(len, words)) >= 2


def test_a_date_is_written_in_more_than_six_ways():
    assert len(forms_of("19610518")) > 20
    some = {
        "19610518",
        "1961-05-18",
        "18.05.1961",
        "18.05.61",
        "05/18/1961",
        "5/18/1961",
        "18 May 1961",
        "May 18, 1961",
    }
    assert some <= set(forms_of("1961.05.18"))
    assert forms_of("soon") == ("soon",)
    assert forms_of("20240304081500.25") == forms_of("20240304")
    assert forms_of(" ") == ()


def test_files_must_not_hold_these_bytes():
    block = plain(DeviceSerialNumber="SN-99120-X")
    private = block.private_block(0x0033, "MAKER", create=True)
    private.add_new(0x13, "PN", "Zweitkopie^Anna")
    private.add_new(0x14, "UN", b"Unbekannt hier")
    item = Dataset()
    item.PersonName = "Tiefinnen^Tom"
    item.ReferencedSOPInstanceUID = "1.2.3.44444.5"
    block.RequestAttributesSequence = [item]
    found = identity_bytes(read(block))
    words = ("Testperson", "zweitkopie", "UNBEKANNT", "Tiefinnen", "1.2.3.44444.5", "1.2.3.1774018942.1", "SN-99120-X")
    for text in (*words, "18.05.1961", "ACC7719034", "QX-4471-92", "Operatrix"):
        for codec in ("utf-8", "latin-1", "utf-16-le", "utf-16-be", "gb18030"):
            assert text.encode(codec).lower() in found, (text, codec)


def test_uids_of_the_standard_identify_nobody():
    assert not {text for text in identity_texts(source()) if text.startswith("1.2.840.10008.")}


def test_names_are_looked_for_in_the_character_set_of_the_source_and_in_others():
    cases = (
        ("GB18030", "gb18030", "欧阳"),
        ("ISO_IR 192", "utf-8", "欧阳"),
        ("ISO_IR 166", "iso8859-11", "สมชาย"),
        ("ISO_IR 101", "iso8859-2", "Łukasz"),
    )
    for terms, codec, name in cases:
        found = identity_bytes(source(SpecificCharacterSet=terms, PatientName=f"{name}^X1"))
        assert {name.encode(codec).lower(), name.encode("utf-16-le").lower(), name.encode().lower()} <= found
    japanese = source(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎")
    found = identity_bytes(japanese)
    assert "山田".encode() in found
    assert "山田".encode("iso2022_jp").lower() in found


def test_bytes_that_are_no_text_of_their_set_are_looked_for_as_they_are():
    header = source(SpecificCharacterSet="ISO_IR 192")
    header = header.copy()
    raw = "王小东".encode("gbk")
    item = header.get_item("PatientName")
    header._dict[Tag("PatientName")] = item._replace(value=raw, length=len(raw))
    assert raw.lower() in identity_bytes(header)


def test_numbers_are_those_of_patient_and_visit():
    assert identity_numbers(source(PatientID="4471", AccessionNumber="9")) == {"4471", "9"}


def test_an_empty_header_states_nothing():
    assert identity_words(Dataset()) == ()
    assert identity_bytes(Dataset()) == frozenset()
