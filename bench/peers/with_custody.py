"""custody: comparison to JSON and a page; the reference is a Parquet file, or a profile that was saved before."""

import json

import scipy.special  # noqa: F401 - imports are outside the timing, also this one, which waits for the first reference
from measured import measure

from custody import monitoring


def work(reference: str, current: str) -> str:
    found = monitoring.compare(reference, current)
    text, page = json.dumps(found.to_json()), found.to_html()
    return f"{found.level.value}, {len(found.report.drifting)} columns drift, {len(text)} and {len(page)} characters"


measure(work)
