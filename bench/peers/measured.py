"""What one drift report costs: CPU seconds, wall seconds and peak memory of this process, as one line of JSON.

Every script beside this file reads the two Parquet files that it is given and makes one report with its tool's defaults.
Imports are outside the timing, reading the files is inside. The peak is that of the whole process, imports included.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

NUMBERS = [f"x{i}" for i in range(20)]
CATEGORIES = [f"c{i}" for i in range(5)]


def cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_mb() -> float:
    """Return this program's own peak; `ru_maxrss` would also count what its parent held when it was started."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure(work: Callable[[str, str], object]) -> None:
    """Run work(reference, current) on the paths of the command line and print what it cost, and what it found in short."""
    reference, current = sys.argv[1:3]
    cpu, wall = cpu_s(), time.perf_counter()
    found = work(reference, current)
    cost = {"cpu_s": cpu_s() - cpu, "wall_s": time.perf_counter() - wall, "peak_mb": peak_mb(), "found": str(found)}
    print(json.dumps(cost))
