"""A table of labels: what is unmapped stops, what nobody asked about stays unknown."""

import pytest

from tests.collected import TASK, save_table
from train.labels import Asked, LabelsError, Reading, asked_of, mapping_of, read_labels

MAPPED = mapping_of(["a_line=a_lines,b_line=b_lines,none=none"], TASK)
ROW = {"file": "1.png", "label": "a_line", "patient_or_video_id": "p1"}


def reading(**changes):
    return Reading(**({"task": TASK, "classes": MAPPED} | changes))


def test_a_label_without_a_class_stops_and_is_counted(tmp_path):
    table = save_table(tmp_path / "t.csv", [ROW, ROW | {"file": "2.png", "label": "curtain"}])
    with pytest.raises(LabelsError, match=r"curtain \(1 rows\).*--drop"):
        read_labels(table, reading())


def test_a_sign_beside_others_needs_a_class_as_well(tmp_path):
    table = save_table(tmp_path / "t.csv", [ROW | {"all_signs": "a_line;curtain"}])
    with pytest.raises(LabelsError, match="curtain"):
        read_labels(table, reading())


def test_a_label_dropped_by_name_is_left_out_with_a_reason(tmp_path):
    table = save_table(tmp_path / "t.csv", [ROW, ROW | {"file": "2.png", "label": "curtain"}])
    told = read_labels(table, reading(drop=frozenset({"curtain"})))
    assert [one.reason for one in told] == ["", "dropped_label"]
    assert told[1].labels == {}


def test_without_a_table_of_what_was_asked_every_class_was(tmp_path):
    (told,) = read_labels(save_table(tmp_path / "t.csv", [ROW]), reading())
    assert told.labels == {"a_lines": 1.0, "b_lines": 0.0, "pleural_effusion": 0.0, "consolidation": 0.0}
    assert told.single_sign


def test_a_class_that_nobody_asked_about_is_missing_unless_mentioned(tmp_path):
    asked = Asked(collection=({"named": "two-questions", "asked": ("a_lines", "b_lines")},))
    rows = [
        ROW | {"all_signs": "a_line", "source": "Two-Questions (2025)"},
        ROW | {"file": "2.png", "all_signs": "consolidation", "source": "Two-Questions (2025)"},
    ]
    plain, mentioned = read_labels(save_table(tmp_path / "t.csv", rows), reading(asked=asked))
    assert plain.labels == {"a_lines": 1.0, "b_lines": 0.0}
    assert not plain.single_sign  # nobody knows whether there was an effusion
    assert mentioned.labels == {"a_lines": 0.0, "b_lines": 0.0, "consolidation": 1.0}


def test_a_source_that_the_table_of_what_was_asked_does_not_name_stops(tmp_path):
    table = save_table(tmp_path / "t.csv", [ROW | {"source": "elsewhere"}])
    with pytest.raises(LabelsError, match="elsewhere"):
        read_labels(table, reading(asked=asked_of("lung-public", TASK)))


def test_what_the_table_states_of_a_single_sign_counts_but_not_of_two_signs(tmp_path):
    rows = [
        ROW | {"all_signs": "a_line", "single_sign": "1"},
        ROW | {"file": "2.png", "all_signs": "a_line;b_line", "single_sign": "1"},
        ROW | {"file": "3.png", "all_signs": "a_line", "single_sign": "0"},
    ]
    told = read_labels(save_table(tmp_path / "t.csv", rows), reading())
    assert [one.single_sign for one in told] == [True, False, False]


def test_rows_of_one_recording_are_one_clip_in_the_order_of_its_frames(tmp_path):
    rows = [
        ROW | {"file": f"{name}.png", "video_id": "v", "frame_index": index}
        for name, index in (("c", "10"), ("a", "2"), ("b", "9"))
    ]
    (told,) = read_labels(save_table(tmp_path / "t.csv", rows), reading())
    assert told.files == ("a.png", "b.png", "c.png")


def test_the_same_recording_number_of_two_patients_is_two_clips(tmp_path):
    rows = [ROW | {"video_id": "1"}, ROW | {"file": "2.png", "video_id": "1", "patient_or_video_id": "p2"}]
    assert len(read_labels(save_table(tmp_path / "t.csv", rows), reading())) == 2


def test_frames_of_one_clip_that_disagree_are_left_out(tmp_path):
    rows = [ROW | {"video_id": "v"}, ROW | {"file": "2.png", "label": "b_line", "video_id": "v"}]
    (told,) = read_labels(save_table(tmp_path / "t.csv", rows), reading())
    assert told.reason == "labels_disagree"


def test_nobody_is_no_patient(tmp_path):
    (told,) = read_labels(save_table(tmp_path / "t.csv", [ROW | {"patient_or_video_id": " "}]), reading())
    assert told.reason == "no_patient"


@pytest.mark.parametrize("name", ["../1.png", "/etc/passwd", ""])
def test_a_file_outside_of_the_folder_stops(tmp_path, name):
    with pytest.raises(LabelsError, match="outside"):
        read_labels(save_table(tmp_path / "t.csv", [ROW | {"file": name}]), reading())


def test_a_file_named_twice_stops(tmp_path):
    with pytest.raises(LabelsError, match="twice"):
        read_labels(save_table(tmp_path / "t.csv", [ROW, ROW]), reading())


def test_columns_have_the_names_of_the_table(tmp_path):
    rows = [{"path": "1.png", "sign": "a_line", "subject": "p1"}]
    columns = {"file": "path", "label": "sign", "patient_or_video_id": "subject"}
    (told,) = read_labels(save_table(tmp_path / "t.csv", rows), reading(columns=columns))
    assert told.patient == "p1"
    with pytest.raises(LabelsError, match="patient_or_video_id"):
        read_labels(tmp_path / "t.csv", reading(columns={"file": "path", "label": "sign"}))


def test_a_patient_is_in_no_repr(tmp_path):
    (told,) = read_labels(save_table(tmp_path / "t.csv", [ROW | {"patient_or_video_id": "DOE^JANE"}]), reading())
    assert "DOE" not in repr(told)


@pytest.mark.parametrize("text", ["a_line", "a_line=", "=a_lines", "a_line=no_such_class"])
def test_a_mapping_that_is_none_stops(text):
    with pytest.raises(LabelsError):
        mapping_of([text], TASK)


def test_a_mapping_comes_from_a_file_as_well(tmp_path):
    (tmp_path / "map.toml").write_text('[classes]\nA = "a_lines"\n')
    assert mapping_of([str(tmp_path / "map.toml"), "B=b_lines"], TASK)["A"] == "a_lines"
