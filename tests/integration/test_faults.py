"""Processes are killed as a power cut would kill them, at many moments; afterwards nothing is lost, doubled or half done."""

import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from doors_world import (
    CARD,
    CUSTODY,
    KEY,
    Project,
    Running,
    Traffic,
    environment,
    rows,
    running,
    until,
    up,
    write_csv,
    write_yaml,
)

from custody.core.errors import Conflict, CustodyError, Unavailable
from custody.core.manifest import Manifest, SignedManifest
from custody.core.refs import DeploymentKey
from custody.inference.captures.journal import left, left_in
from custody.lifecycle.captured import rows_between
from custody.lifecycle.publish import CURRENT
from custody.lifecycle.retrain import STATE, read_request
from custody.lifecycle.stores import Ports

CHURN = DeploymentKey.parse(KEY)


def sealed(ports: Ports) -> list[str]:
    """Return the id of every sealed prediction, as often as it was sealed."""
    table = rows_between(ports, CHURN)
    return table.column("prediction").to_pylist() if table is not None else []


def waiting(project: Project, ports: Ports) -> int:
    """Return how many batches were not yet sealed: in the order in which captures go, first those in the data plane's journal."""
    lines = sum(bool(left(journal)[1]) for journal in left_in(project.folder / "inference"))
    for path in (project.folder / "inference/spool").rglob("*.ndjson"):
        with suppress(FileNotFoundError):  # shipped meanwhile
            lines += path.stat().st_size > 0
    return lines + len(list(ports.stores.objects.names("captures/")))


def admin(project: Project, name: str) -> str:
    with project.client() as client:
        secret: str = client.key_add(name, role="admin").data["secret"]
    return secret


def intact(project: Project) -> None:
    """Demand what must hold after every crash: the chain, the objects, and one ledger entry for each revision."""
    with project.client() as client:
        assert client.ledger_verify().data["ok"]
        assert client.verify().data["problems"] == []
        numbers = [one["service"]["revision"] for one in client.deployment_history(KEY)]
        assert numbers == list(range(len(numbers), 0, -1))
        steps = [entry["body"]["revision"] for entry in client.ledger_ls(kind="rollout.step", subject=KEY)]
        assert steps == numbers


def advance(client: Any) -> None:
    """Take the one step that follows from what is there: stage a canary, promote it, roll it back."""
    head = next(client.deployment_history(KEY))["service"]
    expected = head["revision"]
    if head["candidate"]:
        client.deployment_step(KEY, "promote", expected=expected)
    elif head["live"]["model"]["version"] == 1:
        client.deployment_deploy("churn@2", tenant="acme", threshold=0.5, canary=0.5, expected=expected)
    else:
        client.deployment_step(KEY, "rollback", expected=expected)


class Rollouts(threading.Thread):
    """Promotes and rolls back without a pause, until it is told to stop; a dead control plane is tried again."""

    def __init__(self, at: Running, key: str) -> None:
        super().__init__()
        self.at, self.key, self.done, self.failures, self.over = at, key, 0, list[str](), threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            try:
                with self.at.client(self.key) as client:
                    while not self.over.is_set():
                        advance(client)
                        self.done += 1
            except Unavailable:
                self.over.wait(0.05)
            except CustodyError as error:
                self.failures.append(repr(error))


def test_a_control_plane_killed_in_the_middle_of_promotions_leaves_whole_revisions_and_serving_goes_on(project: Project) -> None:
    key, chance = admin(project, "releaser"), random.Random(11)
    with running(project, "control", "inference", "worker") as at:
        with Traffic(at.inference_url, key) as traffic:
            until("the first answer", lambda: traffic.answered)
            rollouts = Rollouts(at, key)
            rollouts.start()
            try:
                for _ in range(3):
                    seen = rollouts.done
                    until("promotions go on", lambda seen=seen: rollouts.done >= seen + 3)  # type: ignore[misc]  # bound early
                    time.sleep(chance.uniform(0, 0.15))
                    at.kill("control")
                    at.start("control")
                seen = rollouts.done
                until("promotions go on after the last start", lambda: rollouts.done >= seen + 2)
            finally:
                rollouts.over.set()
                rollouts.join(30)
            count = len(traffic.answered)
            until("answers after everything", lambda: len(traffic.answered) >= count + 20)
        assert (traffic.failures, rollouts.failures) == ([], [])
        with project.ports() as ports:
            head = ports.stores.of(CHURN.tenant).deployments.head(CHURN)
            assert head is not None
            until(
                "the manifest is the head",
                lambda: [replace(one, captures=head.service.captures) for one in published(ports)] == [head.service],
            )
    intact(project)


