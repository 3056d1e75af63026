"""What is measured: jobs (a server with a model and its loads), and the rows of the table, each with its targets."""

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from running import Cell

Values = Mapping[str, list[float]]  # by the name of a quantity, one value a round; NaN where a round has none
ONE, MANY, BATCH, TEXT = Cell("json", 1, 1), Cell("json", 1, 32), Cell("json", 64, 8), Cell("json", 1, 16)
BINARY, BINARY_BATCH = Cell("binary", 1, 32), Cell("binary", 64, 8)
COLUMNS, COLUMNS_BATCH = Cell("columns", 1, 32), Cell("columns", 64, 8)
RAW, TURNS, TENTH = "raw", "custody-in-turns", 0.1
FEATURES = 1.3  # what keys, checks, routing, metrics, decisions and records may cost, of a server that has none of them


@dataclass(frozen=True, slots=True)
class Job:
    """One start of a server in a round.

    The job "raw" runs the model in a loop without a server; that of TURNS finds not CPU, but what a request costs with its record
    over what it costs without. share: of the rows, which is kept; the others are summarised. s3: whether the object store is a
    bucket, and not a folder.
    """

    server: str
    model: str
    cells: tuple[Cell, ...]
    deployments: int = 1
    quick: bool = False
    share: float = 1.0
    s3: bool = False

    @property
    def name(self) -> str:
        kept, s3 = f" {self.share:.0%} kept" if self.share < 1 else "", " S3" if self.s3 else ""
        return f"{self.server} {self.model}" + (f" x{self.deployments}" if self.deployments > 1 else "") + kept + s3

    def quantity(self, what: object) -> str:
        """Return the name of something that is measured in this job."""
        return f"{self.name} {what}"


_PEERS = ("mlserver-0", "mlserver", "kserve", "litserve", "bentoml", "mlflow", "fastapi-def", "fastapi-async")
_QUICK = {"mlserver-0", "kserve", "litserve", "fastapi-def", "fastapi-async"}
JOBS = (
    Job("custody", "trees", (ONE, MANY, BATCH, BINARY, BINARY_BATCH), quick=True),
    Job(TURNS, "trees", (MANY, BATCH, BINARY_BATCH), quick=True),
    Job(TURNS, "text", (TEXT,)),
    Job(TURNS, "trees", (MANY, BATCH), share=TENTH),
    Job(TURNS, "columns", (COLUMNS, COLUMNS_BATCH), share=TENTH),
    Job(TURNS, "trees", (MANY, BATCH, BINARY_BATCH), s3=True),
    Job(TURNS, "trees", (MANY, BATCH), share=TENTH, s3=True),
    Job("noop", "trees", (ONE, MANY), quick=True),
    Job("bare", "trees", (ONE, MANY, BATCH), quick=True),
    Job("bare-binary", "trees", (BINARY_BATCH,), quick=True),
    Job(RAW, "trees", (Cell(RAW, 1, 0), Cell(RAW, 64, 0)), quick=True),
    *(Job(peer, "trees", (ONE, MANY, BATCH), quick=peer in _QUICK) for peer in _PEERS),
    *(Job(peer, "text", (TEXT,)) for peer in ("custody", "bare", "mlserver-0", "kserve", "fastapi-def")),
    Job("custody", "columns", (COLUMNS, COLUMNS_BATCH)),
    Job("custody", "small", (MANY,), quick=True),
    Job("custody", "small", (MANY,), deployments=100),
    Job("custody", "small", (MANY,), deployments=1000),
)


def quick_jobs() -> list[Job]:
    """Return the jobs of servers that start quickly, without the loads of a single connection."""
    return [replace(job, cells=tuple(cell for cell in job.cells if cell != ONE)) for job in JOBS if job.quick]


