"""The `yard` command over a real socket: every command with `-o json`, tables, errors, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tests.yard.stub import KEY, TOKEN, Stub
from yard.cli.main import app, main
from yard.cli.output import fitting_columns
from yard.config import config_path, read

ID = "nothing-00000000000000000000000000"


@pytest.fixture
def here(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, logged in at the stub by environment."""
    for name, value in {
        "HOME": str(tmp_path),
        "YARD_ADDRESS": address,
        "YARD_TOKEN": TOKEN,
        "YARD_PATIENCE": "0",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("XDG_CONFIG_HOME", "YARD_API_KEY", "YARD_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Run:
    """A command's end: exit code, what it answered, what it complained of."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def yard(here: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: str) -> Run:
        capsys.readouterr()
        code = main(words)
        told = capsys.readouterr()
        return Run(code, told.out, told.err)

    return run


def walk(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of the tree."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from walk(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS: Mapping[tuple[str, ...], Any] = dict(walk(typer.main.get_command(app)))


@pytest.mark.row("P7")
@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_takes_o_json_and_says_what_it_does(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    options = [option for parameter in command.params for option in parameter.opts]
    assert "-o" in options
    assert "--output" in options
    assert command.help


@pytest.fixture
def things(stub: Stub, here: Path) -> dict[str, str]:
    """See `furnish`."""
    return furnish(stub, here)


def furnish(stub: Stub, here: Path) -> dict[str, str]:
    """One of everything on the platform, and files to send in the folder `here`; gives the ids."""
    (here / "digits.zip").write_bytes(b"zip" * 900)
    (here / "password").write_text("right\n")
    (here / "code").mkdir(exist_ok=True)
    (here / "code" / "train.py").write_text("")
    definition = {"name": "mine", "purpose": "x/y", "formats": ["dir"], "training": {"command": ["python", "train.py"]}}
    (here / "algorithm.json").write_text(json.dumps(definition))
    (here / "image.png").write_bytes(b"png")
    stub.labels = [(b"png", "3")]
    dataset = stub.add("datasets", "ds", name="digits", state="ready", online=True, current_version=None)
    stub.add("formatted-sets", "set", name="digits-lmdb", format="lmdb", state="ready", complement=None)
    job = stub.add("jobs", "job", name="training", state="running", attempt=1, model_id=None)
    stub.end(job)
    model = stub.add("models", "model", name="classifier", files=3, bytes=9, lineage={}, services=[])
    interface = {"method": "POST", "path": "/classify_image", "style": "file", "inputs": [{"name": "image"}]}
    fields = {"state": "running", "ready": 1, "replicas": 1, "interface": interface, "address": "/serve/x/"}
    service = stub.add("services", "svc", name="classify", **fields)
    stub.add("sources", "src", name="bucket", connection={"type": "s3", "bucket": "b"}, credentials=["access_key_id"])
    (here / "secrets").write_text("access_key_id=k\nsecret_access_key=s=s\n")
    stub.add("users", "usr", name="bob", role="user", state="active")
    stub.add("api-keys", "key", name="laptop", state="active", prefix="yk_1")
    allocation = stub.add("allocations", "alloc", name="a", state="granted", kind="job", workload=job["id"])
    stub.engine["state"] = "ready"
    named = {"dataset": dataset, "job": job, "model": model, "service": service, "allocation": allocation}
    return {name: thing["id"] for name, thing in named.items()}


LINES = """
login --name alice --password-file password
logout
whoami
dataset create new --purpose image/classification
dataset upload digits digits.zip
dataset upload digits digits.zip --no-wait
dataset list
dataset list --catalogue --class 3
dataset show digits
dataset edit digits --description better
dataset offline digits
dataset online digits
dataset visibility digits public
dataset edit digits --version 1 --name v1
dataset versions digits
dataset diff digits 1 2 --kind added
dataset history digits -n 3
dataset uses digits
dataset imports digits
dataset samples digits --class 3
dataset samples digits --name 0001 --part train
dataset details digits --version 1
dataset thumbnail digits 3/0001.png --size 64 --draw --to small.png
dataset delete digits --yes
dataset cancel-import digits
source create lab --type path --root lab
source create cloud --type s3 --endpoint-url https://s3.example --bucket b --prefix p --secrets-file secrets
source list
source show bucket
source check bucket --prefix cat
source credentials bucket --secrets-file secrets
source import bucket digits --prefix cat
source import bucket digits --no-wait
source delete bucket --yes
set create digits --format lmdb --ratio 0.8 --complement
set create digits -f raw --ratio 0.8 --held-out --no-wait
set list
set show digits-lmdb
set complement digits-lmdb
set download digits-lmdb --to lmdb
set delete digits-lmdb --yes
algorithm create algorithm.json --training code --inference code
algorithm list
algorithm show image-classifier
algorithm edit image-classifier --name other
algorithm online image-classifier
algorithm offline image-classifier
algorithm visibility image-classifier public
algorithm code image-classifier training
algorithm code image-classifier training --put code
algorithm delete image-classifier --yes
engine list
engine show sklearn-1.9
engine build sklearn-1.9
job run image-classifier digits -p epochs=3
job run image-classifier digits --draft
job list
job show training
job why training
job edit training --name better
job start training
job stop training
job log training
job metrics training
job attempts training
job results training
job download training
job download training sub/model.json
job delete training --yes
model list
model show classifier
model edit classifier --description d
model publish classifier digits
model download classifier
model delete classifier --yes
service list
service show classify
service edit classify --name c
service edit classify --cpu 2 --accelerator gpu:1:A100 --label disk=nvme --priority-class high --spread
service start classify --replicas 2
service scale classify 3
service test classify
service call classify --input image=@image.png
service replicas classify
service log classify
service stop classify
service delete classify --yes
user create carol --password-file password
user create dave
user list
user show bob
user role bob admin
user groups bob vision speech
user disable bob
user enable bob
user delete bob --yes
user password --current-file password --new-file password
user password bob --new-file password
api-key create ci
api-key list
api-key delete laptop --yes
node list
node list --cluster default --state ready --label disk=nvme
node show here
node cordon here --reason fan
node drain here --grace 5m
node uncordon here
node fence here
queue list
queue show vision
queue set vision --group vision --per-user gpu=2 --guaranteed gpu=4 --guaranteed memory=64GiB --weight 2
queue delete vision
spec list
spec set tiny --count 1 --memory 4GiB --label disk=nvme --cluster default
spec unset tiny
allocation list
allocation show {allocation}
events dead
events replay train-svc.on_capacity.ev-1
events replay --all --service train-svc
""".strip().splitlines()


def test_the_list_below_leaves_no_command_out() -> None:
    tried = {path for line in LINES for path in COMMANDS if tuple(line.split()[: len(path)]) == path}
    assert set(COMMANDS) - tried == set()


@pytest.mark.row("P7")
@pytest.mark.parametrize("line", LINES)
def test_every_command_answers_json_and_nothing_else(yard: Any, things: dict[str, str], line: str) -> None:
    ended = yard(*line.format(**things).split(), "-o", "json")
    assert ended.code == 0, ended.err
    assert ended.json is not None


@pytest.mark.row("P7")
@pytest.mark.parametrize("line", LINES)
def test_every_command_answers_people_in_plain_text(yard: Any, things: dict[str, str], line: str) -> None:
    ended = yard(*line.format(**things).split())
    assert ended.code == 0, ended.err
    assert ended.out.strip()
    assert "\x1b" not in ended.out + ended.err


def test_a_list_as_a_table_that_cuts_nothing_off(yard: Any, stub: Stub) -> None:
    name = "a long name " * 8 + "end"
    made = stub.add("datasets", "ds", name=name, state="ready", online=True)
    shown = yard("dataset", "list").out
    assert shown.splitlines()[0].split()[:2] == ["ID", "NAME"]
    assert made["id"] in shown
    assert name in shown


def test_a_narrow_screen_gets_fewer_columns() -> None:
    cells = [["x" * 30, "name", "state", "y" * 40]]
    titles = ["ID", "NAME", "STATE", "OWNER"]
    assert fitting_columns(titles, cells, 200) == 4
    assert fitting_columns(titles, cells, 80) == 3
    assert fitting_columns(titles, cells, 20) == 3


def test_an_empty_list_says_so(yard: Any) -> None:
    assert yard("dataset", "list").out == "There are no datasets.\n"
    assert yard("dataset", "list", "-o", "json").json == []


def test_a_refusal_is_one_message_with_code_and_faults(yard: Any) -> None:
    ended = yard("dataset", "create", "", "--purpose", "x/y")
    assert ended.code == 1
    assert ended.out == ""
    assert ended.err.splitlines() == [
        "Error: The dataset has 2 faults. [invalid_dataset]",
        "  name: It is empty.",
        "  purpose: Unknown.",
    ]


def test_dead_letters_of_services_that_are_silent_are_missed_aloud(yard: Any, stub: Stub) -> None:
    stub.silent = ["algo-svc"]
    ended = yard("events", "dead", "-o", "json")
    assert ended.code == 1
    assert [one["id"] for one in ended.json] == ["train-svc.on_capacity.ev-1"]
    assert "  algo-svc: It does not answer." in ended.err.splitlines()


def test_a_dead_letter_is_shown_with_what_to_do(yard: Any) -> None:
    told = yard("events", "dead").out
    assert all(word in told for word in ("train-svc.on_capacity.ev-1", "job.started", "ValueError", "then replay"))


def test_what_could_not_be_replayed_is_an_error_beside_what_was(yard: Any) -> None:
    ended = yard("events", "replay", "train-svc.on_capacity.ev-1", "train-svc.on_capacity.absent", "-o", "json")
    assert ended.code == 1
    assert ended.json["replayed"] == ["train-svc.on_capacity.ev-1"]
    assert "train-svc.on_capacity.absent: None." in ended.err


def test_replaying_wants_ids_or_all(yard: Any) -> None:
    for words in ([], ["x", "--all"], ["x", "--service", "train-svc"]):
        ended = yard("events", "replay", *words)
        assert ended.code == 1
        assert "which_letters" in ended.err


def test_a_failed_import_names_file_and_reason(yard: Any, stub: Stub, things: dict[str, str]) -> None:
    stub.import_fails = True
    ended = yard("dataset", "upload", "digits", "digits.zip")
    assert ended.code == 1
    assert "3/x.png: It is no image." in ended.err


@pytest.mark.parametrize(
    ("method", "told"),
    [("upload", "the same command goes on there"), ("wait_import", "The import goes on")],
    ids=["upload", "import"],
)
def test_who_breaks_off_is_told_what_becomes_of_it(
    yard: Any, things: dict[str, str], monkeypatch: pytest.MonkeyPatch, method: str, told: str
) -> None:
    def interrupted(*what: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"yard.api.datasets.Datasets.{method}", interrupted)
    ended = yard("dataset", "upload", "digits", "digits.zip")
    assert ended.code == 130
    assert told in ended.err


@pytest.mark.parametrize(
    "words", [["dataset", "nonsense"], ["dataset", "create"], ["job", "run", "--bad"], ["nonsense"]]
)
def test_wrong_usage_is_exit_code_2(yard: Any, words: list[str]) -> None:
    ended = yard(*words)
    assert ended.code == 2
    assert ended.err
    assert "Traceback" not in ended.err


def test_an_absent_platform_is_one_message(yard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YARD_ADDRESS", "http://127.0.0.1:9")
    ended = yard("dataset", "list")
    assert ended.code == 1
    assert len(ended.err.splitlines()) == 1
    assert "[unreachable]" in ended.err


def test_without_a_login_the_way_to_one_is_told(yard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YARD_TOKEN")
    ended = yard("whoami")
    assert ended.code == 1
    assert "yard login" in ended.err


def test_a_missing_file_is_one_message(yard: Any) -> None:
    ended = yard("login", "--name", "alice", "--password-file", "nowhere")
    assert ended.code == 1
    assert ended.err == "Error: No such file or directory: nowhere\n"


def test_a_fault_of_the_command_itself_is_one_message(yard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr("yard.cli.datasets.put_list", fail)
    ended = yard("dataset", "list")
    assert ended.code == 1
    assert len(ended.err.splitlines()) == 1
    assert "YARD_DEBUG" in ended.err


def test_login_is_remembered_and_logout_forgets(
    yard: Any, here: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("YARD_TOKEN")
    monkeypatch.delenv("YARD_ADDRESS")
    assert yard("login", address, "--name", "alice", "--password-file", "no").code == 1
    (here / "password").write_text("right\n")
    assert yard("login", address, "--name", "alice", "--password-file", "password").code == 0
    path = config_path({"HOME": str(here)})
    assert path.stat().st_mode & 0o777 == 0o600
    assert read(path).logins[address].token == TOKEN
    shown = yard("whoami", "-o", "json").json
    assert (shown["name"], shown["address"]) == ("alice", address)
    assert yard("logout").code == 0
    assert yard("whoami").code == 1


def test_a_wrong_password_is_told(yard: Any, here: Path) -> None:
    (here / "password").write_text("wrong")
    ended = yard("login", "--name", "alice", "--password-file", "password")
    assert ended.code == 1
    assert "[bad_login]" in ended.err


def test_nobody_is_asked_where_nobody_is(yard: Any) -> None:
    ended = yard("login", "--name", "alice")
    assert ended.code == 1
    assert "[nobody_to_ask]" in ended.err


def test_an_api_key_works_as_well(yard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YARD_TOKEN")
    monkeypatch.setenv("YARD_API_KEY", KEY)
    assert yard("whoami").code == 0


@pytest.mark.row("T12")
def test_a_job_is_followed_to_its_end(yard: Any, things: dict[str, str]) -> None:
    ended = yard("job", "run", "image-classifier", "digits", "-p", "epochs=3", "--follow")
    assert ended.code == 0
    assert ended.out.startswith("epoch 1\nepoch 2\nsucceeded\naccuracy 0.9700")
    assert "running" in ended.err


def test_a_failed_job_fails_the_command(yard: Any, stub: Stub, things: dict[str, str]) -> None:
    stub.job_state = "failed"
    ended = yard("job", "run", "image-classifier", "digits", "--follow", "-o", "json")
    assert ended.code == 1
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert lines[0] == {"text": "epoch 1\n"}
    assert lines[-1]["state"] == "failed"


def test_a_job_names_the_versions_that_it_saw(yard: Any, stub: Stub, things: dict[str, str]) -> None:
    yard("dataset", "online", "digits")
    yard("job", "run", "image-classifier", "digits", "-p", "epochs=3", "-p", "augment=yes", "--time-limit", "2m")
    body = stub.calls("POST", "/jobs$")[-1].json
    assert body["dataset_after"] == stub.things["datasets"][things["dataset"]]["version"]
    assert body["parameters"] == {"epochs": 3, "augment": True}
    assert body["split"] == {"ratio": 0.8, "seed": 0}
    assert body["time_limit_seconds"] == 120


@pytest.mark.row("D9")
def test_a_job_trains_on_a_set_and_validates_on_another(yard: Any, stub: Stub, things: dict[str, str]) -> None:
    def asked(*words: str) -> dict[str, Any]:
        ended = yard("job", "run", "image-classifier", *words)
        assert ended.code == 0, ended.err
        body: dict[str, Any] = stub.calls("POST", "/jobs$")[-1].json
        return {name: body[name] for name in ("dataset_id", "formatted_set_id", "validation", "split") if name in body}

    most = stub.add("formatted-sets", "set", name="most", state="ready", complement={"id": None})["id"]
    rest = stub.add("formatted-sets", "set", name="rest", state="ready", complement={"id": most})["id"]
    stub.things["formatted-sets"][most]["complement"]["id"] = rest
    of_sets = {"formatted_set_id": most, "validation": {"formatted_set_id": rest}, "split": None}
    assert asked("--set", "most", "--validation-set", "rest") == of_sets
    assert asked("--set", "most", "--validation-set", "complement") == of_sets
    digits = things["dataset"]
    part = {"dataset_id": digits, "part": "test", "version": 2}
    words = ("--validation", "digits", "--validation-part", "test", "--validation-version", "2")
    assert asked("digits", *words) == {"dataset_id": digits, "validation": part, "split": None}
    half = {"ratio": 0.5, "seed": 0}
    assert asked("digits", "--ratio", "0.5", "--validation-set", "rest")["split"] == half
    stub.things["formatted-sets"][most]["complement"]["id"] = None
    made = asked("--set", "most", "--validation-set", "complement")["validation"]
    assert made["formatted_set_id"] not in (most, rest)


@pytest.mark.row("D9")
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("digits", "--set", "most"),
        ("digits", "--validation", "digits", "--validation-set", "rest"),
        ("digits", "--validation-version", "2"),
        ("digits", "--validation-set", "complement"),
    ],
)
def test_what_to_train_on_is_named_once(yard: Any, things: dict[str, str], words: tuple[str, ...]) -> None:
    ended = yard("job", "run", "image-classifier", *words)
    assert ended.code == 1
    assert "Name" in ended.err or "go with" in ended.err or "goes with" in ended.err


@pytest.mark.row("T19")
def test_who_gives_way_is_told_until_when(yard: Any, stub: Stub, things: dict[str, str]) -> None:
    job = stub.things["jobs"][things["job"]]
    job |= {"state": "queued", "giving_way": {"sentences": ["It gives way.", "Then it waits in its place."]}}
    assert yard("job", "why", "training").out == "It gives way.\nThen it waits in its place.\n"
    job["state"] = "queued"
    assert "It gives way. Then it waits in its place." in yard("job", "show", "training").out


@pytest.mark.row("T11")
def test_curves_are_drawn(yard: Any, things: dict[str, str]) -> None:
    shown = yard("job", "metrics", "training", "--plot").out
    assert "accuracy 0.9" in shown
    assert "loss 0.1" in shown
    followed = yard("job", "metrics", "training", "--follow").out.splitlines()
    assert len(followed) == 20


def test_the_command_starts_fast_and_without_what_it_does_not_need() -> None:
    script = "import sys; import yard.cli.main; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    for heavy in ("'httpx2'", "'rich.table'", "'sklearn'", "'numpy'", "'fastapi'"):
        assert heavy not in loaded


def test_the_version_is_told(yard: Any) -> None:
    assert yard("--version").out.strip()


def test_versions_are_compared_and_the_history_is_told(yard: Any, stub: Stub) -> None:
    stub.add("datasets", "ds", name="pets", state="ready", online=False)
    shown = yard("dataset", "diff", "pets", "1", "2").out
    assert "renamed  a/1.png" in shown
    assert "b/1.png" in shown
    assert shown.endswith("1 renamed (9 B)\n")
    told = yard("dataset", "history", "pets").out
    assert "name: a → b" in told
    assert yard("dataset", "history", "pets", "-n", "1", "-o", "json").json[0]["deed"] == "renamed"
    assert "v1" in yard("dataset", "edit", "pets", "--version", "1", "--name", "v1").out


@pytest.mark.row("D5", "P7")
def test_a_version_in_figures(yard: Any, stub: Stub) -> None:
    version = {"number": 3, "files": 3}
    stub.add("datasets", "ds", name="pets", state="ready", online=False, current_version=version)
    stub.add("datasets", "ds", name="new", state="empty", online=False, current_version=None)
    shown = yard("dataset", "details", "pets").out
    assert "cat: 2, 5 objects" in shown
    assert "8 to 25, median 8, mean 14" in shown
    assert f"0-9 {'█' * 30} 2" in shown
    assert "cat + dog: 1" in shown
    assert "Person LivesIn Place: 1" in shown
    assert yard("dataset", "details", "pets", "-o", "json").json["version"] == 3
    assert "[dataset_empty]" in yard("dataset", "details", "new").err
