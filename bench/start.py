"""How long `custody --help` takes as a whole process; target: 200 ms at the median.

python bench/start.py          20 runs
QUICK=1 python bench/start.py  5 runs
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

TARGET_MS = 200.0
RUNS = 5 if os.environ.get("QUICK") else 20
COMMAND = [str(Path(sys.executable).parent / "custody"), "--help"]


def main() -> int:
    """Measure, print measured beside target, and answer 1 if it falls short."""
    subprocess.run(COMMAND, check=True, stdout=subprocess.DEVNULL)  # the first run writes bytecode
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run(COMMAND, check=True, stdout=subprocess.DEVNULL)
        times.append((time.perf_counter() - started) * 1000)
    median = statistics.median(times)
    print(
        f"custody --help: median {median:.0f} ms [{min(times):.0f} to {max(times):.0f}, {RUNS} runs]; target {TARGET_MS:.0f} ms"
    )
    return 0 if median <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
