"""The faces of packages: each says in one sentence what lives there, hands on what it promises, and starts light."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import custody

SOURCE = Path(custody.__file__).parent
FACES = sorted(SOURCE.rglob("__init__.py"))
HEAVY = {"pyarrow", "numpy", "sqlalchemy", "fastapi", "sklearn", "onnxruntime", "httpx", "scipy", "pandas", "onnx", "uvicorn"}


def name_of(face: Path) -> str:
    return ".".join(["custody", *face.parent.relative_to(SOURCE).parts])


def test_every_folder_of_code_has_a_face() -> None:
    folders = {path.parent for path in SOURCE.rglob("*.py")}
    assert folders == {face.parent for face in FACES}


@pytest.mark.parametrize("face", FACES, ids=name_of)
def test_a_face_opens_with_one_sentence(face: Path) -> None:
    opening = (ast.get_docstring(ast.parse(face.read_text())) or "").split("\n", 1)[0]
    assert opening.endswith("."), opening
    assert ". " not in opening, "one sentence"
    assert opening[0].isupper()


@pytest.mark.parametrize("face", FACES, ids=name_of)
def test_a_face_only_hands_names_on(face: Path) -> None:
    for node in ast.parse(face.read_text()).body:
        simple = isinstance(node, ast.ImportFrom) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        named = isinstance(node, ast.Assign) and [ast.unparse(one) for one in node.targets] in (["__all__"], ["__version__"])
        assert simple or named, ast.unparse(node)


@pytest.mark.parametrize("face", FACES, ids=name_of)
def test_what_a_face_hands_on_is_what_it_promises(face: Path) -> None:
    imported = [
        alias.asname or alias.name
        for node in ast.parse(face.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    module = import_module(name_of(face))
    promised = getattr(module, "__all__", [])
    assert sorted(imported) == sorted(promised)
    assert all(hasattr(module, name) for name in promised)


@pytest.mark.parametrize("module", ["custody", "custody.cli.main"])
def test_the_command_starts_without_any_heavy_library(module: str) -> None:
    code = f"import sys, {module}; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert HEAVY & set(done.stdout.split()) == set()
    assert "custody" in done.stdout.split()


def test_the_client_knows_no_database_server_or_framework() -> None:
    code = "import sys, custody.sdk; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert (HEAVY - {"httpx"}) & set(done.stdout.split()) == set()
