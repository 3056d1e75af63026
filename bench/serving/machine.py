"""What the operating system knows: CPU time and memory of a server's processes, ports, cores, the machine's facts."""

import os
import platform
import signal
import socket
import time
from collections.abc import Iterable
from pathlib import Path

MARK = "CUSTODY_BENCH_SERVER"  # in the environment of every process of a server: daemons outside its tree are found too
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def processes(token: str, root: int) -> set[int]:
    """Return the living processes that inherited the token, and the descendants of `root`."""
    mark = f"{MARK}={token}".encode()
    parents: dict[int, int] = {}
    found = {root}
    for folder in _PROC.glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            fields = _stat(int(folder.name))
        except OSError:
            continue  # it ended meanwhile, or belongs to somebody else
        if fields[0] == "Z":
            continue
        parents[int(folder.name)] = int(fields[1])
        if mark in environment:
            found.add(int(folder.name))
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found & parents.keys()


def _stat(pid: int) -> list[str]:
    """Return the fields behind the command's name: state, parent, ..."""
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return user and system time of processes and of their children that ended and were waited for."""
    seconds = 0.0
    for pid in pids:
        try:
            seconds += time.clock_gettime(_cpu_clock(pid)) + sum(map(int, _stat(pid)[13:15])) * _TICK_S
        except OSError:
            continue  # it ended: its parent's fields now hold its time
    return seconds


def _cpu_clock(pid: int) -> int:
    """Return the clock that counts a process's CPU time to the nanosecond, as clock_getcpuclockid(3) makes it on Linux."""
    return (~pid << 3) | 2


def pss_mib(pids: Iterable[int]) -> float:
    """Return the memory of processes, pages that several share counted once."""
    total_kib = 0
    for pid in pids:
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total_kib += int(line.split()[1])
    return total_kib / 1024


def end(token: str, root: int) -> None:
    """End a server's processes, first politely; OSError if one cannot be ended."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes(token, root):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        for _ in range(100):
            if not processes(token, root):
                return
            time.sleep(0.05)
    raise OSError(f"processes of a server did not end: {sorted(processes(token, root))}")


def require_free(ports: Iterable[int]) -> None:
    """Exit if somebody listens on a port: with SO_REUSEPORT two servers would share it silently."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise SystemExit(f"Port {port} is in use: end what listens there, or choose others with --port.") from None


def facts() -> dict[str, str | int]:
    """Return what a reader needs to know of the machine, without its name."""
    return {
        "cpus": f"{os.cpu_count()} shared vCPUs",
        "instructions": _flags(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def _flags() -> str:
    flags = next((line for line in (_PROC / "cpuinfo").read_text().splitlines() if line.startswith("flags")), "").split()
    return next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), "no AVX2")
