"""What a drift report costs: custody beside its peers, on two Parquet files of 1M rows, 20 numbers and 5 categories.

python bench/drift.py          makes the data and the peers' environments under .bench/ where they are missing; half an hour or more
QUICK=1 python bench/drift.py  100,000 rows, and only the peers that have an environment; no verdict on ratios at this size

Each run is a process of its own: CPU seconds are user and system time without imports, the peak is that of the whole process.
Exit 1 when a target is missed.

A scan is judged beside pyarrow decoding the same file in batches of rows, the usual way to stream one. Shown beside it, not judged:
decoding column by column with categories left as dictionaries, which is how custody reads and the least that reading can cost, and
reading the whole table.
"""

import json
import os
import statistics
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
BENCH = HERE.parent / ".bench"
QUICK = os.environ.get("QUICK") == "1"
ROWS = 100_000 if QUICK else 1_000_000
OWN_RUNS, PEER_RUNS, LIMIT_S = (3, 1, 120) if QUICK else (7, 2, 3600)
PEERS = ("evidently", "nannyml", "whylogs", "alibi-detect", "frouros", "deepchecks")
SILENT = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "WHYLOGS_NO_ANALYTICS": "True"}  # nothing calls home
BOTH, STORED, LONG = "custody, both files", "custody, stored reference", "custody, stored, 10x rows"
SCAN, DECODE = "custody, scan only", "pyarrow, decode only"
COLUMNS, TABLE = "pyarrow, decode by columns", "pyarrow, read_table"


@dataclass(slots=True)
class Tool:
    """A script, its interpreter, the two paths it gets, and what its runs cost or why there are none."""

    name: str
    python: Path
    script: str
    paths: tuple[Path, Path]
    runs: int
    costs: list[dict[str, float]] = field(default_factory=list)
    found: str = ""
    missing: str = ""

    def run(self) -> None:
        """Run once in a fresh process."""
        command = [str(self.python), str(HERE / "peers" / self.script), *map(str, self.paths)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=LIMIT_S, env={**os.environ, **SILENT}
            )
        except subprocess.TimeoutExpired:
            self.missing = f"did not end within {LIMIT_S} s"
            return
        if done.returncode:
            self.missing = f"failed: {(done.stderr.strip().splitlines() or ['nothing said'])[-1]}"
            return
        cost = json.loads(done.stdout.strip().splitlines()[-1])
        self.found = cost.pop("found")
        self.costs.append(cost)

    def values(self, what: str) -> list[float]:
        """Return one cost of every run."""
        return [cost[what] for cost in self.costs]

    def median(self, what: str) -> float:
        """Return the median of one cost; NaN without a run."""
        return statistics.median(self.values(what)) if self.costs else float("nan")


def data(name: str, rows: int, seed: int, shift: float) -> Path:
    """Make a file of rows unless it is there; in a process of its own, so that this one stays small."""
    path = BENCH / "drift" / f"{name}-{rows}-{seed}.parquet"
    if not path.exists():
        print(f"Writing {rows:,} rows ...", flush=True)
        subprocess.run([sys.executable, HERE / "drift_data.py", path, str(rows), str(seed), str(shift)], check=True)
    return path


def stored(path: Path) -> Path:
    """Save the profile of a file."""
    target = path.with_suffix(".json.zst")
    code = f"from custody import monitoring; monitoring.summarise({str(path)!r}).save({str(target)!r})"
    subprocess.run([sys.executable, "-c", code], check=True)
    return target


def install(peer: str) -> str:
    """Make a peer's environment from its pinned list; say why it is missing, or nothing."""
    wanted = (HERE / "peers" / f"{peer}.txt").read_text()
    home = BENCH / "envs" / peer
    stamp = home / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return ""
    if QUICK:
        return "has no environment; a full run makes it"
    print(f"Installing {peer} ...", flush=True)
    venv.create(home, with_pip=True, clear=True)
    command = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", str(HERE / "peers" / f"{peer}.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"cannot be installed: {(done.stderr.strip().splitlines() or ['nothing said'])[-1]}"
    stamp.write_text(wanted)
    return ""


