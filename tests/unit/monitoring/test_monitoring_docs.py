"""The how-to about comparing files does what it says; and only one module below the adapters opens files."""

import ast
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import custody

SOURCE = Path(custody.__file__).parent
PAGE = SOURCE.parents[1] / "docs" / "how-to" / "compare-two-files.md"
BELOW = ("core", "ledger", "data", "registry", "gates", "deployment", "serving", "feedback", "monitoring", "lifecycle")
OPENING = {
    "open",
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
    "ParquetFile",
    "read_table",
    "read_metadata",
    "output_stream",
}
OPENING |= {"input_stream", "write_table", "memory_map", "OSFile"}


def rows(seed: int, shift: float, gold: float) -> pa.Table:
    rng = np.random.default_rng(seed)
    plan = rng.choice(["basic", "gold", "trial"], 20_000, p=[0.6, gold, 0.4 - gold])
    return pa.table(
        {"amount": np.exp(rng.normal(3 + shift, 1, 20_000)), "age": np.round(rng.normal(41, 12, 20_000)), "plan": plan}
    )


def test_the_page_s_code_runs_and_says_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pq.write_table(rows(1, 0, 0.3), "reference.parquet")
    for seed, name in enumerate(("current", "monday", "tuesday"), 2):
        pq.write_table(rows(seed, 0.7, 0.34), f"{name}.parquet")
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    exec(compile("\n".join(blocks), PAGE.name, "exec"), {})
    shown = re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert [capsys.readouterr().out] == shown
    assert {"drift.html", "drift.json", "reference.json.zst", "drift-state.json"} <= {file.name for file in tmp_path.iterdir()}


def calls(module: Path) -> set[str]:
    nodes = [node.func for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return {
        node.attr if isinstance(node, ast.Attribute) else node.id for node in nodes if isinstance(node, (ast.Attribute, ast.Name))
    }


def test_only_the_standalone_files_module_opens_files_below_the_adapters() -> None:
    modules = [module for chapter in BELOW for module in (SOURCE / chapter).rglob("*.py")]
    opening = {str(module.relative_to(SOURCE)) for module in modules if calls(module) & OPENING}
    assert opening == {"monitoring/standalone/files.py"}
