"""Quarantine and approvals in the ledger: who may confirm what, what counts, and what stops waiting."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dicom_ai.approved import approved, layout_of_row, named_in
from dicom_ai.kept import CropOutcome
from dicom_ai.reasons import REASONS
from dicom_ai.store import analyses, layouts, tables
from dicom_ai.store.database import read, write
from dicom_ai.store.layouts import NotOpen, Proposal, SamePerson
from dicom_ai.store.quarantine import APPROVABLE, NotWaiting, discard, quarantined
from tests.ledger import Place, place

pytestmark = pytest.mark.databases("verify")

KEEP = [[[10.0, 10.0], [90.5, 10.0], [90.0, 90.0]]]


def refused(here: Place, number: int = 1, reason: str = "no_regions", *, status: str = "quarantined") -> str:
    """Keep an object and let the crop refuse it; its digest."""
    spooled = here.spooled(number)
    here.keeper.keep([spooled])
    votes = {"regions": None, "layout": "L1", "support": None}
    outcome = CropOutcome(status, reason if status == "quarantined" else None, 100, 120, 1, votes=votes)
    with write(here.engine) as connection:
        analyses.save_crop(connection, spooled.digest, outcome, here.clock())
    return spooled.digest


def proposal(evidence: str, **changes: Any) -> Proposal:
    values = {"manufacturer": "Maker", "model": "Model", "software": None, "rows": 100, "columns": 120, "keep": KEEP}
    values |= {"mask": "0" * 64, "evidence": evidence, "note": "", "pipeline": "2"}
    return Proposal(**(values | changes))


def entered(here: Place, evidence: str, *, by: str = "Ana", approvals: int = 1) -> Any:
    here.clock.forward(1)
    with write(here.engine) as connection:
        return layouts.propose(connection, proposal(evidence), by=by, approvals=approvals, now=here.clock())


def confirmed(here: Place, number: int, by: str) -> Any:
    here.clock.forward(1)
    with write(here.engine) as connection:
        return layouts.confirm(connection, number, by=by, now=here.clock())


def events(here: Place, kind: str) -> list[Any]:
    return [row.ids for row in here.rows(tables.events) if row.kind == kind]


def test_one_person_is_enough_where_one_is_asked_for(tmp_path: Path) -> None:
    here = place(tmp_path)
    digest = refused(here)
    row = entered(here, digest)
    assert (row.state, row.proposed_by, row.approved_by, row.evidence) == ("approved", "Ana", "Ana", digest)
    (layout,) = approved(here.engine)
    assert (layout.name, layout.status, layout.rows, layout.columns) == (f"L{row.id}", "approved", 100, 120)
    assert layout.keep == (((10.0, 10.0), (90.5, 10.0), (90.0, 90.0)),)
    assert events(here, "layout_approved") == [{"layout": layout.name, "object": digest, "by": "Ana"}]


def test_two_different_people_must_agree_where_two_are_asked_for(tmp_path: Path) -> None:
    here = place(tmp_path)
    row = entered(here, refused(here), approvals=2)
    assert (row.state, row.approved_by, approved(here.engine)) == ("proposed", None, ())
    for same in ("Ana", " ANA ", "ana"):
        with pytest.raises(SamePerson):
            confirmed(here, row.id, same)
    assert approved(here.engine) == ()
    assert confirmed(here, row.id, "Bo").approved_by == "Bo"
    assert confirmed(here, row.id, "Cy").approved_by == "Bo"  # it stands; a third changes nothing
    assert [one.name for one in approved(here.engine)] == [f"L{row.id}"]
    assert [one["by"] for one in events(here, "layout_proposed") + events(here, "layout_approved")] == ["Ana", "Bo"]


def test_a_withdrawn_entry_counts_no_more_and_comes_not_back(tmp_path: Path) -> None:
    here = place(tmp_path)
    row = entered(here, refused(here))
    cropped = refused(here, 2, status="cropped")
    with write(here.engine) as connection:
        studies = layouts.withdraw(connection, row.id, by="Bo", now=here.clock())
    assert studies == [found.study for found in here.rows(tables.objects) if found.digest == cropped]
    assert approved(here.engine) == ()
    with pytest.raises(NotOpen):
        confirmed(here, row.id, "Cy")
    with pytest.raises(NotOpen), write(here.engine) as connection:
        layouts.withdraw(connection, row.id, by="Cy", now=here.clock())
    with pytest.raises(LookupError), write(here.engine) as connection:
        layouts.withdraw(connection, 99, by="Cy", now=here.clock())
    (kept,) = here.rows(tables.layouts)
    assert (kept.state, kept.withdrawn_by) == ("withdrawn", "Bo")


def test_the_latest_approval_comes_first(tmp_path: Path) -> None:
    here = place(tmp_path)
    digest = refused(here)
    early = entered(here, digest, approvals=2).id
    middle = entered(here, digest).id
    confirmed(here, early, "Bo")
    assert [one.name for one in approved(here.engine)] == [f"L{early}", f"L{middle}"]


def test_an_outcome_is_had_again_by_the_entry_that_spoke_alone(tmp_path: Path) -> None:
    here = place(tmp_path)
    digest = refused(here)
    known = [layout_of_row(entered(here, digest)) for _ in range(2)]

    def outcome(name: str | None) -> CropOutcome:
        return CropOutcome("cropped", None, 100, 120, 1, votes={"regions": None, "layout": name, "support": None})

    assert named_in(outcome("L1"), known) == (known[0],)
    assert named_in(outcome("GE LOGIQE9 1164x873"), known) == ()
    assert named_in(outcome(None), known) == ()


@pytest.mark.parametrize(
    ("name", "number"),
    [("L3", 3), ("l12", 12), ("L", None), ("3", None), ("L3x", None), ("L٣", None), ("L1234567890", None), ("", None)],
)
def test_the_name_of_an_entry(name: str, number: int | None) -> None:
    assert layouts.number_of(name) == number
    assert number is None or layouts.name_of(number).casefold() == name.casefold()


def test_what_waits_is_listed_with_its_reason_and_since_when(tmp_path: Path) -> None:
    here = place(tmp_path)
    first = refused(here)
    since = here.clock()
    here.clock.forward(60)
    second = refused(here, 2, "no_picture")
    refused(here, 3, status="cropped")
    with read(here.engine) as connection:
        found = quarantined(connection)
        assert [one.digest for one in quarantined(connection, start=second[:8])] == [second]
        assert [one.digest for one in quarantined(connection, reasons=("no_picture",))] == [second]
        assert quarantined(connection, start="%") == []
    assert [(one.digest, one.reason, one.crop_reason) for one in found] == [
        (first, "no_regions", "no_regions"), (second, "no_picture", "no_picture"),
    ]  # fmt: skip
    assert [one.since for one in found] == [since, since + timedelta(seconds=60)]
    assert (found[0].votes or {})["layout"] == "L1"


def test_what_is_discarded_waits_no_more_and_stays(tmp_path: Path) -> None:
    here = place(tmp_path)
    digest = refused(here)

    def end() -> None:
        with write(here.engine) as connection:
            discard(connection, quarantined(connection)[0], by="Ana", why="in the air", now=here.clock())

    end()
    (row,) = here.rows(tables.objects)
    assert (row.digest, row.state, row.reason) == (digest, "quarantined", "discarded")
    (kept,) = here.rows(tables.discards)
    assert (kept.object, kept.by, kept.why) == (digest, "Ana", "in the air")
    assert events(here, "discarded") == [{"object": digest, "reason": "no_regions", "by": "Ana"}]
    with pytest.raises(NotWaiting, match="already"):
        end()


def test_what_something_else_keeps_is_not_discarded(tmp_path: Path) -> None:
    here = place(tmp_path)
    digest = refused(here, status="cropped")
    with write(here.engine) as connection:
        analyses.quarantine(connection, digest, "no_model", here.clock())
    with pytest.raises(NotWaiting, match="no_model"), write(here.engine) as connection:
        discard(connection, quarantined(connection)[0], by="Ana", why="", now=here.clock())
    assert [row.reason for row in here.rows(tables.objects)] == ["no_model"]


def test_every_reason_a_polygon_helps_against_is_one_of_the_crop() -> None:
    assert {REASONS[code].stage for code in APPROVABLE & REASONS.keys()} == {"crop"}
    assert not APPROVABLE & {"text_on_tissue", "decode_failed", "decoder_died", "discarded", "not_ultrasound"}
