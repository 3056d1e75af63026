"""`custody erase` on the command line: the receipt is handed out, and checked by who has nothing but the file and the key."""

import json
from pathlib import Path

import pytest
from doors_world import CARD, Project, custody, write_csv, write_yaml

WHO = "zora.quellenberg@example.org"
LINES = [{"email": WHO if n == 3 else f"p{n}@example.org", "age": 20 + n % 40, "churned": "Yes"} for n in range(40)]


@pytest.fixture
def erased(tmp_path: Path) -> tuple[Project, str]:
    """A project from which one person was erased, with the id of the erasure."""
    said = {"subjects": ["customers"], "subject_key": "email", "categories": {"email": "user.contact.email"}}
    data, card = write_csv(tmp_path / "people.csv", LINES), write_yaml(tmp_path / "card.yaml", {**CARD, **said})
    made = Project(tmp_path / "project")
    made.tell("init", "init", made.folder)
    made.tell("add", "dataset", "add", "people", data, "--card", card)
    made.tell("erase", "erase", "--subject", WHO, "--yes", "--format", "json")
    return made, json.loads(made.told["erase"].stdout)["result"]["id"]


def test_a_receipt_is_checked_without_the_project(erased: tuple[Project, str], tmp_path: Path) -> None:
    project, id_ = erased
    out, key = tmp_path / "receipt.json", tmp_path / "team.pub"
    done = project.run("erase", "receipt", id_, "--out", out)
    assert done.returncode == 0, done.stderr
    file = json.loads(out.read_text())
    assert f"custody erase verify {out} --key {file['key_id']}" in done.stderr
    assert WHO not in out.read_text()
    assert project.run("erase", "receipt", id_, "--out", out).returncode == 2
    key.write_text(file["public_key"] + "\n")
    for known in (key, file["key_id"]):
        told = custody("erase", "verify", out, "--key", known, cwd=tmp_path)
        assert told.returncode == 0, told.stderr
        assert f"The receipt of erasure {id_} is the one that key {file['key_id']} signed." in told.stdout
        assert "rows               1 to 9" in told.stdout
    assert "Compare the key's id" in custody("erase", "verify", out, cwd=tmp_path).stderr
    told = custody("erase", "verify", out, "--format", "json", cwd=tmp_path)
    assert json.loads(told.stdout)["receipt"]["counts"]["dataset_versions"] == 1


def test_a_receipt_that_was_changed_or_that_another_key_signed_is_refused(erased: tuple[Project, str], tmp_path: Path) -> None:
    project, id_ = erased
    out, key = tmp_path / "receipt.json", tmp_path / "other.pub"
    assert project.run("erase", "receipt", id_, "--out", out).returncode == 0
    key.write_text("ab" * 32)
    assert custody("erase", "verify", out, "--key", key, cwd=tmp_path).returncode == 7
    assert custody("erase", "verify", out, "--key", "0" * 16, cwd=tmp_path).returncode == 7
    key.write_text("no key")
    done = custody("erase", "verify", out, "--key", key, cwd=tmp_path)
    assert (done.returncode, "holds no public key" in done.stderr) == (2, True)
    out.write_text(out.read_text().replace("1 to 9", "0"))
    done = custody("erase", "verify", out, cwd=tmp_path)
    assert (done.returncode, "not the one that was signed" in done.stderr) == (7, True)
    out.write_text("{")
    assert custody("erase", "verify", out, cwd=tmp_path).returncode == 2


def test_words_that_are_missing_or_wrong_are_told(erased: tuple[Project, str], tmp_path: Path) -> None:
    project, _ = erased
    done = project.run("erase")
    assert (done.returncode, "--subject" in done.stderr) == (2, True)
    done = project.run("erase", "reciept", "x")
    assert (done.returncode, "Did you mean 'receipt'?" in done.stderr) == (2, True)
    assert project.run("erase", "receipt", "nothing", "--out", tmp_path / "x.json").returncode == 3
