"""What `/metrics` answers: this process's numbers, and those of the processes that share its port."""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from custody.core.tenancy import TenantId
from custody.inference.captures.shadow import Shadow
from custody.inference.captures.spool import Spool
from custody.inference.metrics import Metrics, family
from custody.inference.models.library import Arm, State
from custody.inference.models.memory import Memory
from custody.inference.turns import Turns
from custody.serving import CaptureMode

_FILE = "metrics"
_TENANT = re.compile(r'[{,]tenant="([^"]*)"')
_SAMPLE = re.compile(r"^(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")


@dataclass(frozen=True, slots=True)
class Scrape:
    """Where the numbers are. worker: this process's number among those that share a port; None if it is alone."""

    metrics: Metrics
    spool: Spool
    memory: Memory
    turns: Turns
    shadow: Shadow
    state: Callable[[], State]
    state_dir: Path
    worker: int | None

    def own(self) -> str:
        """Return this process's metrics in the Prometheus text format 0.0.4."""
        for name, count in (
            ("loads", self.memory.loads),
            ("evictions", self.memory.evictions),
            ("failures", self.memory.failures),
        ):
            self.metrics.counts[f"model_{name}"] = count
        self.metrics.counts["provider_fallbacks"] = self.memory.fallbacks
        arms = [arm for served in self.state().served.values() for arm in served.arms]
        return "\n".join([*self.metrics.lines(), *self._gauges(arms)]) + "\n"

    def write(self) -> None:
        """Leave this process's metrics where the processes beside it find them."""
        if self.worker is not None:
            part = self.state_dir / f"{_FILE}.part"
            with suppress(OSError):  # a full disk must not stop captures from being shipped
                part.write_text(self.own(), encoding="utf-8")
                part.replace(self.state_dir / _FILE)

    def all(self) -> str:
        """Return the metrics of all processes that share the port, each sample with its worker; alone, this process's own."""
        if self.worker is None:
            return self.own()
        texts = {self.state_dir.name: self.own()}
        for path in sorted(self.state_dir.parent.glob(f"worker-*/{_FILE}")):
            with suppress(OSError):
                texts.setdefault(path.parent.name, path.read_text(encoding="utf-8"))
        return merged({name.removeprefix("worker-"): text for name, text in sorted(texts.items())})

    def _gauges(self, arms: list[Arm]) -> Iterator[str]:
        numbers = {
            "manifest_sequence": ("Sequence of the newest manifest served.", max(self.state().sequence, 0)),
            "spool_bytes": ("Bytes of captures waiting to be shipped.", self.spool.size_bytes),
            "models_loaded": ("Models in memory.", self.memory.loaded),
            "models_bytes": ("Bytes that the models in memory take, estimated.", self.memory.bytes),
        }
        for name, (text, value) in numbers.items():
            yield from family(name, text, "gauge", [("", value)])
        providers = [(f'provider="{name}"', count) for name, count in sorted(self.memory.providers.items())]
        yield from family("models_by_provider", "Models in memory, by what runs them.", "gauge", providers)
        lines = [(arm.meter.labels, self.shadow.waiting(arm)) for arm in arms if arm.mode is CaptureMode.SHADOW]
        yield from family("shadow_waiting", "Requests that wait for a shadow candidate.", "gauge", lines)
        loaded = [(arm.meter.labels, int(arm.slot.loaded is not None)) for arm in arms]
        yield from family(
            "model_loaded", "Whether a served model is in memory (1) or was dropped or not asked for (0).", "gauge", loaded
        )
        turns = list(self.turns.all().items())
        inside = [(f'tenant="{tenant}"', turn.inside) for tenant, turn in turns]
        yield from family("requests_in_flight", "Requests admitted and not answered.", "gauge", inside)
        waiting = [(f'tenant="{tenant}"', turn.waiting) for tenant, turn in turns]
        yield from family("requests_waiting", "Requests in flight that wait for their tenant's turn.", "gauge", waiting)


def visible(text: str, tenants: AbstractSet[TenantId | None]) -> str:
    """Return metrics as a caller may see them: the samples of these tenants, and those that name none.

    tenants: as a key grants them; None among them means every tenant.
    """
    if None in tenants:
        return text
    named = ((line, _TENANT.search(line)) for line in text.splitlines(keepends=True))
    return "".join(line for line, tenant in named if tenant is None or tenant[1] in {"", *tenants})


class Looks:
    """Looks at the numbers once for all who ask meanwhile: anybody may ask, and a look costs as much as many predictions.

    It begins after it was asked for, so that nobody is told what was before. One at a time, for a tenth of the time at most.
    """

    def __init__(self, scrape: Scrape) -> None:
        self._scrape, self._one, self._due = scrape, asyncio.Lock(), 0.0
        self._coming: asyncio.Task[Callable[[AbstractSet[TenantId | None]], str]] | None = None

    async def seen(self, tenants: AbstractSet[TenantId | None]) -> str:
        """Return the metrics of all processes as a caller may see them, see `visible`; soon."""
        if self._coming is None:
            self._coming = asyncio.create_task(self._look())
        look = await asyncio.shield(self._coming)
        return await asyncio.get_running_loop().run_in_executor(None, look, tenants)

    async def _look(self) -> Callable[[AbstractSet[TenantId | None]], str]:
        async with self._one:
            await asyncio.sleep(self._due - time.monotonic())
            self._coming = None  # who asks from now on asks for the next look
            began = time.monotonic()
            try:
                text = await asyncio.get_running_loop().run_in_executor(None, self._scrape.all)
                return cache(partial(visible, text))
            finally:
                self._due = 10 * time.monotonic() - 9 * began


def merged(texts: dict[str, str]) -> str:
    """Join the metrics of several workers, by number, into one text: each metric once, each sample with its worker."""
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for worker, text in texts.items():
        family_name = ""
        for line in text.splitlines():
            if line.startswith("# "):
                family_name = line.split(" ", 3)[2]
                if line not in heads.setdefault(family_name, []):
                    heads[family_name].append(line)
            elif found := _SAMPLE.match(line):
                given = f",{found['labels']}" if found["labels"] else ""
                samples.setdefault(family_name, []).append(f'{found["name"]}{{worker="{worker}"{given}}} {found["value"]}')
    lines: Iterable[str] = (line for name, head in heads.items() for line in (*head, *samples.get(name, ())))
    return "\n".join(lines) + "\n"
