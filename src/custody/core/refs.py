"""Names of things: `name@version` for datasets and models, `tenant/environment/name` for deployments."""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

from custody.core.errors import InvalidInput
from custody.core.tenancy import TenantId, tenant_id

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_VERSION = re.compile(r"[0-9]{1,10}")
_RESERVED = frozenset({"stats"})


def name_of(noun: str, text: str) -> str:
    """Accept 1 to 128 letters, digits, dots, dashes and underscores; never a path, `@`, `:` or `/`."""
    if text in _RESERVED:
        raise InvalidInput(
            f"'{text}' is not a {noun} name.",
            why="It is taken: a path of the serving protocol has it where models have their names.",
            fix="Take another name.",
            facts={"noun": noun, "name": text},
        )
    if not _NAME.fullmatch(text) or ".." in text:
        raise InvalidInput(
            f"'{text[:80]}' is not a {noun} name.",
            why="A name has 1 to 128 letters, digits, dots, dashes or underscores, and starts and ends with a letter or digit.",
            facts={"noun": noun, "name": text[:80]},
        )
    return text


def near(word: str, known: Iterable[str]) -> list[str]:
    """Return up to two known names close to a word, for "did you mean"."""
    return difflib.get_close_matches(word, list(known), n=2, cutoff=0.6)


def _versioned(noun: str, text: str) -> tuple[str, int]:
    name, _, version = text.partition("@")
    if not _VERSION.fullmatch(version) or not 1 <= int(version) <= 2**31 - 1:
        raise InvalidInput(
            f"'{text[:80]}' does not name a {noun} version.",
            why=f"A {noun} version is written name@number.",
            fix=f"Example: {name_of(noun, name)}@1",
            facts={"noun": noun, "text": text[:80]},
        )
    return name_of(noun, name), int(version)


@dataclass(frozen=True, slots=True, order=True)
class VersionRef:
    """A numbered version of a name, written `name@number`."""

    name: str
    version: int
    noun: ClassVar[str] = "version"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `name@number`."""
        return cls(*_versioned(cls.noun, text))

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True, order=True)
class DatasetRef(VersionRef):
    """A dataset version, written `tickets@3`."""

    noun: ClassVar[str] = "dataset"


@dataclass(frozen=True, slots=True, order=True)
class ModelRef(VersionRef):
    """A model version, written `churn@7`."""

    noun: ClassVar[str] = "model"


@dataclass(frozen=True, slots=True, order=True)
class DeploymentKey:
    """What serves one tenant in one environment, written `acme/prod/churn`."""

    tenant: TenantId
    environment: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `tenant/environment/name`."""
        parts = text.split("/")
        if len(parts) != 3:
            raise InvalidInput(
                f"'{text[:80]}' does not name a deployment.",
                why="A deployment is written tenant/environment/name.",
                fix="Example: acme/prod/churn. List them: custody deployment ls",
            )
        return cls(tenant_id(parts[0]), name_of("environment", parts[1]), name_of("deployment", parts[2]))

    def __str__(self) -> str:
        return f"{self.tenant}/{self.environment}/{self.name}"
