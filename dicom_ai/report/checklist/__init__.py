"""What our own results must hold, judged from the files alone: what no validator sees but a reader or viewer does."""
