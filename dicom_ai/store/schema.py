"""The one collection that every table of the ledger belongs to; migrations are compared with it."""

from sqlalchemy import MetaData

metadata = MetaData()
