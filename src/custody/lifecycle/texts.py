"""Texts in drift: a sample of captured texts is embedded and becomes columns of numbers that a detector of their own watches."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from custody.core.digest import Digest, parse_digest
from custody.core.measures.spec import Reading
from custody.core.measures.summary import Summary, summarise
from custody.core.refs import DeploymentKey, ModelRef
from custody.lifecycle.captured import INPUT
from custody.lifecycle.profile import summary_of
from custody.lifecycle.references import Days, encoded, read_summary
from custody.lifecycle.rows import table_of
from custody.lifecycle.stores import Ports
from custody.monitoring.embedding import Atlas, Embed, atlas_of
from custody.monitoring.policy import MonitorPolicy

LEARNED = 3000  # of the texts that a version learned from: a third fixes the atlas, the others are what is compared with
AT_ONCE = 200  # of the texts that are sealed together


@dataclass(frozen=True, slots=True)
class Embedded:
    """What a detector of texts looks at: its name, the objects that fix the reference and how texts are read, summaries by day."""

    name: str
    reference: Digest
    atlases: Digest
    days: Days

    @property
    def states(self) -> dict[str, str]:
        """Return the states of the deployment under which the reference is kept."""
        return {f"texts:{self.name}": self.reference, f"atlases:{self.name}": self.atlases}


def embedded_texts(ports: Ports, key: DeploymentKey, model: ModelRef, rows: pa.Table, learned: Summary) -> Embedded | None:
    """Embed a sample of the captured texts of one version; None if the policy names no embedding, or nothing is in the sample.

    Each text comes into the sample with the chance `embedded_share`, by its prediction's id, and at most 200 of those that are
    sealed together. learned: the summary of what the version learned from; it tells which inputs are texts.
    """
    policy = ports.stores.of(key.tenant).monitors.policy(key) or MonitorPolicy()
    columns = texts_in(learned)
    sample = _sampled(rows, policy.embedded_share) if policy.embedding and columns else rows.slice(0, 0)
    if not sample.num_rows:
        return None
    embed = ports.embed(policy.embedding)
    name = f"{policy.embedding}/{model}"
    reference, digest, atlases = _reference(ports, key, model, name, columns, embed)
    kept = [Atlas.from_json(one) for one in msgspec.json.decode(ports.stores.objects.get(parse_digest(atlases)))]
    day = pc.strftime(sample.column("at"), format="%Y-%m-%d")
    days = {one: _summary(sample.filter(pc.equal(day, one)), kept, embed, reference) for one in sorted(set(day.to_pylist()))}
    return Embedded(name, digest, atlases, days)


def texts_in(learned: Summary) -> tuple[str, ...]:
    """Return the columns that are free text."""
    return tuple(dict.fromkeys(spec.source for spec in learned.specs if spec.reading is Reading.LENGTH))


def _sampled(rows: pa.Table, share: float) -> pa.Table:
    """Keep rows whose id falls below the share; the first 200 of them by a shuffled order, which is that of the same hash."""
    codes = np.array([zlib.crc32(one.encode()) for one in rows.column("prediction").to_pylist()], dtype=np.int64)
    kept = np.flatnonzero(codes < share * 2**32)
    return rows.take(pa.array(kept[np.argsort(codes[kept], kind="stable")][:AT_ONCE]))


def _summary(rows: pa.Table, atlases: Sequence[Atlas], embed: Embed, reference: Summary) -> Summary:
    return summarise(
        _columns({a.column: rows.column(INPUT + a.column).to_pylist() for a in atlases}, atlases, embed), reference.specs
    )


def _columns(texts: Mapping[str, Sequence[Any]], atlases: Sequence[Atlas], embed: Embed) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for atlas in atlases:
        found |= atlas.read([None if text is None else str(text) for text in texts[atlas.column]], embed)
    return found


def _reference(
    ports: Ports, key: DeploymentKey, model: ModelRef, name: str, columns: Sequence[str], embed: Embed
) -> tuple[Summary, Digest, Digest]:
    """Return what live texts are compared with; made once for each version and embedding, kept as states of the deployment."""
    monitors, objects = ports.stores.of(key.tenant).monitors, ports.stores.objects.of(key.tenant)
    digest, atlases = monitors.state(key, f"texts:{name}"), monitors.state(key, f"atlases:{name}")
    if digest and atlases:
        return read_summary(objects, digest), Digest(digest), Digest(atlases)
    rng = np.random.default_rng(zlib.crc32(name.encode()))  # the same texts each time it is made again
    texts = _learned(ports, key, model, columns, rng)
    third = max(len(texts[columns[0]]) // 3, 2)
    made = [atlas_of(column, texts[column][:third], embed, rng) for column in columns]
    summary = summary_of(_columns({column: texts[column][third:] for column in columns}, made, embed))
    return summary, objects.put(encoded(summary)), objects.put(msgspec.json.encode([one.to_json() for one in made]))


def _learned(
    ports: Ports, key: DeploymentKey, model: ModelRef, columns: Sequence[str], rng: np.random.Generator
) -> dict[str, list[str | None]]:
    """Draw rows that a version learned from."""
    shelf = ports.stores.of(key.tenant)
    head = shelf.deployments.head(key)
    owner = ports.stores.of(head.owner if head else key.tenant)
    tables = [
        table_of(owner.datasets.get(use.ref), ports.stores.objects, ports.tables).select(list(columns))
        for use in owner.models.get(model).datasets
    ]
    table = pa.concat_tables(tables, promote_options="permissive")
    drawn = table.take(pa.array(rng.permutation(table.num_rows)[:LEARNED]))
    return {column: [None if v is None else str(v) for v in drawn.column(column).to_pylist()] for column in columns}
