"""Consent through the doors: what a person types, and which rows the training script really gets."""

import json
from pathlib import Path

import pytest
from doors_world import CARD, Project, custody, write_csv, write_yaml

SCRIPT = """import json
import custody.sdk as custody

with custody.run("seen") as run:
    rows = run.dataset("tickets@1")
    json.dump(sorted(set(rows.column("who").to_pylist())), open("seen.json", "w"))
"""
PEOPLE = [f"person{number}@example.org" for number in range(40)]


@pytest.fixture
def agreed(tmp_path: Path) -> Project:
    """A project with one dataset that rests on consent."""
    made = Project(tmp_path / "project")
    assert custody("init", made.folder).returncode == 0
    consent = {"legal_basis": "consent", "consent": {"document": "notice v1"}, "subject_key": "who"}
    card = write_yaml(tmp_path / "card.yaml", {**CARD, **consent})
    data = write_csv(tmp_path / "data.csv", [{"who": who, "age": n} for n, who in enumerate(PEOPLE)])
    assert made.run("dataset", "add", "tickets", data, "--card", card).returncode == 0
    (tmp_path / "see.py").write_text(SCRIPT)
    return made


def statements(path: Path, people: list[str], status: str, start: str) -> Path:
    rows = [{"subject": who, "purpose": "train_ai_system", "status": status, "valid_from": start} for who in people]
    return write_csv(path, rows)


def seen(project: Project, *options: str) -> tuple[int, str, list[str]]:
    """Run the script and return what it saw."""
    home = project.folder.parent
    (home / "seen.json").unlink(missing_ok=True)
    done = custody("--project", project.folder, "run", "exec", *options, "--", "python", "see.py", cwd=home)
    found = json.loads((home / "seen.json").read_text()) if (home / "seen.json").exists() else []
    return done.returncode, done.stderr, found


def test_a_training_script_gets_only_rows_of_people_who_agreed(agreed: Project, tmp_path: Path) -> None:
    purpose = ("--purpose", "train_ai_system")
    code, said, found = seen(agreed)
    assert (code, found) == (1, [])
    assert "does not say what for" in said
    code, said, found = seen(agreed, *purpose)
    assert (code, found) == (1, [])
    assert "custody consent add" in said
    first = agreed.run(
        "consent", "add", statements(tmp_path / "yes.csv", PEOPLE[:20], "granted", "2026-01-01"), "--source", "crm"
    )
    assert first.returncode == 0, first.stderr
    assert "ledger #" in first.stderr
    assert "example.org" not in first.stdout + first.stderr
    everybody = seen(agreed, *purpose)[2]
    assert everybody
    assert set(everybody) < set(PEOPLE[:20])
    gone = everybody[0]
    agreed.run("consent", "add", statements(tmp_path / "no.csv", [gone], "withdrawn", "2026-02-01"), "--source", "crm")
    assert seen(agreed, *purpose)[2] == everybody[1:]
    shown = agreed.run("run", "show", "last").stdout
    assert "1 withdrawn" in shown
    check = json.loads(agreed.run("consent", "check", "tickets@1", "--purpose", "train_ai_system", "--format", "json").stdout)
    assert check["result"]["admitted"] == len(everybody) - 1
    assert check["result"]["refused"].keys() == {"absent", "withdrawn"}
    before = json.loads(
        agreed.run(
            "consent", "check", "tickets@1", "--purpose", "train_ai_system", "--at", "2020-01-01", "--format", "json"
        ).stdout
        or "{}"
    )
    assert before == {}, "nothing had been imported then"


def test_people_are_tokens_everywhere_and_found_by_name_only_with_the_key(agreed: Project, tmp_path: Path) -> None:
    agreed.run("consent", "add", statements(tmp_path / "yes.csv", PEOPLE[:2], "granted", "2026-01-01"), "--source", "crm")
    listed = json.loads(agreed.run("consent", "ls", "--format", "json").stdout)
    assert {one["subject"].split(".")[0] for one in listed} == {"1"}
    one = json.loads(agreed.run("consent", "ls", "--subject", PEOPLE[0].upper(), "--format", "json").stdout)
    assert len(one) == 1
    stored = b"".join(path.read_bytes() for path in agreed.folder.glob("custody.db*"))
    assert PEOPLE[0].encode() not in stored
    (key,) = (agreed.folder / "keys" / "pseudonyms").glob("*.key")
    assert key.stat().st_mode & 0o077 == 0


def test_a_bad_file_is_refused_whole_and_without_names(agreed: Project, tmp_path: Path) -> None:
    before = agreed.entries()
    good = {"subject": PEOPLE[0], "purpose": "train_ai_system", "status": "granted", "valid_from": "2026-01-01"}
    bad = write_csv(tmp_path / "bad.csv", [good, {**good, "status": "perhaps"}, {**good, "valid_from": "tomorrow"}])
    done = agreed.run("consent", "add", bad, "--source", "crm")
    assert (done.returncode, done.stdout) == (2, "")
    assert "row 2" in done.stderr
    assert "row 3" in done.stderr
    assert "example.org" not in done.stderr
    (tmp_path / "ragged.csv").write_text("subject,purpose\na,b,c\n")
    assert "more cells" in agreed.run("consent", "add", tmp_path / "ragged.csv").stderr
    (tmp_path / "oops.jsonl").write_text("{oops}\n")
    assert "not JSONL" in agreed.run("consent", "add", tmp_path / "oops.jsonl").stderr
    (tmp_path / "empty.csv").write_text("")
    assert agreed.run("consent", "add", tmp_path / "empty.csv").returncode == 2
    assert agreed.entries() == before
