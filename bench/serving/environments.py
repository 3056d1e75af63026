"""An environment of its own for each peer, installed from its hashed lock; made again when the lock changes."""

import hashlib
import subprocess
import sys
from pathlib import Path

LOCKS = Path(__file__).parent / "requirements"
_ASK = "import json, sys; from importlib.metadata import version; print(json.dumps({n: version(n) for n in sys.argv[1:]}))"


def python_of(peer: str, folder: Path) -> Path:
    """Return the interpreter of a peer's environment below a folder, installed if need be."""
    lock = LOCKS / f"{peer}.txt"
    place = folder / f"serving-{peer}"
    python, stamp = place / "bin" / "python", place / "lock.sha256"
    wanted = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"Installing {peer} into an environment of its own ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--require-hashes", "-r", lock], check=True)
        stamp.write_text(wanted)
    return python


def versions(python: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of distributions that an environment holds."""
    import json

    found: dict[str, str] = json.loads(
        subprocess.run([python, "-c", _ASK, *names], capture_output=True, text=True, check=True).stdout
    )
    return found
