"""Break what the inference server depends on, while it is under load: what fails, how, and for how long.

Run: python bench/serving_faults.py, or QUICK=1 python bench/serving_faults.py with the store away for 3 seconds instead of 60.
Exit 1 when something is lost, wrong or too slow. Needs Linux (/proc).
"""

import gzip
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from custody.core.manifest import Candidate, Mode
from faults_world import KEY, Load, Server, Verdicts, World, children, median, model, noted, path_of, request, until

QUICK = os.environ.get("QUICK") == "1"
AWAY_S = 3 if QUICK else 60
CONNECTIONS, DEAF, BOMB_MIB = (500, 5, 256) if QUICK else (2000, 50, 1024)
GROWTH_MIB = 64.0  # what one worst request may take for a moment: a body of 16 MiB, as bytes and as values
STEADY_MIB = 16.0
DEAF_MIB = 2.56  # what a client that never reads may take
WARM = 800  # requests of 2,000 rows
MIB = 2**20
LRU = ("models_loaded", "model_loads_total", "model_evictions_total")


def revisions(world: World, say: Verdicts) -> None:
    """New revisions and a rollback go live under load."""
    targets = [world.target(seed) for seed in (1, 2)]
    world.publish(world.service(targets[0]))
    seconds: list[float] = []
    with world.server() as server, Load(server) as one, Load(server) as two:
        for number in range(2, 8):
            world.publish(world.service(targets[number % 2], number))
            seconds.append(until(lambda number=number: server.revision() == number, 10))  # type: ignore[misc]
    say.at_most("a new revision, or the old model again, is live after", max(seconds), 1.0, "s")
    say.same("requests that failed meanwhile", one.failed + two.failed, 0)
    say.same("revisions only move forward on a connection", all(x.revisions == sorted(x.revisions) for x in (one, two)), True)


def storage(world: World, say: Verdicts) -> None:
    """The object store is away under load; then also the server is killed, and starts again without it."""
    world.publish(world.service(world.target()))
    store, away = world.folder / "objects", world.folder / "away"
    with world.server() as server:
        with Load(server) as one, Load(server) as two:
            before = server.rss_mib()
            store.rename(away)
            store.write_text("a file where the store was")
            time.sleep(AWAY_S)
            grown = server.rss_mib() - before
            store.unlink()
            away.rename(store)
        answered = {*one.ids, *two.ids}
        back = until(lambda: answered <= world.captured().keys(), 60)
        say.same(f"requests that failed in {AWAY_S} s without the store", one.failed + two.failed, 0)
        say.at_most("memory grew by", grown, STEADY_MIB, "MiB")
        say.at_most(f"all {len(answered)} captures are stored, after it is back, in", back, 30, "s")
        say.same("captures that were stored twice", sum(count > 1 for count in world.captured().values()), 0)
        store.rename(away)
        server.process.kill()
        server.process.wait()
    began = time.perf_counter()
    with world.server() as server:
        status = server.ask(request())[0]
        say.same("after a crash, without store and control plane, the last good manifest answers", status, 200)
        say.at_most("it is ready after", time.perf_counter() - began, 15, "s")
    shutil.rmtree(store, ignore_errors=True)  # made anew by the server that found none
    away.rename(store)


def crash(world: World, say: Verdicts) -> None:
    """A worker of several is killed under load."""
    world.publish(world.service(world.target()))
    with world.server(workers=2) as server, ExitStack() as stack:
        loads = [stack.enter_context(Load(server)) for _ in range(4)]
        victim = children(server.process.pid)[0]
        os.kill(victim, signal.SIGKILL)
        replaced = until(lambda: len(set(children(server.process.pid)) - {victim}) == 2, 20)
        time.sleep(2)
        stack.close()
        answered = {one for load in loads for one in load.ids}
        say.at_most("a worker that was killed is replaced after", replaced, 2, "s")
        say.at_most("requests that broke: at most one on each connection", sum(load.failed for load in loads), len(loads))
        say.at_most("all captures are stored after", until(lambda: answered <= world.captured().keys(), 30), 30, "s")


def _head(length: str) -> bytes:
    return f"POST {path_of()} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n{length}\r\n\r\n".encode()


def _open(server: Server, text: bytes = b"") -> socket.socket:
    wire = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    wire.sendall(text)
    return wire


def clients(world: World, say: Verdicts) -> None:
    """Clients that are slow, deaf, many."""
    world.publish(world.service(world.target()))
    with world.server() as server, Load(server, pause_s=0.01) as load, ExitStack() as held:
        for _ in range(WARM):  # the journals of captures, and the room for their lines, are memory that it keeps
            server.ask(request(2000))
        before = server.rss_mib()
        slow = [held.enter_context(_open(server, _head("Content-Length: 5000") + b'{"inp')) for _ in range(100)]
        for wire in [held.enter_context(_open(server)) for _ in range(DEAF)]:
            _ask_and_never_read(wire)
        say.at_most(f"{DEAF} clients that never read: memory grew by", server.rss_mib() - before, DEAF * DEAF_MIB, "MiB")
        many = [held.enter_context(_open(server)) for _ in range(CONNECTIONS)]
        say.same(f"with {len(many)} connections open, another asks", server.ask(request())[0], 200)
        say.same("bodies that do not arrive", {wire.recv(4096)[:12] for wire in slow}, {b"HTTP/1.1 408"})
        held.close()
        say.at_most("once all are gone, memory is above the start by", first := _settled(server, before), DEAF * DEAF_MIB, "MiB")
        for _ in range(3):
            with ExitStack() as again:
                for wire in [again.enter_context(_open(server)) for _ in range(DEAF)]:
                    _ask_and_never_read(wire)
        say.at_most(
            f"after three more times {DEAF} that never read, above that by", _settled(server, before) - first, STEADY_MIB, "MiB"
        )
        say.same("requests of a good client that failed meanwhile", load.failed, 0)


