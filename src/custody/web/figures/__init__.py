"""What the pages draw, as values: numbers in words, charts, the timeline, lineage, tables; never HTML and never HTTP."""
