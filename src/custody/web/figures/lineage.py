"""The focused lineage as geometry: columns from data to deployment, few crossings, long columns folded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from custody.core.errors import InvalidInput
from custody.core.refs import DeploymentKey
from custody.lifecycle.views import LineageNode

WIDTH = 1128
NODE_HEIGHT, ROW_GAP, TOP = 46, 18, 4
COLUMN_GAP, WIDEST = 72, 232
FOLD = 12
SWEEPS = 4


@dataclass(frozen=True, slots=True)
class Box:
    """A node in pixels; href is empty where no page exists, `here` marks the page's own node."""

    id: str
    kind: str
    title: str
    detail: str
    state: str
    href: str
    here: bool
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Edge:
    """A curve from one node to another."""

    start: str
    end: str
    path: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """The drawing in pixels; letters is how many characters of a title fit into a node."""

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
    height: float
    node_width: float
    letters: int


def page_of(key: str) -> str:
    """Return the address of a deployment's page, or nothing if the text names none."""
    try:
        found = DeploymentKey.parse(key.removeprefix("deployment:"))
    except InvalidInput:
        return ""
    return f"/deployments/{found}"


def _folded(nodes: Sequence[LineageNode]) -> tuple[list[LineageNode], dict[str, str]]:
    """Keep at most 12 nodes a column; the rest become one node that says how many they are."""
    kept: list[LineageNode] = []
    stands_for: dict[str, str] = {}
    for column in sorted({node.column for node in nodes}):
        siblings = [node for node in nodes if node.column == column]
        shown = siblings if len(siblings) <= FOLD else siblings[: FOLD - 1]
        kept += shown
        stands_for |= {node.id: node.id for node in shown}
        if rest := siblings[len(shown) :]:
            fold = LineageNode(f"fold:{column}", "fold", f"and {len(rest)} more", f"{rest[0].kind}s", column)
            kept.append(fold)
            stands_for |= {node.id: fold.id for node in rest}
    return kept, stands_for


def _ordered(columns: Sequence[list[str]], near: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Order each column by the mean place of its neighbours, sweeping both ways (barycentre method)."""
    order = [list(column) for column in columns]
    for sweep in range(SWEEPS):
        for column in order if sweep % 2 == 0 else reversed(order):
            place = {node: i - len(one) / 2 for one in order for i, node in enumerate(one)}
            mean = {node: sum(place[n] for n in near[node]) / len(near[node]) if near[node] else place[node] for node in column}
            column.sort(key=mean.__getitem__)
    return order


def lineage(nodes: Sequence[LineageNode], edges: Sequence[tuple[str, str]], here: str) -> Lineage | None:
    """Place nodes and edges; None without nodes. here: the deployment whose page this is."""
    if not nodes:
        return None
    kept, stands_for = _folded(nodes)
    by_id = {node.id: node for node in kept}
    links = sorted({(stands_for[a], stands_for[b]) for a, b in edges if a in stands_for and b in stands_for})
    near: dict[str, list[str]] = {node.id: [] for node in kept}
    for a, b in links:
        near[a].append(b)
        near[b].append(a)
    numbers = sorted({node.column for node in kept})
    order = _ordered([[node.id for node in kept if node.column == number] for number in numbers], near)
    width = round(min(WIDEST, (WIDTH - COLUMN_GAP * (len(order) - 1)) / len(order)), 1)
    gap = min(200.0, (WIDTH - width * len(order)) / max(len(order) - 1, 1))
    tallest = max(len(column) for column in order)
    height = tallest * (NODE_HEIGHT + ROW_GAP) - ROW_GAP + 2 * TOP
    at: dict[str, tuple[float, float]] = {}
    for c, column in enumerate(order):
        top = (height - len(column) * (NODE_HEIGHT + ROW_GAP) + ROW_GAP) / 2
        at |= {node: (round(c * (width + gap), 1), round(top + r * (NODE_HEIGHT + ROW_GAP), 1)) for r, node in enumerate(column)}
    return Lineage(
        tuple(_box(by_id[node], at[node], here) for column in order for node in column),
        tuple(Edge(a, b, _curve(at[a], at[b], width)) for a, b in links),
        height,
        width,
        int((width - 26) / 7.2),
    )


def _box(node: LineageNode, place: tuple[float, float], here: str) -> Box:
    href = page_of(node.id) if node.kind == "deployment" else ""
    own = href == f"/deployments/{here}"
    return Box(node.id, node.kind, node.title, node.detail, node.state, "" if own else href, own, *place)


def _curve(start: tuple[float, float], end: tuple[float, float], width: float) -> str:
    a, b = start[0] + width, start[1] + NODE_HEIGHT / 2
    c, d = end[0], end[1] + NODE_HEIGHT / 2
    middle = round((a + c) / 2, 1)
    return f"M{a:.1f} {b:g}C{middle} {b:g} {middle} {d:g} {c:g} {d:g}"
