"""The installed command, on a folder and against a server, as a person or a script uses it."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from doors_world import (
    CARD,
    GOLDEN,
    KEY,
    MONITOR,
    POLICY,
    Project,
    Up,
    custody,
    free_port,
    installed,
    rows,
    write_csv,
    write_yaml,
)

from custody.cli.main import cli
from custody.core.refs import DeploymentKey
from custody.core.tenancy import HOUSE, TenantId


def verbs() -> Iterator[tuple[str, ...]]:
    for name, command in cli.commands.items():
        yield (name,)
        if isinstance(command, click.Group):
            yield from ((name, word) for word in command.commands)


def empty(tmp_path: Path) -> Project:
    made = Project(tmp_path / "empty")
    assert custody("init", made.folder).returncode == 0
    return made


def result(done: Any) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# help and words


def test_the_installed_command_answers_like_one_that_is_forked(tmp_path: Path) -> None:
    for words in (["--help"], ["--version"], ["nonsense"], ["--project", str(tmp_path), "dataset", "ls"]):
        one, other = installed(*words), custody(*words)
        assert (one.returncode, one.stdout, one.stderr) == (other.returncode, other.stdout, other.stderr)


@pytest.mark.parametrize("words", list(verbs()), ids=" ".join)
def test_the_help_of_every_noun_and_verb_opens_with_what_it_does_and_shows_examples(words: tuple[str, ...]) -> None:
    done = custody(*words, "--help")
    assert done.returncode == 0
    command: click.Command = cli
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    if isinstance(command, click.Group):
        assert all(word in done.stdout for word in command.commands)
    else:
        assert "Examples:" in done.stdout
        assert f"custody {' '.join(words)}" in done.stdout.split("Examples:")[1]


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["deploymnt", "ls"], "deployment"), (["gate", "chek"], "check"), (["dataset", "lst"], "ls"), (["verfy"], "verify")],
)
def test_an_unknown_command_is_answered_with_the_nearest_one(words: list[str], meant: str) -> None:
    done = custody(*words)
    assert done.returncode == 2
    assert f"Did you mean '{meant}'?" in done.stderr


def test_a_usage_error_exits_with_2_and_keeps_stdout_empty() -> None:
    for words in (["dataset", "add"], ["deployment", "deploy", "churn@1"], ["gate", "check", "churn@1", "--nonsense"]):
        done = custody(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Usage: custody" in done.stderr


# a new project


def test_init_makes_a_project_and_again_completes_it_without_touching_it(tmp_path: Path) -> None:
    first = custody("init", tmp_path / "p")
    assert (first.returncode, first.stdout) == (0, "")
    assert "next: custody up" in first.stderr
    settings, key = tmp_path / "p/custody.toml", tmp_path / "p/keys/signing.key"
    before = settings.read_bytes(), key.read_bytes()
    assert key.stat().st_mode & 0o077 == 0
    assert custody("init", tmp_path / "p").returncode == 0
    assert (settings.read_bytes(), key.read_bytes()) == before


def test_a_folder_that_is_no_project_is_answered_with_how_to_make_one(tmp_path: Path) -> None:
    done = custody("--project", tmp_path, "dataset", "ls")
    assert done.returncode == 3
    assert "custody init" in done.stderr


def test_a_setting_that_does_not_exist_is_answered_with_the_nearest_one(tmp_path: Path) -> None:
    made = empty(tmp_path)
    with (made.folder / "custody.toml").open("a") as file:
        file.write("\nintervall = 2\n")
    done = made.run("dataset", "ls")
    assert done.returncode == 2
    assert "Did you mean 'interval'?" in done.stderr


# what a change says


def test_every_change_prints_its_ledger_id_and_a_next_command(prepared: Project) -> None:
    ids = []
    for name, done in prepared.told.items():
        assert "next: custody " in done.stderr, name
        if name != "init":
            marks = [line for line in done.stderr.splitlines() if line.startswith("ledger #")]
            assert len(marks) == 1, (name, done.stderr)
            ids.append(int(marks[0].removeprefix("ledger #")))
    assert ids == sorted(set(ids))


def test_a_refusing_gate_exits_with_1_and_says_by_how_much(prepared: Project) -> None:
    refused = prepared.told["refused"]
    assert refused.returncode == 1
    assert refused.stdout.startswith("REFUSED  strict@1")
    assert "0.999" in refused.stdout


def test_the_printed_ledger_ids_are_the_entries_in_the_ledger(prepared: Project) -> None:
    kinds = {"dataset": "dataset.ingested", "model 1": "model.converted", "refused": "gate.refused", "deploy": "rollout.step"}
    with prepared.client() as client:
        entries = {entry["seq"]: entry["kind"] for entry in client.ledger_ls()}
    for name, kind in kinds.items():
        number = next(line for line in prepared.told[name].stderr.splitlines() if line.startswith("ledger #"))
        assert entries[int(number.removeprefix("ledger #"))] == kind


# JSON

SHOWS = {
    "dataset card tickets@1": {"sentences", "digest", "signature", "blocks"},
    "consent check tickets@1 --purpose train_ai_system": {"admitted", "refused", "basis"},
    "dataset show tickets@1": {"ref", "digest", "rows", "schema", "card"},
    "dataset report tickets@1": {"scan", "state", "claim", "report", "signed", "ref"},
    "privacy show": {"scan", "captures", "number"},
    "run show last": {"id", "status", "params", "metrics", "datasets", "models"},
    "model show churn@1": {"ref", "artifact", "signature", "parity", "registered"},
    "model show churn@champion": {"ref", "artifact", "signature", "parity", "registered"},
    "golden show churn": {"set", "digest"},
    "gate show churn": {"policy", "digest"},
    "gate explain strict@1": {"passed", "checks", "model", "expires_at"},
    f"deployment show {KEY}": {"row", "timeline", "evaluations", "checks", "lineage"},
    f"deployment show {KEY} --at 2999-01-01T00:00:00Z": {"service", "action", "actor", "at"},
    f"label show {KEY}": {"deployment", "labels"},
    f"monitor show {KEY}": {"policy", "evaluations", "looks", "alerts", "bet"},
    f"value show {KEY}": {"costs", "total", "currency"},
    "ledger verify": {"ok", "sentence"},
    "verify": {"ok", "ledger", "objects", "problems"},
}
LISTS = {
    "dataset ls": {"ref", "rows", "digest"},
    "run ls": {"id", "status"},
    "model ls": {"ref", "artifact"},
    "gate ls": {"id", "model", "passed"},
    "deployment ls": {"deployment", "model", "state", "reason"},
    f"deployment history {KEY}": {"service", "action"},
    "tenant ls": {"id"},
    "key ls": {"id", "name", "role"},
    "encryption ls": {"tenant", "number", "id", "master", "current"},
    "ledger ls": {"seq", "kind", "subject", "hash"},
}


@pytest.mark.parametrize(("command", "keys"), SHOWS.items(), ids=list(SHOWS))
def test_every_verb_that_shows_one_thing_speaks_json_with_the_same_three_keys(served: Up, command: str, keys: set[str]) -> None:
    shown = result(served.run(*command.split(), "--format", "json"))
    assert list(shown) == ["result", "ledger", "next"]
    assert keys <= shown["result"].keys()


@pytest.mark.parametrize(("command", "keys"), LISTS.items(), ids=list(LISTS))
def test_every_verb_that_lists_speaks_json_as_an_array_of_objects(served: Up, command: str, keys: set[str]) -> None:
    shown = result(served.run("--format", "json", *command.split()))
    assert shown
    assert all(keys <= one.keys() for one in shown)


def test_a_trace_and_a_model_card_are_json_too(served: Up) -> None:
    with served.project.ports() as ports:
        key = DeploymentKey(TenantId("acme"), "prod", "churn")
        batch = ports.stores.of(key.tenant).captures.of(key)[0]
        prediction = ports.tables.from_parquet(ports.stores.objects.get(batch.object)).column("prediction")[0].as_py()
    traced = result(served.run("trace", prediction, "--format", "json"))["result"]
    assert traced["complete"]
    assert {"decision", "deployment", "verdict", "model", "run", "dataset", "card"} <= {step["kind"] for step in traced["steps"]}
    assert isinstance(result(served.run("export", "card", "churn@1")), dict)


def test_a_list_can_be_csv_or_one_name_per_line(prepared: Project) -> None:
    csv = prepared.run("model", "ls", "--format", "csv").stdout.splitlines()
    quiet = prepared.run("model", "ls", "--format", "quiet").stdout.split()
    assert csv[0].startswith("model,aliases,artifact")
    assert sorted(quiet) == ["churn@1", "churn@2", "strict@1"] == sorted(line.split(",")[0] for line in csv[1:])


def test_a_change_prints_only_json_on_stdout(tmp_path: Path) -> None:
    shown = result(empty(tmp_path).run("tenant", "add", "acme", "--format", "json"))
    assert list(shown) == ["result", "ledger", "next"]
    assert (shown["result"]["id"], shown["ledger"]) == ("acme", 2)


# a dry run


def dry_runs(home: Path) -> dict[str, tuple[str | Path, ...]]:
    files = home / "dry"
    files.mkdir(exist_ok=True)
    (files / "cases.jsonl").write_text("\n".join(json.dumps({**case, "severity": "critical"}) for case in GOLDEN))
    write_csv(files / "labels.csv", [{"prediction": "row-1", "label": "Yes"}])
    more = write_csv(files / "more.csv", rows(50, seed=3))
    agreed = {"subject": "ada", "purpose": "train_ai_system", "status": "granted", "valid_from": "2026-01-01"}
    consent = write_csv(files / "consent.csv", [agreed])
    card = write_yaml(files / "card.yaml", CARD)
    return {
        "dataset add": ("tickets", more, "--card", card),
        "dataset scrub": ("tickets@1",),
        "review answer": ("tickets@1", "--as", "reviewed"),
        "privacy set": (write_yaml(files / "privacy.yaml", {"tier": "strict"}),),
        "consent add": (consent, "--source", "crm"),
        "export rows": ("tickets@1", "--name", "out", "--purpose", "train_ai_system", "--recipient", "audit"),
        "golden add": ("churn", files / "cases.jsonl"),
        "gate set": ("churn", write_yaml(files / "policy.yaml", {**POLICY, "max_flips": 2})),
        "gate check": ("churn@1",),
        "gate mitigation": ("churn@2", "--column", "plan", "--before", "churn@1"),
        "deployment deploy": ("churn@2", "--tenant", "acme", "--threshold", "0.6"),
        "deployment promote": (KEY,),
        "deployment reject": (KEY,),
        "deployment rollback": (KEY,),
        "label add": (KEY, files / "labels.csv"),
        "monitor set": (KEY, write_yaml(files / "monitor.yaml", {**MONITOR, "tolerance": 0.2})),
        "value add": (KEY, "--fp", "1", "--currency", "CAD"),
        "model register": ("churn",),
        "tenant add": ("initech",),
        "alert ack": (KEY, "nothing"),
        "alert resolve": (KEY, "nothing"),
        "label queue": (KEY,),
        "obligation answer": ("nothing", "--exclude"),
        "encryption rotate": (),
        "encryption reseal": (),
        "encryption destroy": ("--reason", "the contract ended"),
    }


REFUSED = {
    "alert ack": 3,
    "alert resolve": 3,
    "label queue": 4,
    "obligation answer": 3,
    "dataset scrub": 4,
    "encryption destroy": 4,
}  # nothing was answered, nothing alarmed yet; the team's own keys stay


def test_a_dry_run_of_every_verb_that_has_one_says_so_and_changes_nothing(project: Project, tmp_path: Path) -> None:
    cases = dry_runs(tmp_path)
    known = {f"{n} {w}" for n, g in cli.commands.items() if isinstance(g, click.Group) for w, c in g.commands.items() if dry(c)}
    assert known == set(cases)
    with project.client() as client:
        client.deployment_deploy("churn@2", tenant="acme", threshold=0.6)
        client.deployment_deploy("churn@1", tenant="acme", canary=0.5)
    before = project.entries()
    for name, arguments in cases.items():
        done = project.run(*name.split(), *arguments, "--dry-run")
        assert done.returncode == REFUSED.get(name, 0) or (name, done.returncode) == ("gate check", 1), (name, done.stderr)
        assert "Nothing was changed (--dry-run)." in done.stderr or done.returncode > 1, name
        assert "ledger #" not in done.stderr, name
        assert project.entries() == before, name


def dry(command: click.Command) -> bool:
    return any(parameter.name == "dry_run" for parameter in command.params)


# exit codes and errors


def test_each_kind_of_failure_has_an_exit_code_of_its_own(project: Project) -> None:
    cases: list[tuple[int, tuple[str, ...]]] = [
        (2, ("model", "show", "churn")),
        (2, ("dataset", "show", "tickets@latest")),
        (3, ("model", "show", "churn@9")),
        (3, ("dataset", "show", "tickets@9")),
        (4, ("tenant", "add", "acme")),
        (4, ("deployment", "promote", KEY)),
        (4, ("deployment", "deploy", "churn@2", "--tenant", "acme", "--expected", "7")),
        (5, ("deployment", "deploy", "strict@1", "--tenant", "acme")),
        (5, ("deployment", "deploy", "churn@2", "--tenant", "acme", "--threshold", "0.7")),
    ]
    before = project.entries()
    for code, words in cases:
        done = project.run(*words)
        assert (done.returncode, done.stdout) == (code, ""), (words, done.stderr)
        assert done.stderr.startswith("error: "), words
        assert "Traceback" not in done.stderr
    assert project.entries() == before


def test_a_dead_server_exits_with_6_and_says_how_to_start_one() -> None:
    done = custody("--url", f"http://127.0.0.1:{free_port()}", "--key", "ck_none", "dataset", "ls")
    assert done.returncode == 6
    assert "custody up" in done.stderr


def test_a_damaged_object_is_found_by_verify_which_exits_with_1(project: Project) -> None:
    with project.client() as client:
        digest = client.model_show("churn@2").data["artifact"]
    with project.ports() as ports:
        stored = project.folder / "objects" / "documents" / ports.stores.objects._name(HOUSE, digest)  # type: ignore[attr-defined]
    stored.chmod(0o600)
    stored.write_bytes(stored.read_bytes()[:-1] + b"x")
    done = project.run("verify")
    assert done.returncode == 1
    assert "churn@2" in done.stdout


@pytest.mark.parametrize(
    ("words", "meant"), [("dataset show tickts@1", "tickets"), ("model show churm@1", "churn"), ("gate check churm@1", "churn")]
)
def test_an_unknown_name_is_answered_with_near_ones(served: Up, words: str, meant: str) -> None:
    done = served.run(*words.split())
    assert done.returncode == 3
    assert meant in done.stderr.split("Did you mean")[1]


def test_rolling_back_without_a_terminal_asks_for_yes(project: Project) -> None:
    done = project.run("deployment", "rollback", KEY)
    assert done.returncode == 2
    assert "--yes" in done.stderr


# files that are not what they say


def refused_file(made: Project, file: Path, *more: str) -> str:
    card = write_yaml(made.folder.parent / "card.yaml", CARD)
    before = made.entries()
    done = made.run("dataset", "add", "tickets", file, "--card", card, *more)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert made.entries() == before
    with made.client() as client:
        assert list(client.dataset_ls()) == []
    return done.stderr


def test_a_malformed_csv_is_refused_by_line_and_column_and_nothing_is_stored(tmp_path: Path) -> None:
    made = empty(tmp_path)
    bad = tmp_path / "bad.csv"
    bad.write_text("age,plan\n20,basic\n21,basic,extra\n22\n23,premium\n")
    said = refused_file(made, bad)
    assert "line 3" in said
    assert "line 4" in said
    assert "column" in said
    assert "extra" not in said


def test_a_corrupt_parquet_or_gzip_file_is_refused_in_words(tmp_path: Path) -> None:
    made = empty(tmp_path)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1" + bytes(200) + b"PAR1")
    assert "Parquet" in refused_file(made, broken)
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(b"age\n" + b"1\n" * 5000)[:-20])
    assert "error: " in refused_file(made, cut)


def test_a_csv_without_an_expected_column_is_refused(tmp_path: Path) -> None:
    made = empty(tmp_path)
    data = write_csv(tmp_path / "data.csv", rows(5))
    said = refused_file(made, data, "--columns", "age,spent,plan,churned")
    assert "spent" in said
    assert "'zip'" in refused_file(made, data, "--target", "zip")


def test_a_card_that_leaves_questions_open_is_refused_with_all_of_them(tmp_path: Path) -> None:
    made = empty(tmp_path)
    card = write_yaml(tmp_path / "card.yaml", {"title": "x", "legal_basys": "contract"})
    done = made.run("dataset", "add", "tickets", write_csv(tmp_path / "d.csv", rows(3)), "--card", card)
    assert done.returncode == 2
    assert "did you mean 'legal_basis'" in done.stderr
    assert "'bias_treatment' is missing" in done.stderr


def test_a_golden_set_that_does_not_fit_the_signature_is_refused_by_line(prepared: Project, tmp_path: Path) -> None:
    cases = tmp_path / "cases.jsonl"
    wrong = [{**GOLDEN[0], "inputs": {"age": 3, "spent": 1.0, "plan": "basic"}}, {**GOLDEN[1], "expect": "Maybe"}]
    cases.write_text("\n".join(map(json.dumps, wrong)))
    before = prepared.entries()
    done = prepared.run("golden", "add", "churn", cases)
    assert done.returncode == 2
    assert "line 1: lacks the input 'spend'" in done.stderr
    assert "line 1: 'spent' is not an input" in done.stderr
    assert "line 2: expects a class" in done.stderr
    assert prepared.entries() == before


def test_a_golden_file_that_is_not_json_is_refused_by_line(prepared: Project, tmp_path: Path) -> None:
    cases = tmp_path / "cases.jsonl"
    cases.write_text(json.dumps(GOLDEN[0]) + "\n{oops}\n")
    done = prepared.run("golden", "add", "churn", cases)
    assert done.returncode == 2
    assert "line 2, column 2" in done.stderr


def test_a_file_that_is_no_onnx_model_is_logged_but_not_registered(project: Project) -> None:
    with project.client() as client:
        good = client.run_show("last").data["models"][0]
        run = client.run_begin("garbage", purpose="train_ai_system").data["id"]
        client.run_data(run, "tickets@1")
        client.run_log(run, models=[{**good, "artifact": client.object_add(b"not an ONNX file")}])
        client.run_end(run)
        count = len(list(client.model_ls()))
    before = project.entries()
    done = project.run("model", "register", "--run", run)
    assert done.returncode == 2
    assert "not an ONNX model" in done.stderr
    assert project.entries() == before
    with project.client() as client:
        assert len(list(client.model_ls())) == count


def test_a_model_that_differs_from_its_signature_is_not_registered(project: Project) -> None:
    with project.client() as client:
        good = client.run_show("last").data["models"][0]
        inputs = [{**one, "name": "salary"} if one["name"] == "spend" else one for one in good["signature"]["inputs"]]
        run = client.run_begin("liar", purpose="train_ai_system").data["id"]
        client.run_data(run, "tickets@1")
        client.run_log(run, models=[{**good, "signature": {**good["signature"], "inputs": inputs}}])
        client.run_end(run)
    done = project.run("model", "register", "--run", run)
    assert done.returncode == 2
    assert "salary" in done.stderr


def test_data_without_a_legal_basis_is_stored_but_no_run_may_read_it(project: Project, tmp_path: Path) -> None:
    card = write_yaml(tmp_path / "card.yaml", {**CARD, "legal_basis": "unknown"})
    data = write_csv(tmp_path / "more.csv", rows(40, seed=5))
    stored = project.run("dataset", "add", "tickets", data, "--card", card, "--target", "churned", "--positive", "Yes")
    assert stored.returncode == 0
    assert "legal basis is unknown" in stored.stderr
    (tmp_path / "read.py").write_text("import custody.sdk as c\nwith c.run() as run:\n    run.dataset('tickets@2')\n")
    done = project.run("run", "exec", "--", "python", "read.py")
    assert done.returncode == 1
    assert "tickets@2 may not train a model: its legal basis is unknown." in done.stderr
    assert "failed" in done.stdout
    with project.client() as client:
        assert client.run_show("last").data["datasets"] == []
        assert not [one for one in client.ledger_ls(kind="dataset.read") if one["subject"] == "tickets@2"]


# names are never paths

HOSTILE = ("../../etc/passwd", "..", "a/../../b", "a\\..\\b", "%2e%2e%2f", "a\x1bb", ".hidden")


def test_a_name_that_is_a_path_is_refused_by_every_noun_and_leaves_no_file(project: Project, tmp_path: Path) -> None:
    card = write_yaml(tmp_path / "card.yaml", CARD)
    data = write_csv(tmp_path / "d.csv", rows(3))
    before = project.entries()
    names = {path for path in tmp_path.rglob("*") if "objects" not in path.parts and "custody.db" not in path.name}
    with project.client() as client:
        for name in HOSTILE:
            attempts = [
                lambda name=name: client.dataset_add(name, data, card=CARD),
                lambda name=name: client.dataset_show(f"{name}@1"),
                lambda name=name: client.model_show(f"{name}@1"),
                lambda name=name: client.model_artifact(f"{name}@1"),
                lambda name=name: client.golden_add(name, GOLDEN),
                lambda name=name: client.gate_set(name, POLICY),
                lambda name=name: client.run_show(name),
                lambda name=name: client.run_begin(name),
                lambda name=name: client.tenant_add(name),
                lambda name=name: client.key_rm(name),
                lambda name=name: client.trace(name),
                lambda name=name: client.deployment_show(f"acme/prod/{name}"),
                lambda name=name: client.deployment_deploy("churn@1", tenant="acme", name=name),
                lambda name=name: client.deployment_deploy("churn@1", tenant=name),
                lambda name=name: client.deployment_deploy("churn@1", tenant="acme", environment=name),
            ]
            for number, attempt in enumerate(attempts):
                assert kind_of(attempt) in {"InvalidInput", "NotFound"}, (name, number)
    assert project.entries() == before
    assert {path for path in tmp_path.rglob("*") if "objects" not in path.parts and "custody.db" not in path.name} == names
    done = project.run("dataset", "add", "../../x", data, "--card", card)
    assert (done.returncode, done.stdout) == (2, "")


def kind_of(attempt: Any) -> str:
    try:
        return f"answered {attempt()}"
    except Exception as error:
        return type(error).__name__


def test_a_recipe_cannot_name_a_file_outside_its_folder(project: Project) -> None:
    with project.client() as client:
        found = kind_of(lambda: client.run_begin("x", command=["python", "../x.py"], files={"../x.py": b"pass"}))
    assert found == "InvalidInput"


# the same commands against a server


def test_the_same_commands_work_on_a_server(served: Up, prepared: Project) -> None:
    assert served.run("dataset", "show", "tickets@1").stdout == prepared.run("dataset", "show", "tickets@1").stdout
    made = served.run("key", "add", "from the shell", "--role", "viewer", "--tenant-of", "globex", "--format", "json")
    key = result(made)["result"]
    viewer = replace(served, key=key["secret"])
    assert viewer.run("tenant", "ls", "--format", "quiet").stdout.split() == ["globex"]
    assert viewer.run("tenant", "add", "sneaky").returncode == 5
    assert viewer.run("deployment", "show", KEY).returncode == 3
    assert served.run("key", "rm", key["key"]["id"]).returncode == 0
    assert viewer.run("tenant", "ls").returncode == 5


def test_a_wrong_key_exits_with_5_and_says_how_to_get_one(served: Up) -> None:
    done = replace(served, key="ck_wrong").run("dataset", "ls")
    assert done.returncode == 5
    assert "custody key add" in done.stderr


def test_a_broken_upload_to_a_server_stores_nothing(served: Up, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("age,plan\n20,basic\n21\n")
    card = write_yaml(tmp_path / "card.yaml", CARD)
    done = served.run("dataset", "add", "broken", bad, "--card", card)
    assert done.returncode == 2
    assert "line 3" in done.stderr
    assert served.run("dataset", "ls", "broken").stdout == "(none)\n"


def test_rows_can_come_from_standard_input(tmp_path: Path) -> None:
    made = empty(tmp_path)
    card = write_yaml(tmp_path / "card.yaml", CARD)
    lines = "\n".join(json.dumps(row) for row in rows(4))
    done = made.run("dataset", "add", "tickets", "-", "--input-format", "jsonl", "--card", card, "--format", "quiet", text=lines)
    assert (done.returncode, done.stdout) == (0, "tickets@1\n"), done.stderr
