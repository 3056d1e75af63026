"""The table at the head of the lifecycle is what the code does: functions, chapters and ledger entries agree."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import custody
from custody import lifecycle

SOURCE = Path(custody.__file__).parent
CHAPTERS = {"data", "registry", "gates", "deployment", "serving", "feedback", "monitoring"}
SHELVES = {
    "datasets": "data",
    "runs": "registry",
    "models": "registry",
    "gates": "gates",
    "deployments": "deployment",
    "captures": "serving",
    "labels": "feedback",
    "monitors": "monitoring",
}
KIND = re.compile(r"`([a-z]+\.[a-z]+)`")


def table() -> list[tuple[str, str, set[str], set[str]]]:
    """Return the rows of the docstring: step, function, chapters, entry kinds."""
    text = (lifecycle.__doc__ or "").partition("House-keeping entries")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")][2:]
    return [
        (step, function.strip("`"), set(re.findall(r"\w+", chapters)), set(KIND.findall(kinds)))
        for step, function, chapters, kinds in rows
    ]


def house_keeping() -> set[str]:
    return set(KIND.findall((lifecycle.__doc__ or "").partition("House-keeping entries")[2]))


def strings(node: ast.expr) -> Iterator[str]:
    """Return the texts that an expression may be; fail on one that is only known at run time."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp():
            yield from strings(node.body)
            yield from strings(node.orelse)
        case _:
            raise AssertionError(f"an entry kind that nobody can read: {ast.unparse(node)}")


def kinds_in(tree: ast.AST) -> set[str]:
    """Return the kinds of the entries written by `change.record(kind, ...)`."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "change.record"]
    return {kind for call in calls for kind in strings(call.args[0])}


def chapters_in(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("custody."):
            found.add(node.module.split(".")[1])
        if isinstance(node, ast.Attribute):
            found.add(SHELVES.get(node.attr, ""))
    return found & CHAPTERS


@cache
def modules() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}


def home_of(function: str) -> ast.Module:
    """Return the module of the lifecycle that defines a function."""
    homes = [
        tree
        for path, tree in modules().items()
        if path.parent.name == "lifecycle"
        and any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body)
    ]
    assert len(homes) == 1, f"'{function}' is defined {len(homes)} times in the lifecycle"
    return homes[0]


def test_the_table_tells_a_whole_life() -> None:
    assert [function for _, function, _, _ in table()] == [
        "ingest", "scan", "scrub_version", "answer", "train", "convert", "promote", "release", "seal", "ask", "record", "watch", "explain", "retrain", "trace", "verify_all",
    ]  # fmt: skip


@pytest.mark.parametrize(("function", "chapters"), [(row[1], row[2]) for row in table()])
def test_each_function_exists_and_joins_the_chapters_that_the_table_says(function: str, chapters: set[str]) -> None:
    assert chapters_in(home_of(function)) == chapters


@pytest.mark.parametrize(("function", "kinds"), [(row[1], row[3]) for row in table()])
def test_each_step_writes_the_entries_that_the_table_says(function: str, kinds: set[str]) -> None:
    assert kinds_in(home_of(function)) - house_keeping() == kinds


def test_every_entry_kind_is_told_and_none_is_told_that_is_never_written() -> None:
    written = {kind for tree in modules().values() for kind in kinds_in(tree)}
    told = set().union(*(kinds for *_, kinds in table()))
    assert written == told | house_keeping()
    assert not told & house_keeping()


def test_only_the_lifecycle_and_the_wiring_write_the_ledger() -> None:
    writers = {path.relative_to(SOURCE).parts[0] for path, tree in modules().items() if kinds_in(tree)}
    assert writers == {"lifecycle", "bootstrap"}
