"""No interleaving of erasing, training, answering and deploying puts a version into service past its due date."""

import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lifecycle_world import ADA, CARD, POLICY, World, exported, rows

from custody.bootstrap.control import init, wire
from custody.core.digest import digest_of
from custody.core.errors import Conflict, Denied, InvalidInput, NotFound
from custody.core.evidence import Verdict
from custody.core.manifest import Mode
from custody.core.refs import DeploymentKey, ModelRef
from custody.core.tenancy import HOUSE
from custody.data.split import Split
from custody.lifecycle.forget import forget
from custody.lifecycle.ingest import ingest
from custody.lifecycle.monitor import set_monitor
from custody.lifecycle.owed import answer_obligation, remind
from custody.lifecycle.promote import set_policy
from custody.lifecycle.release import Plan, advance, release
from custody.lifecycle.train import begin, keep, read, train
from custody.privacy.erasure.obligation import Answer
from custody.registry.model import ModelVersion
from custody.registry.run import RunStatus

LIVE = DeploymentKey(HOUSE, "prod", "churn")
PEOPLE = st.sampled_from(["ann", "bob", "cleo"])
DUE = timedelta(days=30)
FIXTURE = b'{"inputs":{"age":[1.5]},"scores":[0.5],"tolerance":0,"version":1}'
SIGNATURE = exported(rows(50)).signature


