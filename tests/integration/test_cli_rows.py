"""The command line with a key that sees no rows: refused or left out as over HTTP, in words, and the ledger stays silent."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from doors_world import KEY, Project, Up, custody

REFUSED: dict[str, Sequence[str]] = {
    "label tasks": ("label", "tasks", KEY),
    "consent ls": ("consent", "ls"),
    "export get": ("export", "get", "none", "-o", "OUT"),
    "subject export": ("subject", "export", "--subject", "p7", "--out", "OUT"),
    "run exec": ("run", "exec", "--name", "blind", "--", "python", "TRAIN", "1.0"),
}
SHOWN: dict[str, Sequence[str]] = {
    "dataset explain": ("dataset", "explain", "tickets@1"),
    "golden show": ("golden", "show", "churn", "--format", "json"),
    "review ls": ("review", "ls", "tickets@1"),
}


@pytest.fixture(scope="module")
def blind(served: Up) -> str:
    with served.client() as client:
        secret: str = client.key_add("blind", role="admin", rows=False).data["secret"]
        return secret


def reads(served: Up) -> list[str]:
    with served.project.ports() as ports:
        entries = ports.stores.ledger.entries()
        return [entry.actor for entry in entries if entry.kind in {"rows.read", "dataset.read", "subject.exported"}]


@pytest.mark.parametrize("command", REFUSED)
def test_a_command_that_prints_rows_is_refused(served: Up, prepared: Project, blind: str, command: str, tmp_path: Path) -> None:
    words = {"OUT": str(tmp_path / "out"), "TRAIN": str(prepared.folder.parent / "train.py")}
    done = custody("--url", served.url, "--key", blind, *(words.get(word, word) for word in REFUSED[command]))
    assert done.returncode in {1, 5}, done.stdout + done.stderr
    assert "may see aggregates, not rows" in done.stderr
    assert "blind" not in reads(served)


@pytest.mark.parametrize("command", SHOWN)
def test_a_command_that_prints_aggregates_goes_on(served: Up, blind: str, command: str) -> None:
    done = custody("--url", served.url, "--key", blind, *SHOWN[command])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    if command == "dataset explain":
        assert "left out: the smallest and largest value" in done.stderr
    if command == "golden show":
        assert '"inputs": {}' in done.stdout
    assert "blind" not in reads(served)
