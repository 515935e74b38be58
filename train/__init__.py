"""From archive to a new card: collect, label, split, fit, evaluate, promote. Nothing imports this package."""
