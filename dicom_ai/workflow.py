"""The story of one source set, from closed to delivered, as durable workflows; read `register` top to bottom.

Six workflows: `settle` looks whether a study is complete, `analyse` takes one closed source set through crop,
classify and report, `deliver` sends what waits for one destination, `verdict` reads what a reader said of a
report of ours, `commitment` tells a device which of its objects are kept, `pull` takes a turn at an order of archived
studies, which is no part of the story and never in its way. Each step commits what it made to the ledger
before the next begins and finds it there when it is repeated, so a step may be killed anywhere and run again. Waits
are delayed jobs. Pixels never pass through the engine: its arguments and results are ids.

What this is not: the steps themselves (`story`). Receiving happens before, in its own process.
"""

from dbos import DBOS

from dicom_ai.engine import MAX_RECOVERIES, StepFailed, last_step, step
from dicom_ai.pull_orders import Pulls
from dicom_ai.story import Story


def register(story: Story, pulls: Pulls | None = None) -> None:
    """Give the engine its workflows. Call once per process, before the engine is launched."""

    @DBOS.workflow(name="settle", max_recovery_attempts=MAX_RECOVERIES)
    def settle(set_id: str, number: int | None = None) -> None:
        try:
            step("settle", story.settle, set_id, number)
        except StepFailed as failure:
            last_step("again", story.settle_again, set_id, failure.error)

    @DBOS.workflow(name="analyse", max_recovery_attempts=MAX_RECOVERIES)
    def analyse(set_id: str, attempt: int = 0) -> None:
        try:
            model = step("model", story.choose_model, set_id)
            step("crop", story.crop, set_id, model)
            step("classify", story.classify, set_id, model)
            key = step("report", story.report, set_id, model)
            step("queue", story.queue_results, set_id, key)
        except StepFailed as failure:
            last_step("failed", story.failed, set_id, attempt, failure, str(DBOS.workflow_id))

    @DBOS.workflow(name="deliver", max_recovery_attempts=MAX_RECOVERIES)
    def deliver(study: str, destination: str, generation: int) -> None:
        try:
            step("deliver", story.deliver, study, destination, generation)
        except StepFailed as failure:
            last_step("again", story.deliver_again, study, destination, failure.error)

    @DBOS.workflow(name="verdict", max_recovery_attempts=MAX_RECOVERIES)
    def verdict(digest: str) -> None:
        try:
            step("verdict", story.read_verdict, digest)
        except StepFailed as failure:
            last_step("again", story.verdict_again, digest, failure.error)

    _register_commitment(story)
    if pulls is not None:
        register_pull(pulls)


def register_pull(pulls: Pulls) -> None:
    """The workflow of orders alone."""

    @DBOS.workflow(name="pull", max_recovery_attempts=MAX_RECOVERIES)
    def pull(name: str, run: int, number: int) -> None:
        try:
            step("pull", pulls.turn, name, run, number)
        except StepFailed:
            last_step("again", pulls.again, name, run, number)


def _register_commitment(story: Story) -> None:
    @DBOS.workflow(name="commitment", max_recovery_attempts=MAX_RECOVERIES)
    def commitment(number: str) -> None:
        try:
            step("commitment", story.report_commitment, number)
        except StepFailed as failure:
            last_step("again", story.commitment_again, number, failure.error)