def published(ports: Ports) -> list[Any]:
    stored = ports.stores.objects.read(CURRENT)
    assert stored is not None
    return list(msgspec.json.decode(msgspec.json.decode(stored, type=SignedManifest).manifest, type=Manifest).services)


def test_every_prediction_answered_before_a_kill_of_inference_is_sealed_exactly_once(project: Project) -> None:
    key, chance = admin(project, "sender"), random.Random(12)
    with running(project, "inference", "worker") as at:
        with Traffic(at.inference_url, key, tolerant=True) as traffic:
            for _ in range(3):
                count = len(traffic.answered)
                until("answers", lambda count=count: len(traffic.answered) > count + 40)  # type: ignore[misc]  # bound early
                time.sleep(chance.uniform(0, 1.2))
                at.kill("inference")
                at.start("inference")
            count = len(traffic.answered)
            until("answers after the last start", lambda: len(traffic.answered) > count + 40)
        with project.ports() as ports:
            until("everything is sealed", lambda: waiting(project, ports) == 0)
    assert traffic.failures == []
    with project.ports() as ports:
        found = Counter(sealed(ports))
    assert set(found.values()) == {1}
    assert set(traffic.answered) <= found.keys()
    intact(project)


def killed_when(command: list[str | Path], ripe: Callable[[float], bool]) -> int:
    """Start a command, kill it as soon as the moment is ripe, and return its exit code."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    started = time.monotonic()
    while process.poll() is None and not ripe(time.monotonic() - started):
        time.sleep(0.002)
    process.kill()
    return process.wait(20)


def test_an_ingest_killed_at_any_moment_stores_the_whole_version_or_none(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.tell("init", "init", project.folder)
    data = write_csv(tmp_path / "big.csv", rows(200_000))
    card = write_yaml(tmp_path / "card.yaml", CARD)
    command: list[str | Path] = [
        CUSTODY,
        "--project",
        project.folder,
        "dataset",
        "add",
        "big",
        data,
        "--card",
        card,
        "--target",
        "churned",
    ]
    objects = project.folder / "objects"

    def files(least: int) -> Callable[[float], bool]:
        return lambda _: sum(path.is_file() for path in objects.rglob("*")) >= least

    started = time.monotonic()
    assert killed_when(command, files(1)) == -9
    first_object = time.monotonic() - started
    moments = [files(2), lambda spent: spent > first_object * 0.8, lambda spent: spent > first_object + 0.05]
    outcomes = [whole_or_none(project)]
    for ripe in moments:
        killed_when([*command[:4], f"big{len(outcomes)}", *command[5:]], ripe)
        outcomes.append(whole_or_none(project))
    assert 0 in outcomes  # at least one kill came before the end
    before = project.entries()
    assert subprocess.run(command, env=environment(), capture_output=True, check=False).returncode == 0
    assert project.entries() == before + (0 if outcomes[0] else 2)  # the data, and its scan
    assert whole_or_none(project) >= 1


def whole_or_none(project: Project) -> int:
    """Return how many versions there are, having demanded that each is whole and recorded once."""
    with project.client() as client:
        versions = list(client.dataset_ls())
        assert all(one["rows"] == 200_000 for one in versions)
        named = [f"{one['ref']['name']}@{one['ref']['version']}" for one in versions]
        assert [entry["subject"] for entry in client.ledger_ls(kind="dataset.ingested")] == named
        verified = client.verify().data
        assert (verified["ok"], verified["problems"], verified["objects"]) == (
            True,
            [],
            3 * len(versions),
        )  # rows, profile, report of the scan
    return len(versions)


def test_a_worker_killed_while_it_seals_and_retrains_loses_and_doubles_nothing(project: Project) -> None:
    key, chance = admin(project, "sender"), random.Random(13)
    (project.folder / "custody.toml").write_text((project.folder / "custody.toml").read_text().replace("1.0  ", "0.05 "))
    with running(project, "inference", "worker") as at, project.client() as client:
        with Traffic(at.inference_url, key) as traffic:
            for _ in range(3):
                count = len(traffic.answered)
                until("answers", lambda count=count: len(traffic.answered) > count + 40)  # type: ignore[misc]  # bound early
                time.sleep(chance.uniform(0, 0.5))
                at.kill("worker")
                at.start("worker")
        with project.ports() as ports:
            until("everything is sealed", lambda: waiting(project, ports) == 0)
        client.label_add(KEY, [(one, ("Yes", "No")[number % 2]) for number, one in enumerate(traffic.answered)])
        client.deployment_retrain(KEY, reason="a test asks")
        with project.ports() as ports:
            for step in ("data", "trained", "registered"):
                until(f"the step {step}", lambda step=step: reached(ports, step))  # type: ignore[misc]  # bound early
                at.kill("worker")
                at.start("worker")
            until("the retraining ends", lambda: reached(ports, "staged"))
            assert set(Counter(sealed(ports)).values()) == {1}
            assert set(traffic.answered) <= set(sealed(ports))
        assert traffic.failures == []
        assert [one["ref"]["version"] for one in client.dataset_ls("tickets")] == [2, 1]
        assert [one["ref"]["version"] for one in client.model_ls("churn")] == [3, 2, 1]
        assert [entry["body"]["action"] for entry in client.ledger_ls(kind="rollout.step", subject=KEY)] == ["canary", "deploy"]
        assert len(list(client.ledger_ls(kind="retrain.decided"))) == 1
        runs = [one for one in client.run_ls("churn") if one["status"] == "finished"]
        assert len(runs) == 3
    intact(project)


STEPS = ("asked", "data", "trained", "registered", "judged", "staged")


def reached(ports: Ports, step: str) -> bool:
    request = read_request(ports.stores.of(CHURN.tenant).monitors.state(CHURN, STATE))
    assert request is not None
    assert not request.outcome or request.step == "staged", request.outcome
    return STEPS.index(request.step) >= STEPS.index(step)


def test_of_two_concurrent_promotions_exactly_one_wins_and_the_other_learns_who(project: Project) -> None:
    keys = {name: admin(project, name) for name in ("ada", "bo")}
    with running(project, "control") as at:
        for number in range(1, 6):
            start, outcomes = threading.Barrier(2), dict[str, object]()
            racers = [
                threading.Thread(target=race, args=(at, name, key, number, start, outcomes), daemon=True)
                for name, key in keys.items()
            ]
            for racer in racers:
                racer.start()
            for racer in racers:
                racer.join(30)
            (winner,) = [name for name, outcome in outcomes.items() if outcome == number + 1]
            (lost,) = [outcome for name, outcome in outcomes.items() if name != winner]
            assert isinstance(lost, Conflict)
            assert lost.facts["revision"] == number + 1
            assert winner in lost.why
    intact(project)


def race(at: Running, name: str, key: str, expected: int, start: threading.Barrier, outcomes: dict[str, object]) -> None:
    """Deploy another threshold, having looked at the same revision as the other racer."""
    threshold = 0.6 if expected % 2 else 0.5
    with at.client(key) as client:
        client.whoami()
        start.wait(20)
        try:
            done = client.deployment_deploy("churn@1", tenant="acme", threshold=threshold, expected=expected)
            outcomes[name] = done.data["service"]["revision"]
        except CustodyError as error:
            outcomes[name] = error


def test_a_process_that_dies_under_custody_up_is_started_again(project: Project) -> None:
    with up(project) as server:
        children = [int(pid) for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]
        assert len(children) == 3
        inference = next(p for p in children if b"bootstrap.inference" in Path(f"/proc/{p}/cmdline").read_bytes())
        os.kill(inference, signal.SIGKILL)
        with Traffic(server.inference_url, server.key, threads=1, tolerant=True) as traffic:
            until("inference answers again", lambda: len(traffic.answered) > 3)
    assert "inference ended with -9" in (project.folder / "up.log").read_text()
    assert traffic.failures == []
