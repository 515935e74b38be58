"""Store: objects kept by digest and the ledger that knows them; success means kept (edge: disk, database)."""
