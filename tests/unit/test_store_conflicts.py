"""One UID with two contents, one set with two patients: kept, held, and decided by a person."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_ai.ports import Receipt
from dicom_ai.store import conflicts, tables
from dicom_ai.store.conflict_rows import conflict_rows
from dicom_ai.store.database import read, write
from dicom_ai.store.resolution import AlreadyDecided, UnknownChoice
from tests.disputes import Dispute
from tests.ledger import place, site

pytestmark = pytest.mark.databases("verify")


@pytest.fixture
def dispute(tmp_path) -> Dispute:
    return Dispute(place(tmp_path))


def events(dispute: Dispute, kind: str) -> int:
    return sum(row.kind == kind for row in dispute.here.rows(tables.events))


class TestKept:
    """What arrives."""

    @pytest.mark.parametrize("together", [True, False])
    def test_other_content_is_kept_and_goes_nowhere(self, dispute, together):
        here = dispute.here
        first, second = here.spooled(1), here.spooled(1, content=b"other")
        for batch in [[first, second]] if together else [[first], [second]]:
            assert here.keeper.keep(batch) == [Receipt(0)] * len(batch)
        assert dispute.state_of(second.digest) == ("conflict", "conflict")
        assert here.files.path(second.digest).exists()
        (row,) = here.rows(tables.conflicts)
        assert (row.kind, row.state, row.kept, row.digest, row.sop_uid, row.peer, row.differs) == (
            "object", "open", first.digest, second.digest, "1.2.3.1", "SCANNER", [],
        )  # fmt: skip
        assert [row.object for row in here.rows(tables.members)] == [first.digest]
        assert [row.object for row in here.rows(tables.deliveries)] == [first.digest]
        assert dispute.alarms() == ["conflict"]
        assert (events(dispute, "received"), events(dispute, "conflict")) == (2, 1)
        dispute.check({first.digest, second.digest})

    def test_every_content_has_its_row_and_a_repeat_none(self, dispute):
        for what in ("a", "b", "c", "b", "a", "c"):
            dispute.send(1, what)
        assert len(dispute.open_conflicts()) == 2
        assert len(dispute.here.rows(tables.objects)) == 3
        assert events(dispute, "conflict") == 2

    def test_a_repeat_of_a_conflict_whose_file_is_gone_is_kept_again(self, dispute):
        dispute.send(1, "a")
        path = dispute.here.files.path(dispute.send(1, "b"))
        path.unlink()
        dispute.send(1, "b")
        assert path.exists()

    @pytest.mark.parametrize("together", [True, False])
    def test_refused_where_the_settings_say_so(self, dispute, together):
        here = dispute.here
        refuse(dispute)
        first, second, again = here.spooled(1), here.spooled(1, content=b"b"), here.spooled(1, content=b"b")
        receipts = []
        for batch in [[first, second, again]] if together else [[first], [second], [again]]:
            receipts += here.keeper.keep(batch)
        assert receipts == [Receipt(0), *[Receipt(0x0111, "conflict")] * 2]
        (row,) = here.rows(tables.conflicts)
        assert (row.state, row.kept, row.digest) == ("refused", first.digest, second.digest)
        assert [row.digest for row in here.rows(tables.objects)] == [first.digest]
        assert not here.files.path(second.digest).exists()
        assert events(dispute, "conflict") == 1
        assert dispute.alarms() == []
        with pytest.raises(AlreadyDecided, match=r"receive\.conflict"):
            dispute.resolve(row.id, "new")

    def test_what_was_refused_is_kept_once_the_settings_say_so(self, dispute):
        refuse(dispute)
        dispute.here.keeper.keep([dispute.here.spooled(1), dispute.here.spooled(1, content=b"b")])
        refuse(dispute, "keep")
        assert dispute.here.keeper.keep([dispute.here.spooled(1, content=b"b")]) == [Receipt(0)]
        assert sorted(row.state for row in dispute.here.rows(tables.conflicts)) == ["open", "refused"]

    @pytest.mark.parametrize(
        ("change", "differs", "is_grave"),
        [
            ({}, [], False),
            ({"patient": "P2"}, ["PatientID"], True),
            ({"study": "1.2.8"}, ["StudyInstanceUID"], True),
            ({"patient": " P1 "}, [], False),
            ({"patient": "P1\0"}, [], False),
        ],
    )
    def test_differs_names_what_differs_and_never_how(self, dispute, change, differs, is_grave):
        dispute.send(1)
        dispute.send(1, "b", **change)
        (row,) = dispute.open_conflicts()
        assert row.differs == differs
        assert dispute.alarms() == ["identity_conflict" if is_grave else "conflict"]
        assert "P2" not in str(dispute.here.rows(tables.conflicts) + dispute.here.rows(tables.events))


def refuse(dispute: Dispute, conflict: str = "refuse") -> None:
    object.__setattr__(dispute.here.keeper.rules, "conflict", conflict)


class TestHeld:
    """What becomes of results."""

    def test_undelivered_results_are_held_and_originals_go_on(self, dispute):
        dispute.send(1)
        dispute.settle()
        dispute.answer()
        dispute.send(1, "b", patient="P2")
        assert dispute.deliveries() == [(kind, "held", "identity_conflict") for kind in ("report", "capture")]
        assert dispute.deliveries("source") == [("source", "queued", None)]
        assert dispute.recalled() == []

    def test_other_content_of_the_same_patient_holds_nothing(self, dispute):
        dispute.send(1)
        dispute.settle()
        dispute.answer()
        dispute.send(1, "b")
        assert {state for _, state, _ in dispute.deliveries()} == {"queued"}

    def test_results_queued_while_it_is_open_are_held(self, dispute):
        dispute.send(1)
        dispute.send(1, "b", patient="P2")
        dispute.settle()
        dispute.answer()
        assert {state for _, state, _ in dispute.deliveries()} == {"held"}

    def test_both_studies_are_held_when_the_objects_name_two(self, dispute):
        dispute.send(1, study="1.2.9")
        dispute.send(2, study="1.2.8")
        dispute.settle()
        dispute.answer()
        dispute.send(1, "b", study="1.2.8")
        assert [state for _, state, _ in dispute.deliveries()] == ["held"] * 4
        dispute.resolve(1, "kept")
        assert [state for _, state, _ in dispute.deliveries()] == ["queued"] * 4

    def test_delivered_results_are_listed_for_recall(self, dispute):
        dispute.send(1)
        dispute.settle()
        dispute.answer()
        dispute.deliver()
        dispute.send(1, "b", patient="P2")
        assert dispute.recalled() == [(1, "capture"), (1, "report")]
        assert {state for _, state, _ in dispute.deliveries()} == {"sent"}

    def test_what_was_on_its_way_and_arrived_is_listed_too(self, dispute):
        dispute.send(1)
        dispute.settle()
        dispute.answer()
        with dispute.on_the_way():
            dispute.send(1, "b", patient="P2")
            assert dispute.recalled() == []
        assert {state for _, state, _ in dispute.deliveries()} == {"sent"}
        assert dispute.recalled() == [(1, "capture"), (1, "report")]

    def test_what_was_decided_while_it_was_on_its_way_is_listed_too(self, dispute):
        dispute.send(1)
        dispute.settle()
        dispute.answer()
        with dispute.on_the_way():
            dispute.send(1, "b")
            dispute.resolve(1, "new")
        assert dispute.recalled() == [(1, "capture"), (1, "report"), (1, "source")]


class TestDecided:
    """What a decision does to two objects of one UID."""

    def test_kept_frees_what_was_held_and_recalls_nothing(self, dispute):
        first = dispute.send(1)
        dispute.deliver()
        dispute.settle()
        dispute.answer()
        later = dispute.send(1, "b", patient="P2")
        dispute.deliver()
        before = dispute.here.clock()
        dispute.here.clock.forward(3600)
        dispute.resolve(1, "kept")
        assert (dispute.state_of(first)[0], dispute.state_of(later)) == ("stored", ("replaced", "replaced"))
        assert dispute.deliveries() == [(kind, "queued", None) for kind in ("report", "capture")]
        queued = [row.queued_at for row in dispute.here.rows(tables.deliveries) if row.kind == "report"]
        assert queued > [before], "the retention time begins anew"
        (opened,) = dispute.here.rows(tables.outbox)
        assert (opened.is_open, opened.due_at) == (True, dispute.here.clock())
        assert dispute.recalled() == []
        assert dispute.alarms() == []
        (row,) = dispute.here.rows(tables.conflicts)
        assert (row.state, row.choice, row.by, row.resolved_at) == ("resolved", "kept", "someone", dispute.here.clock())

    def test_kept_takes_delivered_results_off_the_list(self, dispute):
        dispute.send(1)
        dispute.settle()
        dispute.answer()
        dispute.deliver()
        dispute.send(1, "b", patient="P2")
        dispute.resolve(1, "kept")
        assert dispute.recalled() == []

    def test_held_results_wait_for_every_conflict_of_the_study(self, dispute):
        dispute.send(1)
        dispute.send(2)
        dispute.settle()
        dispute.answer()
        dispute.send(1, "b", patient="P2")
        dispute.send(2, "b", patient="P2")
        dispute.resolve(1, "kept")
        assert {state for _, state, _ in dispute.deliveries()} == {"held"}
        dispute.resolve(2, "kept")
        assert {state for _, state, _ in dispute.deliveries()} == {"queued"}

    def test_new_stands_is_forwarded_and_a_revision_follows(self, dispute):
        first, other = dispute.send(1), dispute.send(2)
        dispute.settle()
        dispute.answer()
        dispute.deliver()
        later = dispute.send(1, "b")
        dispute.resolve(1, "new")
        assert (dispute.state_of(first), dispute.state_of(later)) == (("replaced", "replaced"), ("stored", None))
        assert dispute.members() == {("s-1.2.9", 1): {first, other}, ("s-1.2.9", 2): {later, other}}
        assert dispute.deliveries("source") == [("source", "sent", None)] * 2 + [("source", "queued", None)]
        assert dispute.recalled() == [(1, "capture"), (1, "report"), (1, "source")]
        dispute.settle()
        dispute.answer()
        assert [state for _, state, _ in dispute.deliveries()] == ["sent", "sent", "queued", "queued"]
        dispute.check({first, other, later})

    def test_new_before_anything_went_out_gives_the_old_up_for_good(self, dispute):
        first = dispute.send(1)
        dispute.settle()
        dispute.answer()
        later = dispute.send(1, "b", patient="P2")
        dispute.resolve(1, "new")
        assert dispute.deliveries() == [(kind, "dead", "replaced") for kind in ("report", "capture")]
        assert dispute.deliveries("source") == [("source", "dead", "replaced"), ("source", "queued", None)]
        assert dispute.recalled() == []
        dispute.check({first, later})

    def test_an_analysis_that_ends_after_the_decision_is_never_sent(self, dispute):
        dispute.send(1)
        dispute.settle()
        dispute.send(1, "b")
        dispute.resolve(1, "new")
        first_set = min(dispute.here.rows(tables.sets), key=lambda row: row.revision)
        with write(dispute.here.engine) as connection:
            assert conflicts.bar(connection, "s-1.2.9", first_set.id) == ("dead", "replaced")

    @pytest.mark.parametrize("others", [0, 1])
    def test_new_in_an_open_set_takes_the_place_of_the_first(self, dispute, others):
        first, *rest = [dispute.send(number) for number in range(1, 2 + others)]
        later = dispute.send(1, "b")
        dispute.resolve(1, "new")
        assert dispute.members() == {("s-1.2.9", 1): {later, *rest}}
        assert len([job for job in dispute.here.jobs.all() if job.workflow == "settle"]) == 1
        dispute.check({first, *rest, later})

    @pytest.mark.parametrize("others", [0, 1])
    @pytest.mark.parametrize("is_closed", [True, False])
    def test_new_in_another_study_leaves_a_revision_where_it_was(self, dispute, others, is_closed):
        first, *rest = [dispute.send(number) for number in range(1, 2 + others)]
        if is_closed:
            dispute.settle()
            dispute.answer()
        later = dispute.send(1, "b", study="1.2.8")
        dispute.resolve(1, "new")
        found = dispute.members()
        assert found["s-1.2.8", 1] == {later}
        newest = max(revision for study, revision in found if study == "s-1.2.9")
        assert newest == (2 if is_closed and rest else 1)
        assert found["s-1.2.9", newest] == (set(rest) if rest or not is_closed else {first})
        dispute.settle()
        dispute.answer()
        dispute.check({first, *rest, later})

    def test_a_third_content_is_compared_with_the_one_that_stands(self, dispute):
        first = dispute.send(1)
        second, third = dispute.send(1, "b", patient="P2"), dispute.send(1, "c", patient="P2")
        dispute.resolve(1, "new")
        (row,) = dispute.open_conflicts()
        assert (row.id, row.kept, row.digest, row.differs) == (2, second, third, [])
        assert dispute.alarms() == ["conflict"]
        dispute.resolve(2, "new")
        assert [dispute.state_of(one)[0] for one in (first, second, third)] == ["replaced", "replaced", "stored"]
        dispute.check({first, second, third})

    def test_what_nobody_can_decide_is_said(self, dispute):
        dispute.send(1)
        dispute.send(1, "b")
        with pytest.raises(UnknownChoice, match="conflicts list"):
            dispute.resolve(7, "new")
        with pytest.raises(UnknownChoice, match="kept or new"):
            dispute.resolve(1, "both")
        dispute.resolve(1, "kept")
        with pytest.raises(AlreadyDecided, match="someone"):
            dispute.resolve(1, "new")

    def test_no_route_for_the_one_that_stands_means_forwarded_only(self, tmp_path):
        dispute = Dispute(place(tmp_path, task=lambda instance, *_: "lung-signs" if instance.model != "X" else None))
        first, other = dispute.send(1), dispute.send(2)
        dispute.settle()
        later = dispute.send(1, "b", model="X")
        dispute.resolve(1, "new")
        assert dispute.state_of(later) == ("stored", "no_task")
        assert dispute.members() == {("s-1.2.9", 1): {first, other}, ("s-1.2.9", 2): {other}}

    def test_side_branch_forwards_nothing(self, tmp_path):
        dispute = Dispute(place(tmp_path, tables=site()))
        dispute.send(1)
        dispute.send(1, "b")
        dispute.resolve(1, "new")
        assert dispute.deliveries("source") == []


class TestPatients:
    """A set with objects of two patients."""

    def test_it_is_quarantined_and_a_conflict(self, dispute):
        both = {dispute.send(1), dispute.send(2, patient="P2")}
        dispute.settle()
        (row,) = dispute.open_conflicts()
        (mixed,) = dispute.here.rows(tables.sets)
        assert (row.kind, row.set, row.study, row.differs) == ("patient", mixed.id, "s-1.2.9", ["PatientID"])
        assert {dispute.state_of(one) for one in both} == {("quarantined", "mixed_patient")}
        assert dispute.here.jobs.ids("analyse") == []
        assert dispute.alarms() == ["mixed_patient"]
        assert events(dispute, "quarantined") == 1

    @pytest.mark.parametrize("padded", ["P1 ", " P1", "P1\0"])
    def test_padding_is_no_other_patient(self, dispute, padded):
        dispute.send(1)
        dispute.send(2, patient=padded)
        dispute.settle()
        assert dispute.open_conflicts() == []
        assert len(dispute.here.jobs.ids("analyse")) == 1

    def test_no_patient_is_another_patient(self, dispute):
        dispute.send(1)
        dispute.send(2, patient="")
        dispute.settle()
        assert len(dispute.open_conflicts()) == 1

    @pytest.mark.parametrize("is_delivered", [True, False])
    def test_results_of_before_are_held_or_listed_until_the_decision(self, dispute, is_delivered):
        dispute.send(1)
        dispute.settle()
        dispute.answer()
        if is_delivered:
            dispute.deliver()
        dispute.send(2, patient="P2")
        dispute.settle()
        listed = [(1, "capture"), (1, "report")] if is_delivered else []
        assert {state for _, state, _ in dispute.deliveries()} == {"sent" if is_delivered else "held"}
        assert dispute.recalled() == listed

    @pytest.mark.parametrize("right", [0, 1])
    @pytest.mark.parametrize("is_delivered", [True, False])
    def test_the_chosen_patient_stays(self, dispute, right, is_delivered):
        digests = [dispute.send(1)]
        dispute.settle()
        dispute.answer()
        if is_delivered:
            dispute.deliver()
        digests.append(dispute.send(2, patient="P2"))
        dispute.settle()
        dispute.resolve(1, dispute.choices(1)[right])
        assert dispute.members()["s-1.2.9", 3] == {digests[right]}
        assert dispute.state_of(digests[right]) == ("stored", None)
        assert dispute.state_of(digests[1 - right]) == ("quarantined", "mixed_patient")
        assert dispute.alarms() == []
        fate = ("sent", None) if is_delivered else ("queued", None) if right == 0 else ("dead", "mixed_patient")
        assert {(state, reason) for _, state, reason in dispute.deliveries()} == {fate}
        assert dispute.recalled() == ([(1, "capture"), (1, "report")] if is_delivered and right == 1 else [])
        assert len([one for one in dispute.deliveries("source") if one[1] in {"queued", "sent"}]) == 2
        dispute.check(set(digests))

    def test_a_late_object_of_either_patient_does_not_hide_the_question(self, dispute):
        first, second = dispute.send(1), dispute.send(2, patient="P2")
        dispute.settle()
        third = dispute.send(3)
        dispute.settle()
        (row,) = dispute.open_conflicts()
        assert dispute.members()["s-1.2.9", 2] == {first, second, third}
        dispute.send(4, patient="P2")
        dispute.resolve(row.id, dispute.choices(row.id)[0])
        assert dispute.members()["s-1.2.9", 3] == {first, third}
        dispute.settle()
        assert dispute.open_conflicts() == []

    def test_a_choice_that_is_none_names_those_there_are(self, dispute):
        dispute.send(1)
        dispute.send(2, patient="P2")
        dispute.settle()
        with pytest.raises(UnknownChoice, match="choose one of 1, 2"):
            dispute.resolve(1, "9")
        with pytest.raises(UnknownChoice):
            dispute.resolve(1, "kept")


def test_rows_name_patients_only_when_asked(dispute):
    dispute.send(1)
    dispute.settle()
    dispute.answer()
    dispute.deliver()
    dispute.send(1, "b", patient="CANARY7")
    dispute.send(2, patient="CANARY7")
    dispute.settle()
    with read(dispute.here.engine) as connection:
        plain = conflict_rows(connection, everything=False, with_identity=False)
        told = conflict_rows(connection, everything=False, with_identity=True)
    assert "CANARY7" not in str(plain)
    assert "Invented" not in str(plain)
    objects, patients = told
    assert [side["identity"]["patient_id"] for side in objects["choices"]] == ["P1", "CANARY7"]
    assert [side["identity"]["patient_id"] for side in patients["choices"]] == ["P1", "CANARY7"]
    assert [side["choose"] for side in objects["choices"]] == ["kept", "new"]
    assert [side["objects"] for side in patients["choices"]] == [1, 1]
    assert [(one["kind"], one["destination"], one["state"]) for one in plain[0]["recall"]] == [
        ("report", "pacs", "sent"),
        ("capture", "pacs", "sent"),
    ]


STEPS = st.one_of(
    st.tuples(
        st.just("send"), st.integers(1, 3), st.sampled_from("ab"), st.sampled_from(["P1", "P2"]),
        st.sampled_from(["1.2.8", "1.2.9"]),
    ),
    st.tuples(st.sampled_from(["settle", "answer", "deliver"])),
    st.tuples(st.just("resolve"), st.integers(0, 5), st.integers(0, 1)),
)  # fmt: skip


@settings(max_examples=12)
@given(steps=st.lists(STEPS, min_size=4, max_size=24))
def test_whatever_comes_and_is_decided_nothing_wrong_goes_out_and_nothing_is_lost(tmp_path_factory, steps):
    play(Dispute(place(tmp_path_factory.mktemp("place"))), steps)


@pytest.mark.verify
@pytest.mark.timeout(1800)
@settings(max_examples=200)
@given(steps=st.lists(STEPS, min_size=4, max_size=30))
def test_the_same_over_many_more_courses(tmp_path_factory, steps):
    play(Dispute(place(tmp_path_factory.mktemp("place"))), steps)


def play(dispute: Dispute, steps: Sequence[tuple[Any, ...]]) -> None:
    """One course of events, looked at after every step, and then everything decided."""
    sent: set[str] = set()
    for name, *arguments in steps:
        if name == "send":
            number, what, patient, study = arguments
            sent.add(dispute.send(number, what, patient=patient, study=study))
        elif name == "resolve":
            found = dispute.open_conflicts()
            if found:
                conflict = found[arguments[0] % len(found)].id
                choices = dispute.choices(conflict)
                dispute.resolve(conflict, choices[arguments[1] % len(choices)])
        else:
            getattr(dispute, name)()
        dispute.check(sent)
    while found := dispute.open_conflicts():
        dispute.resolve(found[0].id, dispute.choices(found[0].id)[-1])
        dispute.check(sent)
    dispute.here.engine.dispose()