def _ask_and_never_read(wire: socket.socket) -> None:
    """Ask until the answers that nobody reads fill all buffers."""
    whole = _head(f"Content-Length: {len(request(2000))}") + request(2000)
    wire.settimeout(0.2)
    try:
        for _ in range(200):
            wire.sendall(whole)
    except TimeoutError:
        return


def _settled(server: Server, before: float) -> float:
    until(lambda: server.rss_mib() - before < STEADY_MIB, 5)
    return server.rss_mib() - before


def _grown(server: Server, work: Callable[[], None]) -> float:
    """Return by how much memory grew at most while something ran."""
    before, most, done = server.rss_mib(), 0.0, False
    import threading

    thread = threading.Thread(target=work)
    thread.start()
    while not done:
        done = not thread.is_alive()
        most = max(most, server.rss_mib() - before)
        time.sleep(0.005)
    return most


def bodies(world: World, say: Verdicts) -> None:
    """Bodies that are far too large, sent whole, in chunks and compressed."""
    world.publish(world.service(world.target()))
    bomb = gzip.compress(bytes(BOMB_MIB * MIB))
    found: dict[str, int] = {}

    def declared(server: Server) -> None:
        with _open(server, _head(f"Content-Length: {200 * MIB}")) as wire:
            found["declared"] = int(wire.recv(4096)[9:12])

    def chunked(server: Server) -> None:
        with _open(server, _head("Transfer-Encoding: chunked")) as wire:
            for _ in range(200):
                wire.sendall(b"100000\r\n" + bytes(MIB) + b"\r\n")
            found["chunked"] = int(wire.recv(4096)[9:12])

    def packed(server: Server) -> None:
        found["gzip bomb"] = server.ask(bomb, headers={"content-encoding": "gzip"})[0]

    with world.server() as server, Load(server, pause_s=0.01) as load:
        for name, work in (("200 MiB declared", declared), ("200 MiB in chunks", chunked), (f"{BOMB_MIB} MiB in gzip", packed)):
            grown = _grown(server, lambda work=work: work(server))  # type: ignore[misc]
            say.at_most(f"{name}: memory grew by", grown, GROWTH_MIB, "MiB")
        say.same("answers", found, {"declared": 413, "chunked": 413, "gzip bomb": 413})
    say.same("requests of a good client that failed meanwhile", load.failed, 0)


def neighbours(world: World, say: Verdicts) -> None:
    """A model that does not load beside one that answers; a shadow that cannot answer."""
    good = world.target()
    bad = replace(good, artifact=world.objects.put(b"this is no model"))
    world.publish(world.service(good))
    with world.server() as server, Load(server) as load:
        alone = until(lambda: len(load.seconds) > 300, 60) and median(load.seconds)
        world.publish(world.service(good, 2), world.service(bad, 1, "broken"))
        until(lambda: server.revision() == 2, 10)
        say.same("a model that does not load answers", server.ask(request(), path_of("broken"))[0], 503)
        shadowed = replace(world.service(good, 3), candidate=Candidate(world.target(2), Mode.SHADOW, 1.0))
        world.publish(shadowed)
        until(lambda: server.revision() == 3, 10)
        begin = len(load.seconds)
        until(lambda: len(load.seconds) > begin + 300, 60)
        say.note("median answer without and with a shadow", f"{alone * 1e3:.2f} ms, {median(load.seconds[begin:]) * 1e3:.2f} ms")
        world.publish(replace(shadowed, revision=4, candidate=Candidate(bad, Mode.SHADOW, 1.0)))
        until(lambda: server.metric("custody_manifest_failures_total") > 1, 10)
    say.same("requests of the good model that failed meanwhile", load.failed, 0)


def thousand(world: World, say: Verdicts) -> None:
    """A thousand deployed models on one node, each a file of its own, within a memory bound that holds a quarter of them."""
    count = 100 if QUICK else 1000
    first, body = world.target(), model(1).onnx
    own = [replace(first, artifact=world.objects.put(body + noted(f"model-{n}"))) for n in range(count)]
    world.publish(*(world.service(target, 1, f"model-{n}") for n, target in enumerate(own)))
    with world.server("--memory-mb", str(room := 64 * count // 1000)) as server:
        most, statuses = 0.0, Counter[int]()
        for _ in range(2):
            for n in range(count):
                statuses[server.ask(request(), path_of(f"model-{n}"))[0]] += 1
                most = max(most, server.rss_mib())
        say.same(f"{count} models answer, twice each", dict(statuses), {200: 2 * count})
        say.at_most("what the models in memory may take", server.metric("custody_models_bytes") / MIB, room, "MiB")
        say.note("models in memory, loads, evictions", ", ".join(str(server.metric(f"custody_{name}")) for name in LRU))
        say.at_most("memory of the process, at most", most, 256, "MiB")


SCENES = (revisions, storage, crash, clients, bodies, neighbours, thousand)


def main() -> int:
    """Play every scene in a world of its own, or those named as arguments."""
    say = Verdicts()
    for scene in SCENES:
        if len(sys.argv) > 1 and scene.__name__ not in sys.argv[1:]:
            continue
        print((scene.__doc__ or "").strip(), flush=True)
        with tempfile.TemporaryDirectory() as folder:
            world = World(Path(folder))
            scene(world, say)
    print("nothing fell short" if not say.short else f"{say.short} fell short")
    return int(say.short > 0)


if __name__ == "__main__":
    sys.exit(main())
