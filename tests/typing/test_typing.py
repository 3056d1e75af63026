"""Types are behaviour: mypy, as strict as on the source, agrees with the examples, mistakes included."""

import os
import subprocess
import sys
from pathlib import Path

import custody

HERE = Path(__file__).parent


def test_the_types_of_the_sdk_are_what_the_examples_say(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        "pyproject.toml",
        "--cache-dir",
        str(tmp_path),
        "--no-error-summary",
    ]
    env = {**os.environ, "MYPYPATH": str(Path(custody.__file__).parents[1])}
    done = subprocess.run(
        [*command, str(HERE / "sdk_types.py")],
        cwd=HERE.parents[1],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_package_tells_type_checkers_that_it_is_typed() -> None:
    assert (Path(custody.__file__).parent / "py.typed").is_file()
