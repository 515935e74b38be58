"""Procedure steps that modalities told of: which are in progress, and which have ended. Nothing else of them is kept.

What this is not: the messages (`receive.procedure_step`), or what a completed step says of an exam (`end_of_exam`).
"""

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from dicom_ai.ports import StepMessage
from dicom_ai.store.tables import procedure_steps

IN_PROGRESS, COMPLETED = "IN PROGRESS", "COMPLETED"
SUCCESS, PROCESSING_FAILURE, DUPLICATE, NO_SUCH_INSTANCE = 0x0000, 0x0110, 0x0111, 0x0112


def take(connection: Connection, message: StepMessage, now: datetime) -> int:
    """Write a message down.

    Args:
        connection: with a write transaction open.
        message: of a modality; a step belongs to who opened it.
        now: aware time.

    Returns:
        DIMSE status, PS3.4 F.7.2: 0x0000; 0x0111 it is there already; 0x0112 there is none; 0x0110 it has ended and
        may no longer be updated.
    """
    c = procedure_steps.c
    mine = (c.peer == message.peer) & (c.uid == message.uid)
    state = connection.scalar(select(c.state).where(mine).with_for_update())
    if message.is_new:
        if state is not None:
            return DUPLICATE
        values = {"peer": message.peer, "uid": message.uid, "state": IN_PROGRESS, "at": now}
        connection.execute(insert(procedure_steps).values(**values))
        return SUCCESS
    if state is None:
        return NO_SUCH_INSTANCE
    if state != IN_PROGRESS:
        return PROCESSING_FAILURE
    if message.state:
        connection.execute(update(procedure_steps).where(mine).values(state=message.state, at=now))
    return SUCCESS
