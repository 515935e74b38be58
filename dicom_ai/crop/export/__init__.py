"""Export: kept pixels as a new object without identity, and the proof that the written bytes hold none (pure)."""
