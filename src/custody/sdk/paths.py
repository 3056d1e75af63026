"""Names as parts of an API path; a name that would lead elsewhere is refused."""

from urllib.parse import quote

from custody.core.errors import InvalidInput
from custody.core.refs import DeploymentKey


def version_path(ref: str) -> str:
    """Write `name@version` as two segments."""
    name, at, version = ref.partition("@")
    if not at or not version or "/" in ref:
        raise InvalidInput(
            f"'{ref}' does not name a version.", why="It is written name@number.", fix=f"Example: {name or 'churn'}@1"
        )
    return f"{segment(name)}/{segment(version)}"


def key_path(text: str) -> str:
    """Write a deployment's key."""
    return str(DeploymentKey.parse(text))


def segment(text: str) -> str:
    """Write a name as one segment of a path; `.` and `..` would lead to another path."""
    if text in {"", ".", ".."}:
        raise InvalidInput(f"'{text}' is not a name.", why="It would lead to another path.")
    return quote(text, safe="@:")
