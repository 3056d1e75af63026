"""`custody serve`: several processes on one port, and nothing lost when one of them dies."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from inference_world import ACME, GLOBEX, Server, World, bearer, body, metrics_of, tabular
from test_inference_manifest import until

from custody.bootstrap.serve import adopt, place_of
from custody.core.errors import InvalidInput
from custody.inference.scrape import merged


def children(server: Server) -> list[int]:
    pid = server.process.pid
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ask(server: Server) -> httpx.Response:
    url = f"{server.url}/tenants/acme/v2/models/churn/infer"
    return httpx.post(url, json=body(), headers=bearer(ACME), timeout=30)  # a connection of its own


def by_worker(server: Server, name: str) -> dict[str, float]:
    text = metrics_of(server)
    return {worker: float(value) for worker, value in re.findall(rf'^{name}{{worker="(\d+)"[^}}]*}} (\S+)$', text, re.MULTILINE)}


class Caller(threading.Thread):
    """Asks without a pause over connections that it opens anew when they break; keeps what was answered and what failed."""

    def __init__(self, server: Server, ended: threading.Event) -> None:
        super().__init__()
        self.server, self.ended = server, ended
        self.answered: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.broken = 0

    def run(self) -> None:
        while not self.ended.is_set():
            with self.server.client() as client:
                while not self.ended.is_set():
                    try:
                        answer = client.post("/v2/models/churn/infer", json=body())
                    except httpx.TransportError:
                        self.broken += 1
                        break
                    self.statuses[answer.status_code] += 1
                    if answer.status_code == 200:
                        self.answered.append(answer.json()["parameters"]["prediction_id"])


def test_a_worker_that_is_killed_under_load_loses_nothing_and_is_replaced(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    ended = threading.Event()
    with world.serve("--workers", "3") as server:
        workers = children(server)
        assert len(workers) == 3
        callers = [Caller(server, ended) for _ in range(9)]
        for caller in callers:
            caller.start()
        until(lambda: sum(len(one.answered) for one in callers) > 200)
        number = int(max(by_worker(server, "custody_captured_predictions_total").items(), key=lambda one: one[1])[0])
        busiest = workers[number]
        os.kill(busiest, signal.SIGKILL)
        left = list((world.folder / f"state/worker-{number}/spool").glob("*/*.ndjson"))
        until(lambda: len(children(server)) == 3 and busiest not in children(server))
        until(lambda: sum(log.read_text().count("is served") for log in world.folder.glob("log-*")) > 3)
        before = sum(len(one.answered) for one in callers)
        until(lambda: sum(len(one.answered) for one in callers) > before + 200)
        until(lambda: not any(path.exists() for path in left))  # shipped by the one that took its place
        ended.set()
        for caller in callers:
            caller.join()
        assert server.stop() == 0
        assert world.spooled == []
    assert all(caller.broken <= 1 for caller in callers)  # what was inside the killed worker; no new connection failed
    assert {status for caller in callers for status in caller.statuses} == {200}
    answered = [one for caller in callers for one in caller.answered]
    captured = Counter(str(capture.id) for capture in world.captures())
    assert set(answered) <= captured.keys()
    assert set(captured.values()) == {1}
    assert len(captured) - len(answered) <= len(callers)  # written, but killed before the answer left


def test_sigterm_drains_all_workers_and_ships_all_they_have(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    with world.serve("--workers", "2", "--drain-seconds", "0") as server:
        workers = children(server)
        ids = {ask(server).json()["parameters"]["prediction_id"] for _ in range(40)}
        assert server.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert {str(one.id) for one in world.captures()} == ids
    assert world.spooled == []


def test_metrics_of_every_worker_are_told_by_whichever_is_asked(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    with world.serve("--workers", "2") as server:
        for _ in range(40):
            assert ask(server).status_code == 200
        until(lambda: sum(by_worker(server, "custody_captured_predictions_total").values()) == 40)
        text = metrics_of(server)
        assert by_worker(server, "custody_manifest_sequence") == {"0": 1, "1": 1}
        assert 'tenant="acme"' in metrics_of(server, ACME)
        assert 'tenant="acme"' not in metrics_of(server, GLOBEX)
    heads = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))


def test_metrics_of_several_texts_become_one() -> None:
    one = '# HELP a_total A.\n# TYPE a_total counter\na_total 1\n# HELP b B.\n# TYPE b gauge\nb{x="y"} 2\n'
    two = "# HELP a_total A.\n# TYPE a_total counter\na_total 3\n# HELP b B.\n# TYPE b gauge\n"
    assert merged({"0": one, "1": two}) == (
        '# HELP a_total A.\n# TYPE a_total counter\na_total{worker="0"} 1\na_total{worker="1"} 3\n'
        '# HELP b B.\n# TYPE b gauge\nb{worker="0",x="y"} 2\n'
    )


def test_workers_stop_when_the_process_that_started_them_is_killed(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    with world.serve("--workers", "2") as server:
        workers = children(server)
        identity = ask(server).json()["parameters"]["prediction_id"]
        server.kill()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert [str(one.id) for one in world.captures()] == [identity]


def test_grpc_is_shared_too(world: World) -> None:
    triton: Any = pytest.importorskip("tritonclient.grpc")
    from test_inference_grpc import key_of, tensors

    world.publish([world.service(world.target(tabular(1)))])
    with world.serve("--workers", "2", "--grpc-port", "0") as server:
        for _ in range(6):
            with triton.InferenceServerClient(server.grpc) as client:
                assert client.infer("churn", tensors(1), headers=key_of(ACME)).as_numpy("score").shape == (1,)


def test_a_worker_that_cannot_start_ends_it_all_and_says_why(world: World) -> None:
    with pytest.raises(AssertionError, match="A worker did not start"), world.serve("--workers", "2", "--objects", "ftp://x"):
        pass
    with pytest.raises(AssertionError, match="This is no public key"), world.serve("--workers", "2", "--public-key", "00"):
        pass


def test_a_port_or_folder_that_is_taken_is_an_error(world: World) -> None:
    with world.serve() as server:
        with pytest.raises(AssertionError, match="Another inference server uses this state folder"), world.serve():
            pass
        port = server.url.rpartition(":")[2]
        other = ("--state-dir", str(world.folder / "other"))
        with pytest.raises(AssertionError, match=f"Port {port} of"), world.serve("--port", port, *other):
            pass


def test_what_a_larger_number_of_workers_left_is_shipped_by_the_first(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    with world.serve("--workers", "3") as server:
        shutdown = children(server)
        ids = {ask(server).json()["parameters"]["prediction_id"] for _ in range(30)}
        for pid in shutdown:
            os.kill(pid, signal.SIGSTOP)  # none of them ships what it still has
        server.process.kill()
        for pid in shutdown:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in shutdown))
    with world.serve("--workers", "1"):
        until(lambda: not world.spooled)
    assert Counter(str(one.id) for one in world.captures()) == Counter(ids)
    assert sorted(path.name for path in (world.folder / "state").glob("worker-*")) == ["worker-0"]


def test_captures_keep_the_name_that_says_where_they_go(tmp_path: Path) -> None:
    for folder in ("spool/acme", "worker-0/spool/acme", "worker-1/spool/acme", "worker-2/spool/globex"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / f"{folder.replace('/', '-')}.ndjson").write_text("{}\n")
    adopt(tmp_path, 2)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("**/*.ndjson"))
    assert found == [
        "worker-0/spool/acme/spool-acme.ndjson",
        "worker-0/spool/acme/worker-0-spool-acme.ndjson",
        "worker-0/spool/globex/worker-2-spool-globex.ndjson",
        "worker-1/spool/acme/worker-1-spool-acme.ndjson",
    ]


def test_a_project_says_what_to_follow_and_flags_win(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--objects and --public-key"):
        place_of(tmp_path, {}, {"objects": None, "public_key": None})
    subprocess.run([sys.executable, "-m", "custody.cli.main", "init", str(tmp_path)], check=True, capture_output=True)
    place = place_of(tmp_path, {"CUSTODY_INFERENCE_PORT": "7000"}, {"objects": None, "host": "::1", "grpc_port": 9})
    assert (place.objects, place.port, place.host, place.grpc_port) == (str(tmp_path / "objects"), 7000, "::1", 9)
    assert (len(place.public_key), place.state_dir) == (64, tmp_path / "serve")
    alone = place_of(None, {}, {"objects": "s3://x/y", "public_key": "ab", "port": None})
    assert (alone.objects, alone.public_key, alone.state_dir, alone.port) == ("s3://x/y", "ab", Path("serve"), 8090)


def test_a_worker_that_keeps_dying_is_started_later_each_time(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    with world.serve("--workers", "2") as server:
        for _ in range(2):
            first = children(server)[0]
            os.kill(first, signal.SIGKILL)
            until(lambda first=first: first not in children(server) and len(children(server)) == 2)  # type: ignore[misc]
            time.sleep(0.1)
        log = "".join(path.read_text() for path in world.folder.glob("log-*"))
        rests = [float(one) for one in re.findall(r"again in (\S+) s", log)]
        assert rests[0] > 0
        assert ask(server).status_code == 200


def test_connections_that_wait_for_a_worker_that_is_stuck_are_answered_by_the_others(world: World) -> None:
    world.publish([world.service(world.target(tabular(1)))])
    with world.serve("--workers", "2") as server:
        stuck = children(server)[1]
        os.kill(stuck, signal.SIGSTOP)
        try:
            assert {ask(server).status_code for _ in range(30)} == {200}
        finally:
            os.kill(stuck, signal.SIGCONT)