@dataclass(frozen=True, slots=True)
class Row:
    """A measured number beside its targets: must decides about the exit code, expected is what the design says is due.

    of: the number in each round. less: whether less is better. unit: behind each number. reach: what this machine allows in
    each round, if it depends on the machine; then the easier of it and `must` decides.
    """

    title: str
    of: Callable[[Values, int], float]
    must: float | None = None
    expected: float | None = None
    less: bool = False
    unit: str = "x"
    reach: Callable[[Values, int], float] | None = None

    def values(self, found: Values, rounds: int) -> list[float]:
        """Return the number of each round that has it."""
        return _known(self.of, found, rounds)

    def bound(self, found: Values, rounds: int) -> float | None:
        """Return what decides."""
        reach = _known(self.reach, found, rounds) if self.reach else []
        easier = max if self.less else min
        return easier(self.must, statistics.median(reach)) if reach and self.must is not None else self.must

    def verdict(self, found: Values, rounds: int) -> str:
        """Return `ok`, `short`, `-` without a target, or `not measured`."""
        values, bound = self.values(found, rounds), self.bound(found, rounds)
        if not values:
            return "not measured"
        if bound is None:
            return "-"
        middle = statistics.median(values)
        return "ok" if (middle <= bound if self.less else middle >= bound) else "short"


def _known(of: Callable[[Values, int], float], found: Values, rounds: int) -> list[float]:
    return [value for number in range(rounds) if not math.isnan(value := of(found, number))]


def _value(found: Values, name: str, number: int) -> float:
    values = found.get(name, [])
    return values[number] if number < len(values) else math.nan


def _ratio(above: str, below: str) -> Callable[[Values, int], float]:
    return lambda found, number: _value(found, above, number) / _value(found, below, number)


def _plain(name: str) -> Callable[[Values, int], float]:
    return lambda found, number: _value(found, name, number)


def _peer(title: str, peer: str, must: float | None, expected: float | None, cell: Cell = MANY, model: str = "trees") -> Row:
    name, bare = f"{peer} {model} {cell}", _ratio(f"{peer} {model} {cell}", f"bare {model} {cell}")
    ratio = _ratio(name, f"custody {model} {cell}")
    return Row(f"{title}, {cell}", ratio, must, expected, reach=lambda found, number: bare(found, number) / FEATURES)


