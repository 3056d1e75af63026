"""Fail when a lock does not cover pyproject.toml any more, or a file names a package registry's host."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOSTS = re.compile(r"https?://[^ \"]*/simple[/\" ]|--(extra-)?index-url|--find-links|files\.pythonhosted")
LOCKS = {"demo.txt": ("sklearn", "demo", "build"), "dev.txt": ("sklearn", "demo", "postgres", "s3", "dev")}


def wanted(extras: tuple[str, ...]) -> set[str]:
    """Return the names of the distributions that pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    names = {re.split(r"[\[<>=!~; ]", line)[0].lower().replace("_", "-") for line in lines}
    return names - {"custody-ml"}


def main() -> int:
    """Check every lock."""
    faults = []
    for name, extras in LOCKS.items():
        text = (ROOT / "requirements" / name).read_text()
        locked = {
            line.split("==")[0].split("[")[0] for line in text.splitlines() if "==" in line and not line.startswith((" ", "#"))
        }
        if missing := wanted(extras) - locked:
            faults.append(f"requirements/{name} lacks {', '.join(sorted(missing))}: run make lock")
        if "--hash=sha256:" not in text:
            faults.append(f"requirements/{name} has no hashes")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    faults += [
        f"{path} names a package registry's host"
        for path in tracked
        if path.endswith((".txt", ".toml", ".cfg", ".lock", ".json")) and HOSTS.search((ROOT / path).read_text(errors="replace"))
    ]
    sys.stderr.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
