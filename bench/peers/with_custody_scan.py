"""custody: count the current file by the grid and levels of a stored reference, without a report."""

from measured import measure

from custody import monitoring


def work(reference: str, current: str) -> str:
    return f"{monitoring.summarise(current, like=reference).rows} rows"


measure(work)