def tools() -> list[Tool]:
    files = data("reference", ROWS, 1, 0.0), data("current", ROWS, 2, 0.1)
    kept, own = stored(files[0]), Path(sys.executable)
    found = [
        Tool(BOTH, own, "with_custody.py", files, OWN_RUNS),
        Tool(STORED, own, "with_custody.py", (kept, files[1]), OWN_RUNS),
        Tool(LONG, own, "with_custody.py", (kept, data("long", 10 * ROWS, 3, 0.1)), max(OWN_RUNS - 2, 3)),
        Tool(SCAN, own, "with_custody_scan.py", (kept, files[1]), OWN_RUNS),
        Tool(DECODE, own, "with_pyarrow.py", files, OWN_RUNS),
        Tool(COLUMNS, own, "with_pyarrow_columns.py", files, OWN_RUNS),
        Tool(TABLE, own, "with_pyarrow_table.py", files, OWN_RUNS),
    ]
    for peer in PEERS:
        script = f"with_{peer.replace('-', '_')}.py"
        found.append(Tool(peer, BENCH / "envs" / peer / "bin" / "python", script, files, PEER_RUNS, missing=install(peer)))
    return found


def show(found: list[Tool]) -> None:
    own = found[0].median("cpu_s")
    print(f"\n{'tool':28} {'CPU s':>8} {'[min-max]':>17} {'wall s':>8} {'peak MB':>8} {'CPU / ours':>10}  runs, found")
    for tool in found:
        if tool.missing:
            print(f"{tool.name:28} {tool.missing}")
            continue
        times = tool.values("cpu_s")
        spread = f"[{min(times):.2f}-{max(times):.2f}]"
        print(
            f"{tool.name:28} {tool.median('cpu_s'):8.2f} {spread:>17} {tool.median('wall_s'):8.2f} {tool.median('peak_mb'):8.0f} "
            f"{tool.median('cpu_s') / own:10.2f}  {len(times)}, {tool.found}"
        )


def verdicts(found: list[Tool]) -> int:
    """Print every target with what was measured; return how many are missed."""
    named = {tool.name: tool for tool in found}
    both, kept, long, peer = named[BOTH], named[STORED], named[LONG], named["evidently"]
    cpu, peak = "cpu_s", "peak_mb"
    more, most = "at least", "at most"
    lines = [
        ("Evidently's CPU / ours, both files", peer.median(cpu) / both.median(cpu), more, 50, 120),
        ("Evidently's CPU / ours, stored reference", peer.median(cpu) / kept.median(cpu), more, 150, 400),
        ("our peak / Evidently's, both files", both.median(peak) / peer.median(peak), most, 0.25, 0.1),
        (f"{10 * ROWS:,} rows, stored reference, best wall s", min(long.values("wall_s")), most, 4.0, 2.0),
        ("peak of 10x the rows / peak", long.median(peak) / kept.median(peak), most, 1.15, 1.05),
        ("scan by a stored reference / decode only, CPU", named[SCAN].median(cpu) / named[DECODE].median(cpu), most, 2.0, 1.2),
    ]
    missed = 0
    print(f"\n{'target':46} {'measured':>9} {'must':>16} {'stretch':>8}")
    for name, value, kind, must, stretch in lines:
        met = value >= must if kind == more else value <= must
        reached = value >= stretch if kind == more else value <= stretch
        said = "ok, stretch reached" if reached else "ok" if met else "not measured" if value != value else "MISSED"  # noqa: PLR0124
        missed += said == "MISSED"
        print(f"{name:46} {value:9.2f} {kind + f' {must:g}':>16} {stretch:8g}  {said}")
    return missed


def run_all(found: list[Tool]) -> None:
    """Run everything in turns; the quick run has no time to give each peer both processors for itself."""
    for turn in range(max(tool.runs for tool in found)):
        wanted = [tool for tool in found if turn < tool.runs and not tool.missing]
        for tool in wanted:
            if tool.name not in PEERS:
                tool.run()
                print(".", end="", flush=True)
        with ThreadPoolExecutor(2 if QUICK else 1) as pool:
            for _ in pool.map(Tool.run, [tool for tool in wanted if tool.name in PEERS]):
                print(".", end="", flush=True)


def main() -> int:
    found = tools()
    run_all(found)
    print(f"\n{ROWS:,} and {ROWS:,} rows of 20 numbers and 5 categories, {os.cpu_count()} processors; medians")
    show(found)
    missed = verdicts(found)
    print("At this size the fixed cost of a report weighs most: targets are judged by the full run." if QUICK else "")
    return 1 if missed and not QUICK else 0


if __name__ == "__main__":
    sys.exit(main())
