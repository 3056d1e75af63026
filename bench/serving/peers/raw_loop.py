"""ONNX Runtime in a loop, without any server: CPU microseconds per run for batches of rows, as JSON on standard output.

Run: python raw_loop.py FILE SECONDS BATCH... ; FILE holds the rows as a JSON list.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from session import OUTPUT, open_session


def microseconds(rows: Any, batch: int, seconds: float) -> float:
    """Return the CPU time of one run, over as many runs as fit the time; each takes the next rows."""
    session, name = open_session()
    batches = [rows[start : start + batch] for start in range(0, len(rows) - batch + 1, batch)][:64]
    for one in batches:
        session.run([OUTPUT], {name: one})
    runs, started, until = 0, time.process_time(), time.monotonic() + seconds
    while time.monotonic() < until:
        for one in batches:
            session.run([OUTPUT], {name: one})
        runs += len(batches)
    return (time.process_time() - started) / runs * 1e6


def main() -> None:
    rows = json.loads(Path(sys.argv[1]).read_text())
    array = np.array(rows, dtype=object if isinstance(rows[0], str) else np.float32)
    found = {batch: microseconds(array, int(batch), float(sys.argv[2])) for batch in sys.argv[3:]}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
