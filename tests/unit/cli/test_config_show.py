from pathlib import Path

import pytest
from click.testing import CliRunner

from custody.bootstrap.settings import TEMPLATE
from custody.cli.main import cli


def test_config_show_prints_where_a_value_came_from_and_never_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "custody.toml").write_text(TEMPLATE, encoding="utf-8")
    monkeypatch.setenv("CUSTODY_DATABASE", "postgresql://custody:planted-secret@db.example/custody")
    said = CliRunner().invoke(cli, ["-C", str(tmp_path), "config", "show"]).output
    lines = {line.split()[0]: line.split() for line in said.splitlines()}
    assert lines["database"] == ["database", "postgresql://custody:***@db.example/custody", "environment"]
    assert lines["port"][2] == str(tmp_path / "custody.toml")
    assert "planted-secret" not in said
