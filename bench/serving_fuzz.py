"""Send malformed bodies to every decoder of a live inference server: no crash, no 5xx, no growth, an error in the protocol's shape.

Run: python bench/serving_fuzz.py [SEED], or QUICK=1 python bench/serving_fuzz.py for 1,000 bodies instead of 10,000.
Exit 1 when an answer or the server's memory is not as it must be; what was sent is then in the file that the last line names.
"""

import gzip
import http.client
import json
import os
import random
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from faults_world import FEATURES, HEADERS, TENANT, Verdicts, World, path_of, request

QUICK = os.environ.get("QUICK") == "1"
BODIES = 1_000 if QUICK else 10_000
MLFLOW = f"/tenants/{TENANT}/deployments/churn/invocations"
ALLOWED = {200, 400, 408, 413, 415}  # a body that was changed may still be a good one
STEADY_MIB = 24.0
WORDS = [
    b"null",
    b"NaN",
    b"1e999",
    b"-1",
    b"[[[[",
    b"{}",
    b'""',
    b'"\\ud800"',
    b"\xff\xfe",
    b"\x00",
    b"9" * 400,
    b"true",
    b"inputs",
]
SHAPES: list[Any] = [[-1, 4], [2**63, 4], [0, 4], [1, 4, 1], [], [1.5, 4], [2**31, 2**31], "x", None, [1] * 300]
SIZES: list[Any] = [0, -1, 15, 17, 2**63, "16", None, 1.5, [16]]


@dataclass(frozen=True, slots=True)
class Sent:
    """One malformed request."""

    path: str
    body: bytes
    headers: dict[str, str]


def v2(rng: random.Random) -> Sent:
    """Change a field of a V2 request, or its text."""
    document = json.loads(request())
    one = document["inputs"][0]
    place = rng.choice([one, document, one.setdefault("parameters", {})])
    key = rng.choice(["name", "datatype", "shape", "data", "inputs", "outputs", "parameters", "id", "binary_data_size"])
    place[key] = rng.choice(
        [*SHAPES, *SIZES, "FP64", "BYTES", [{"name": "score"}], {"a": 1}, True, [None], [1e300], ["x"], "\u0000"]
    )
    return Sent(path_of(), mangled(json.dumps(document).encode(), rng), {})


def binary(rng: random.Random) -> Sent:
    """Change the binary tensor, its announced size, or the length of the JSON part."""
    size = rng.choice([16, *SIZES])
    tensor = {"name": "input", "datatype": rng.choice(["FP32", "FP64", "BYTES", "BOOL", "INT64"]), "shape": [1, FEATURES]}
    if rng.random() < 0.3:
        tensor["shape"] = rng.choice(SHAPES)
    head = json.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": size}}]}).encode()
    blob = np.array([1, np.nan, np.inf, 3], np.float32).tobytes() if rng.random() < 0.5 else rng.randbytes(rng.randrange(40))
    length = rng.choice([len(head), len(head) - 1, len(head) + 1, 0, -1, 2, 10**20, "x", ""])
    return Sent(path_of(), mangled(head + blob, rng, 0.3), {"inference-header-content-length": str(length)})


def mlflow(rng: random.Random) -> Sent:
    """Change a table of MLflow's."""
    good = {
        "dataframe_split": {"columns": ["input"], "data": [[[1, 2, 3, 4]]]},
        "dataframe_records": [{"input": [1, 2, 3, 4]}],
        "inputs": {"input": [[1, 2, 3, 4]]},
        "instances": [{"input": [1, 2, 3, 4]}],
    }
    names = rng.sample(sorted(good), rng.choice([1, 1, 1, 2]))
    document: dict[str, Any] = {name: good[name] for name in names}
    if rng.random() < 0.5:
        document[names[0]] = rng.choice(
            [None, 1, [], {}, [[]], [{}], {"columns": 1, "data": [[1]]}, {"data": [[1, 2, 3, 4]]}, "x"]
        )
    return Sent(MLFLOW, mangled(json.dumps(document).encode(), rng), {"content-type": "application/json"})


def table(rng: random.Random) -> Sent:
    """Change a table in CSV."""
    return Sent(MLFLOW, mangled(b'input\n"1,2,3,4"\n1\n', rng, 0.9), {"content-type": "text/csv"})


def packed(rng: random.Random) -> Sent:
    """Compress a body, then damage it."""
    ways: list[tuple[str, Callable[[bytes], bytes]]] = [("gzip", gzip.compress), ("deflate", zlib.compress)]
    name, pack = rng.choice([*ways, ("br", gzip.compress), ("gzip, gzip", zlib.compress)])
    one = rng.choice([v2, binary, mlflow])(rng)
    return Sent(one.path, mangled(pack(one.body), rng, 0.7), {**one.headers, "content-encoding": name})


def mangled(body: bytes, rng: random.Random, chance: float = 0.6) -> bytes:
    """Cut, repeat, replace or flip parts of a body, or leave it alone."""
    found = bytearray(body)
    while rng.random() < chance:
        start = rng.randrange(len(found) + 1)
        match rng.randrange(4):
            case 0:
                del found[start : start + rng.randrange(1, 20)]
            case 1:
                found[start:start] = rng.choice(WORDS)
            case 2:
                found[start:start] = found[start : start + 30] * rng.choice([1, 2, 200])
            case _ if start < len(found):
                found[start] ^= 1 << rng.randrange(8)
    return bytes(found)


DECODERS = (v2, binary, mlflow, table, packed)


def send(sent: Sent, wire: http.client.HTTPConnection) -> tuple[int, bytes]:
    """Send one body on a kept connection; the server may close it with its answer."""
    wire.request("POST", sent.path, sent.body, {**HEADERS, **sent.headers})
    answer = wire.getresponse()
    return answer.status, answer.read()


def wrong(sent: Sent, status: int, told: bytes) -> str:
    """Return what is wrong with an answer, or nothing."""
    if status not in ALLOWED:
        return f"status {status}"
    try:
        document = json.loads(told)
    except ValueError:
        return f"status {status}, and the answer is no JSON"
    if status == 200:
        return ""
    key = "message" if sent.path == MLFLOW else "error"
    return "" if isinstance(document.get(key), str) else f"status {status}, without a text in '{key}'"


def main() -> int:
    """Send them all."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    rng, say, statuses = random.Random(seed), Verdicts(), Counter[int]()
    problems: list[tuple[str, Sent]] = []
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.publish(world.service(world.target()))
        with world.server() as server:
            wire = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            warm = 0.0
            for number in range(BODIES):
                sent = rng.choice(DECODERS)(rng)
                status, told = send(sent, wire)
                statuses[status] += 1
                if trouble := wrong(sent, status, told):
                    problems.append((trouble, sent))
                if number == BODIES // 10:
                    warm = server.rss_mib()
            say.same("answers that are not as they must be", len(problems), 0)
            say.at_most("memory after the last body, beside after the first tenth", server.rss_mib() - warm, STEADY_MIB, "MiB")
            say.same("a good request afterwards", server.ask(request())[0], 200)
            say.same("the process still runs", server.process.poll(), None)
            say.same("failures that nobody expected, in its log", server.log.read_text().count("unexpected way"), 0)
    say.note("seed and statuses", f"{seed}, {dict(sorted(statuses.items()))}")
    if problems:
        path = Path(tempfile.mkstemp(prefix="custody-fuzz-", suffix=".txt")[1])
        path.write_text("\n".join(f"{trouble}: {sent!r}" for trouble, sent in problems), encoding="utf-8")
        print(f"what was sent: {path}")
    return int(say.short > 0)


if __name__ == "__main__":
    sys.exit(main())