_FULL, _RAW_ONE, _RAW_BATCH = f"custody trees {MANY}", f"raw trees {Cell(RAW, 1, 0)}", f"raw trees {Cell(RAW, 64, 0)}"
_BARE_BINARY = _ratio(f"bare-binary trees {BINARY_BATCH}", f"bare trees {BATCH}")
ROWS = (
    _peer("MLServer, parallel_workers=0", "mlserver-0", 5.5, 6.5),
    _peer("MLServer, parallel_workers=0", "mlserver-0", 3.4, None, ONE),
    _peer("MLServer, default", "mlserver", 17, 23),
    _peer("MLServer, default", "mlserver", None, None, ONE),
    _peer("KServe SDK", "kserve", 8, 9),
    _peer("KServe SDK", "kserve", 3.3, None, ONE),
    _peer("LitServe", "litserve", 14, 14.6),
    _peer("LitServe", "litserve", 5.4, None, ONE),
    _peer("mlflow models serve", "mlflow", 12, 14),
    _peer("mlflow models serve", "mlflow", 5.7, None, ONE),
    _peer("BentoML", "bentoml", 16, 20),
    _peer("BentoML", "bentoml", 8, None, ONE),
    _peer("FastAPI by hand, def", "fastapi-def", 3.5, 3.8),
    _peer("FastAPI by hand, def", "fastapi-def", 1.9, None, ONE),
    _peer("FastAPI by hand, async def", "fastapi-async", 2.2, 2.3),
    _peer("FastAPI by hand, async def", "fastapi-async", 1.2, None, ONE),
    _peer("MLServer, parallel_workers=0", "mlserver-0", 1.5, 2.4, BATCH),
    _peer("KServe SDK", "kserve", 2.4, 4.4, BATCH),
    _peer("FastAPI by hand, def", "fastapi-def", 1.9, 3.0, BATCH),
    *(
        _peer(title, peer, None, None, BATCH)
        for title, peer in (("LitServe", "litserve"), ("mlflow models serve", "mlflow"), ("BentoML", "bentoml"))
    ),
    _peer("MLServer, parallel_workers=0, text", "mlserver-0", 2.7, 4.7, TEXT, "text"),
    _peer("KServe SDK, text", "kserve", 3.1, 5.1, TEXT, "text"),
    _peer("FastAPI by hand, def, text", "fastapi-def", 1.3, 2.1, TEXT, "text"),
    *(
        Row(
            f"custody / the least that answers, {cell}",
            _ratio(f"custody trees {cell}", f"bare trees {cell}"),
            FEATURES,
            less=True,
        )
        for cell in (ONE, MANY, BATCH)
    ),
    Row("no-op application / custody, json b=1 c=32", _ratio(f"noop trees {MANY}", _FULL), 0.25, 0.30),
    Row("raw run b=1 / custody, json b=1 c=32", _ratio(_RAW_ONE, _FULL), 0.06, 0.08),
    Row("raw run b=64 / custody, binary b=64 c=8", _ratio(_RAW_BATCH, f"custody trees {BINARY_BATCH}"), 0.35, 0.5),
    Row(
        "own binary / own json, b=64 c=8",
        _ratio(f"custody trees {BINARY_BATCH}", f"custody trees {BATCH}"),
        0.60,
        0.52,
        less=True,
        reach=lambda found, number: min(1.0, _BARE_BINARY(found, number) * FEATURES),
    ),
    Row("the same of the least that answers, b=64 c=8", _BARE_BINARY, less=True),
    Row("capture on / off, json b=1 c=32", _plain(f"{TURNS} trees {MANY}"), 1.06, 1.04, True),
    Row("capture on / off, json b=64 c=8", _plain(f"{TURNS} trees {BATCH}"), less=True),
    Row("capture on / off, binary b=64 c=8", _plain(f"{TURNS} trees {BINARY_BATCH}"), less=True),
    Row("capture on / off, text, json b=1 c=16", _plain(f"{TURNS} text {TEXT}"), less=True),
    *(
        Row(f"capture on / off, 10% kept, {cell}", _plain(f"{TURNS} {model} 10% kept {cell}"), less=True)
        for model, cells in (("trees", (MANY, BATCH)), ("columns", (COLUMNS, COLUMNS_BATCH)))
        for cell in cells
    ),
    *(
        Row(f"capture on / off, S3, {cell}", _plain(f"{TURNS} trees S3 {cell}"), less=True)
        for cell in (MANY, BATCH, BINARY_BATCH)
    ),
    *(
        Row(f"capture on / off, 10% kept, S3, {cell}", _plain(f"{TURNS} trees 10% kept S3 {cell}"), less=True)
        for cell in (MANY, BATCH)
    ),
    Row("30 named columns / one tensor, b=1 c=32", _ratio(f"custody columns {COLUMNS}", _FULL), less=True),
    Row(
        "30 named columns / one tensor, b=64 c=8", _ratio(f"custody columns {COLUMNS_BATCH}", f"custody trees {BATCH}"), less=True
    ),
    Row("routing over 100 deployments / 1, c=32", _ratio(f"custody small x100 {MANY}", f"custody small {MANY}"), less=True),
    Row("routing over 1,000 deployments / 1, c=32", _ratio(f"custody small x1000 {MANY}", f"custody small {MANY}"), less=True),
    Row("ready, one small model", _plain("custody small ready"), 3, 1.5, True, " s"),
    Row("idle memory (PSS), one small model", _plain("custody small pss"), 80, 60, True, " MiB"),
    Row("ready, 1,000 deployments", _plain("custody small x1000 ready"), None, None, True, " s"),
    Row("idle memory (PSS), 1,000 deployments", _plain("custody small x1000 pss"), None, None, True, " MiB"),
)
