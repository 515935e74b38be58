import itertools

from dicom_ai.report.uid import analysis_key, device_uid, result_uid

NAMED = {"namespace": "site", "analysis_key": "k" * 64, "kind": "sr", "sop_class": "1.2.3", "index": 0}
KEYED = {"task": "lung-signs", "card_digest": "c", "pipeline": "1", "report": "1", "language": "en"}
MEMBERS = [("1.2", "d1", "o1"), ("1.3", "d2", "o2")]


def test_a_uid_is_a_legal_2_25_uid():
    uid = result_uid(**NAMED)
    assert uid.startswith("2.25.")
    assert len(uid) <= 44
    number = uid.removeprefix("2.25.")
    assert number == str(int(number))
    assert int(number) < 2**128


def test_the_same_name_makes_the_same_uid_and_another_name_another():
    others = [{**NAMED, "index": 1}, *({**NAMED, key: "other"} for key in NAMED if key != "index")]
    uids = [result_uid(**NAMED), *(result_uid(**other) for other in others)]
    assert result_uid(**NAMED) == uids[0]
    assert len(set(uids)) == len(uids)


def test_parts_of_a_name_cannot_run_into_each_other():
    uids = {result_uid("a", "b", kind, sop, 0) for kind, sop in [("sr1", ""), ("sr", "1"), ("s", "r1")]}
    assert len(uids) == 3


def test_the_uid_does_not_move_between_releases():
    # Results of the past are named by it: a changed value here is a break, not a refactoring.
    assert result_uid("site", "k", "sr", "1.2", 0) == "2.25.144038617660515234672027723506960988505"


def test_device_uid_follows_site_and_card():
    assert len({device_uid(site, card) for site, card in itertools.product("ab", "cd")}) == 4


def test_the_order_of_members_does_not_matter():
    assert analysis_key(MEMBERS, **KEYED) == analysis_key(MEMBERS[::-1], **KEYED)


def test_everything_that_makes_an_analysis_changes_its_key():
    keys = [analysis_key(MEMBERS, **KEYED)]
    keys += [analysis_key(MEMBERS, **{**KEYED, name: "other"}) for name in KEYED]
    keys += [analysis_key(members, **KEYED) for members in (MEMBERS[:1], [("1.2", "d1", "o2"), MEMBERS[1]])]
    keys += [analysis_key([("1.2", "d9", "o1"), MEMBERS[1]], **KEYED)]
    assert len(set(keys)) == len(keys)
    assert all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in keys)
