"""CPU of a request to custody's inference server beside other servers with the same model, each alone on its core.

python bench/serving/run.py               10 rounds of 2 seconds a load (about 40 minutes)
QUICK=1 python bench/serving/run.py       1 round of 1 second, without the servers that start slowly
python bench/serving/run.py --more        adds rounds to those of the last run, under the same conditions
python bench/serving/run.py --publish     writes the table into docs/explanation/serving-speed.md too

Exit 1 when a number misses what it must reach, or a server could not be measured.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bucket import bucket
from environments import python_of, versions
from machine import facts
from models import Model, load
from plan import JOBS, RAW, ROWS, TURNS, Job, quick_jobs
from report import print_table, publish
from running import Running, Wrong, cores, running
from servers import SERVERS, Place, environment_of
from world import PEERS

from custody.inference.captures.journal import why_none

ROOT = Path(__file__).parent.parent.parent
HOME = ROOT / ".bench"
QUICK = os.environ.get("QUICK") == "1"
_SHIPPED_A_SECOND = 100  # batches, by custody where very many deployments answer
Values = dict[str, list[float]]


@dataclass(slots=True)
class Session:
    """One run of the benchmark: where things are, and what was measured so far."""

    port: int
    seconds: int
    rounds: int
    server_core: int
    load_core: int
    pythons: dict[str, Path]
    models: dict[str, Model]
    values: Values = field(default_factory=lambda: defaultdict(list))
    details: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    problems: list[str] = field(default_factory=list)
    earlier: dict[str, Any] = field(default_factory=dict)
    before: int = 0

    @property
    def all_rounds(self) -> int:
        """Return the rounds of this run and of those that it goes on from."""
        return self.before + self.rounds


def main() -> int:
    """Measure, print, write .bench/serving.json, and answer 1 if something falls short."""
    given = _arguments()
    require_wrk()
    if why := why_none(ROOT):
        sys.stderr.write(f"There is no journal of captures here, and a record costs more without one: {why}\n")
    jobs = [job for job in (quick_jobs() if QUICK else JOBS) if not given.only or job.server in given.only]
    session = _session(given, jobs)
    if given.more:
        _go_on(session)
    os.sched_setaffinity(0, {session.load_core})
    began, load_before = time.time(), os.getloadavg()
    conditions: dict[str, Any] = {}
    # removed at the end only: ext4 without a journal makes each new file search past those that were removed in the last minutes
    with tempfile.TemporaryDirectory(dir=HOME / "serving") as folder:
        for number in range(session.before, session.all_rounds):
            _round(session, jobs, number, Path(folder))
            conditions = _conditions(session, time.time() - began, (load_before, os.getloadavg()))
            _write(session, conditions)
    short = print_table(ROWS, session.values, session.all_rounds, session.problems, conditions)
    if given.publish:
        publish(ROOT / "docs/explanation/serving-speed.md", ROWS, session.values, session.all_rounds, conditions)
    return 1 if short or session.problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1 if QUICK else 10)
    parser.add_argument("--seconds", type=int, default=1 if QUICK else 2, help="of each load, a whole number")
    parser.add_argument("--port", type=int, default=18700, help="the first of four that are used")
    parser.add_argument("--only", action="append", default=[], metavar="SERVER", help=f"one of {', '.join((*SERVERS, RAW))}")
    parser.add_argument("--more", action="store_true", help="add rounds to those in .bench/serving.json")
    parser.add_argument("--publish", action="store_true", help="write the table into the documentation")
    return parser.parse_args()


def require_wrk() -> None:
    """Exit if there is no wrk."""
    if shutil.which("wrk") is None:
        raise SystemExit("This needs wrk, a load generator. On Debian and Ubuntu: apt-get install wrk")


def _session(given: argparse.Namespace, jobs: list[Job]) -> Session:
    peers = {SERVERS[job.server].peer for job in jobs if job.server != RAW} - {""}
    pythons = {peer: python_of(peer, HOME / "envs").absolute() for peer in sorted(peers)} | {"": Path(sys.executable)}
    models = {name: load(name, HOME / "serving" / "models") for name in sorted({job.model for job in jobs})}
    return Session(given.port, given.seconds, given.rounds, *cores(), pythons, models)


def _go_on(session: Session) -> None:
    """Go on from the last run; exit if it was measured in another way."""
    found = json.loads((HOME / "serving.json").read_text())
    session.earlier = found["conditions"]
    session.before = session.earlier["rounds"]
    session.problems += found["problems"]
    session.values.update(found["values"])
    session.details.update(found["loads"])
    now, fixed = _conditions(session, 0.0, ((), ())), ("seconds_per_load", "machine", "versions", "model_bytes")
    if other := [name for name in fixed if now[name] != session.earlier[name]]:
        raise SystemExit(f"The last run differs from this one in {', '.join(other)}: leave out --more to begin anew.")


def _round(session: Session, jobs: list[Job], number: int, folder: Path) -> None:
    order = jobs[:]
    random.Random(number).shuffle(order)
    for job in order:
        print(f"round {number + 1} of {session.all_rounds}: {job.name}", end="  \r" if sys.stdout.isatty() else "\n", flush=True)
        try:
            (_raw if job.server == RAW else _job)(session, job, Path(tempfile.mkdtemp(dir=folder)))
        except Wrong as error:
            session.problems.append(str(error))
        for quantity in _quantities(job):
            values = session.values[quantity]
            values += [float("nan")] * (number + 1 - len(values))


def _quantities(job: Job) -> list[str]:
    return [job.quantity(what) for what in (*job.cells, *(() if job.server == RAW else ("ready", "pss")))]


def _job(session: Session, job: Job, folder: Path) -> None:
    server = SERVERS[job.server]
    store = bucket(session.port + 3, session.load_core) if job.s3 else nullcontext("")
    with store as url:
        python, model = session.pythons[server.peer], session.models[job.model]
        place = Place(python, session.port, model, folder, job.deployments, job.share, url)
        with running(server, place, job.cells, session.server_core) as one:
            session.values[job.quantity("ready")].append(one.ready_s)
            session.values[job.quantity("pss")].append(one.pss_mib)
            session.details[job.quantity("processes")].append(len(one.pids()))
            for cell in job.cells:
                if job.server == TURNS:  # a small difference: longer loads
                    session.values[job.quantity(cell)].append(one.record_cost(cell, 2 * session.seconds, session.load_core))
                    continue
                seconds = max(
                    session.seconds, job.deployments // _SHIPPED_A_SECOND
                )  # so long that what all answer is shipped once
                found = one.load(cell, seconds, session.load_core)
                session.details[job.quantity(cell)].append(asdict(found))
                if found.void:
                    session.problems.append(f"{job.quantity(cell)}: {found.void}")
                session.values[job.quantity(cell)].append(float("nan") if found.void else found.cpu_us)
            _require_captured(session, job, one)


def _require_captured(session: Session, job: Job, one: Running) -> None:
    """Note answers of custody that were not captured: such a load was cheaper than it should be."""
    if job.server == "custody" and (shed := one.shed_rows()):
        session.problems.append(f"{job.name}: {shed} predictions were not captured")


def _raw(session: Session, job: Job, folder: Path) -> None:
    model = session.models[job.model]
    server = SERVERS["noop"]
    rows = folder / "rows.json"
    rows.write_text(json.dumps(model.rows))
    place = Place(session.pythons[""], session.port, model, folder)
    command = ["taskset", "-c", str(session.server_core), sys.executable, str(PEERS / "raw_loop.py"), str(rows)]
    command += [str(session.seconds), *(str(cell.batch) for cell in job.cells)]
    environment = environment_of(server, place, server.launch(place))
    found = json.loads(subprocess.run(command, capture_output=True, check=True, env=environment).stdout)
    for cell in job.cells:
        session.values[job.quantity(cell)].append(found[str(cell.batch)])


def _conditions(session: Session, took_s: float, loads: tuple[tuple[float, ...], tuple[float, ...]]) -> dict[str, Any]:
    used = {name: server for name, server in SERVERS.items() if server.distributions and server.peer in session.pythons}
    return {
        "rounds": session.all_rounds,
        "seconds_per_load": session.seconds,
        "minutes": round(took_s / 60 + session.earlier.get("minutes", 0), 1),
        "load_average_before_and_after": [[round(one, 1) for one in load] for load in loads],
        "machine": facts(),
        "versions": {
            server.peer or "custody": versions(session.pythons[server.peer], server.distributions) for server in used.values()
        },
        "model_bytes": {name: model.path.stat().st_size for name, model in session.models.items()},
    }


def _write(session: Session, conditions: dict[str, Any]) -> None:
    found = {"conditions": conditions, "values": session.values, "loads": session.details, "problems": session.problems}
    (HOME / "serving.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    sys.exit(main())
