"""`custody dataset scrub` on the command line: groups that are too small are made coarser, left out, and counted again."""

import json
from pathlib import Path

import pytest
from doors_world import CARD, Project, write_csv, write_yaml

LINES = [
    {
        "age": 20 + n % 40,
        "postcode": f"K{n % 4}A{n % 9}",
        "plan": ("basic", "premium")[n % 2],
        "churned": ("Yes", "No")[n // 2 % 2],
    }
    for n in range(160)
]
ALONE = {"age": 97, "postcode": "V9Z9", "plan": "basic", "churned": "No"}


@pytest.fixture
def small(tmp_path: Path) -> Project:
    """A project with a version that promises groups of ten and has smaller ones."""
    said = {
        "subjects": ["customers"],
        "quasi_identifiers": ["age", "postcode"],
        "categories": {"postcode": "user.contact.address.postal_code", "age": "user.demographic.age_range"},
        "deidentification": {"k": 10},
    }
    data, card = write_csv(tmp_path / "people.csv", [*LINES, ALONE]), write_yaml(tmp_path / "card.yaml", {**CARD, **said})
    made = Project(tmp_path / "project")
    made.tell("init", "init", made.folder)
    made.tell("add", "dataset", "add", "people", data, "--card", card, "--target", "churned", "--positive", "Yes")
    assert "The smallest group has 1 rows, and the card promises 10." in made.told["add"].stdout + made.told["add"].stderr
    assert "next: custody dataset scrub people@1 --suppress-below-k" in made.told["add"].stderr
    return made


def test_small_groups_are_made_coarser_and_left_out(small: Project) -> None:
    coarser = ("--column", "age=band:20", "--column", "postcode=prefix:1")
    tried = small.run("dataset", "scrub", "people@1", *coarser, "--suppress-below-k", "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert "rows left out   1, in groups that were too small" in tried.stdout
    done = small.run("dataset", "scrub", "people@1", *coarser)
    assert "the card promises 10" in done.stdout
    done = small.run("dataset", "scrub", "people@2", "--suppress-below-k", "--format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["result"]
    assert (told["suppressed"], told["state"], told["ref"]["version"]) == (1, "cleared", 3)
    assert told["smallest_group"] >= 10
    card = small.run("dataset", "card", "people@3")
    assert "Made coarser: age in bands of 20, postcode by its first 1 character." in " ".join(card.stdout.split()), card.stdout


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (("ages=band:10",), "Did you mean 'age'?"),
        (("age=band:0",), "no usable width"),
        (("postcode=band:10",), "Give postcode=prefix:3"),
        (("plan=prefix:1",), "no declared quasi-identifier"),
        (("age=thirds",), "HOW is remove, tag, pseudonymise, keep, band:WIDTH, prefix:LENGTH, month or year."),
    ],
)
def test_what_does_not_fit_is_refused(small: Project, columns: tuple[str, ...], words: str) -> None:
    done = small.run("dataset", "scrub", "people@1", *(word for one in columns for word in ("--column", one)))
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in " ".join(done.stderr.split())
