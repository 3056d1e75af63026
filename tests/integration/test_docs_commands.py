"""The commands that README and tour show, run as written: the README's day first, then what the tour adds, in one project."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORTS = ("8080", "8090")


def lines_of(page: str) -> list[str]:
    return [line for block in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")) for line in block.splitlines() if line]


def free_ports(number: int) -> list[int]:
    probes = [socket.socket() for _ in range(number)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def test_the_tour_holds_every_command_of_the_readme_in_its_order() -> None:
    tour = iter(lines_of("docs/tour.md"))
    readme = lines_of("README.md")
    assert len(readme) > 10
    assert [line for line in readme if line not in tour] == []  # `in` moves the iterator on: order counts


@pytest.mark.timeout(300)
def test_every_command_of_readme_and_tour_does_what_it_says(tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("the commands are written for bash; to run this test: apt-get install bash")
    shutil.copytree(ROOT / "docs" / "example", tmp_path / "docs" / "example")
    ports = free_ports(2)
    script = "\n".join(["set -euo pipefail", "trap 'kill $(jobs -p); wait' EXIT", *lines_of("docs/tour.md")])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CUSTODY_")}
    environment |= {"CUSTODY_PORT": str(ports[0]), "CUSTODY_INFERENCE_PORT": str(ports[1]), "CUSTODY_SEAL_INTERVAL": "0"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for shown, port in zip(PORTS, ports, strict=True):
        script = script.replace(f"127.0.0.1:{shown}", f"127.0.0.1:{port}")
    shell = subprocess.Popen(
        ["bash", "-x", "-c", script],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = shell.communicate(timeout=270)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGTERM)
        said, _ = shell.communicate(timeout=30)
        pytest.fail(f"the commands did not end; the last they said:\n{said[-3000:]}")
    assert shell.returncode == 0, said[-3000:]
    for expected in (
        "PASSED  escalation@1",
        "refused with exit code 5",
        "the chain is complete",
        "escalation@2 canary 50%",
        "Extended with 200 labelled predictions",
        "promote",
        "rollback",
        "2 signed checkpoints agree",
    ):
        assert expected in said