class Life(RuleBasedStateMachine):
    """The project, and beside it a plain record of who was in what, who was erased when, and what was answered."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(wire(init(Path(self.folder.name))[0]))
        self.world.ports.stores.scrub = lambda: None  # type: ignore[method-assign]  # the disk is not what is at stake here
        set_policy(self.world.ports, self.world.caller(), "churn", POLICY)
        self.learned: dict[ModelRef, set[str]] = {}
        self.runs: dict[ModelRef, str] = {}
        self.erased: dict[ModelRef, list[tuple[str, object]]] = {}  # of a version: obligation and when it was due
        self.gone: set[str] = set()
        self.met: set[str] = set()
        self.retired: set[ModelRef] = set()
        self.deployed = 0
        self.arrive()
        self.learn()

    @rule()
    def arrive(self) -> None:
        with suppress(InvalidInput):
            table = pa.table({"who": ["ann", "bob", "cleo", "dan"], "age": [1.0, 2.0, 3.0, float(self.world.now.minute)]})
            ingest(self.world.ports, self.world.caller(), "tickets", table, replace(CARD, subject_key="who"))

    @rule()
    def learn(self) -> None:
        """Train on the newest version, whatever state it is in, and register what comes of it."""
        ports, caller = self.world.ports, self.world.caller()
        newest = ports.stores.of(HOUSE).datasets.latest("tickets")
        assert newest is not None
        run, _ = begin(ports, caller, "churn")
        got = read(ports, self.world.caller(), run.id, newest.ref, Split.ALL)
        people = set(got.column("who").to_pylist())
        assert not people & self.gone, "a run read the rows of somebody erased"
        train(ports, self.world.caller(), run.id, RunStatus.FINISHED)
        ref = ModelRef("churn", len(self.learned) + 1)
        artifact, fixture = keep(ports, caller, str(ref).encode()), keep(ports, caller, FIXTURE)
        uses = ports.stores.of(HOUSE).runs.get(run.id).datasets
        made = ModelVersion(ref, artifact, 1, SIGNATURE, "scikit-learn", fixture, (), (), run.id, uses, caller.now)
        policy = ports.stores.of(HOUSE).gates.policy("churn")
        assert policy is not None
        far = caller.now + timedelta(days=9999)
        verdict = Verdict(
            f"v{ref.version}", ref, artifact, policy.digest, None, digest_of(b"e"), (0.4, 0.5), True, (), caller.now, far
        )
        with ports.stores.change(HOUSE, ADA, caller.now) as change:
            change.models.add(made)
            change.gates.add(verdict)
        self.learned[ref], self.runs[ref] = people, run.id

    @rule(person=PEOPLE)
    def erase(self, person: str) -> None:
        told, _ = forget(self.world.ports, self.world.caller(), person)
        if person not in self.gone:
            subjects = self.world.ports.stores.of(HOUSE).subjects
            owed = {subjects.obligation(one).model: one for one in told.obligations}
            assert {ref for ref, people in self.learned.items() if person in people} <= set(owed), "a model was missed"
            for ref, one in owed.items():
                self.erased.setdefault(ref, []).append((one, self.world.now + DUE))
        self.gone.add(person)

    @rule(days=st.integers(1, 40))
    def wait(self, days: int) -> None:
        self.world.now += timedelta(days=days)

    @rule(pick=st.integers(0, 20), how=st.sampled_from(list(Answer)), by=st.integers(0, 20))
    def reply(self, pick: int, how: Answer, by: int) -> None:
        owed = [(one, ref) for ref, each in self.erased.items() for one, _ in each]
        if not owed:
            return
        one, ref = owed[pick % len(owed)]
        evidence = self.runs[list(self.runs)[by % len(self.runs)]] if how is Answer.RETRAIN else "a ground in law, told here"
        with suppress(Conflict, Denied):
            answer_obligation(self.world.ports, self.world.caller(), one, how, evidence=evidence, approver="the officer")
            self.met.add(one)
            if how is not Answer.ACCEPT and one not in self.met - {one}:
                self.retired.add(ref)

    @rule(pick=st.integers(0, 20), mode=st.sampled_from([None, Mode.CANARY, Mode.SHADOW]))
    def deploy(self, pick: int, mode: Mode | None) -> None:
        ref = list(self.learned)[pick % len(self.learned)]
        with suppress(Conflict, Denied):
            release(self.world.ports, self.world.caller(), Plan(LIVE, ref, mode=mode, share=0.1))

    @rule(action=st.sampled_from(["promote", "rollback", "reject"]))
    def move(self, action: str) -> None:
        with suppress(Conflict, Denied):
            advance(self.world.ports, self.world.caller(), LIVE, action)

    @rule()
    def follow_up(self) -> None:
        """Let the worker roll back: what is past due serves on only where no earlier version may serve."""
        ports, deployments = self.world.ports, self.world.ports.stores.of(HOUSE).deployments
        with suppress(NotFound):
            set_monitor(ports, self.world.caller(), LIVE, {"past_due": "roll_back"})
        remind(ports, self.world.caller().now)
        head = deployments.head(LIVE)
        if head is None:
            return
        live, candidate = head.service.live.model, head.service.candidate
        assert candidate is None or self.may(candidate.target.model), "a candidate past due was left"
        others = {past.service.live.model for past in deployments.history(LIVE, limit=1000).items} - {live}
        assert self.may(live) or not any(map(self.may, others)), f"{live} is past due, and another could have served"
        remind(ports, self.world.now)  # ends the alerts of what was rolled back
        assert remind(ports, self.world.now) == 0, "the worker does not come to rest"
        assert deployments.head(LIVE) == head

    def may(self, ref: ModelRef) -> bool:
        """Tell by the plain record whether a version may serve now."""
        late = [one for one, due in self.erased.get(ref, []) if one not in self.met and self.world.now >= due]  # type: ignore[operator]
        return not late and ref not in self.retired

    @invariant()
    def nothing_new_serves_past_due(self) -> None:
        head = self.world.ports.stores.of(HOUSE).deployments.head(LIVE)
        if head is None or head.number == self.deployed:
            return
        self.deployed = head.number
        arms = [head.service.live.model] if head.action != "reject" else []
        arms += [head.service.candidate.target.model] if head.service.candidate else []
        for ref in arms:
            late = [one for one, due in self.erased.get(ref, []) if one not in self.met and head.at >= due]  # type: ignore[operator]
            assert not late, f"{ref} was put into service past due"
            assert ref not in self.retired, f"{ref} had been taken out of use"

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.ports.stores.close()  # type: ignore[attr-defined]
            self.folder.cleanup()


Life.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=18,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestLife = Life.TestCase
