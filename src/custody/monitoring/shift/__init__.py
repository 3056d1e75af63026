"""What comparing two samples of rows rests on: one order, one grid of cells, a classifier that tells them apart; never a verdict."""
