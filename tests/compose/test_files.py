"""What can be told of docker-compose.yml, its variables and the Dockerfiles without starting anything."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any, ClassVar

import pytest
import yaml

from tests.compose.context import SERVICES, copied, fresh_environment
from tests.compose.running import said_of
from tests.support.cluster import DATABASES
from tests.support.process import REPOSITORY

FILE = REPOSITORY / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(?::?([-?])([^}]*))?\}")
LIBRARY = re.compile(r"\n# Besides Python.*?FROM system\n", re.DOTALL)
USERS_OF_DOCKER = {"algo-svc", "train-svc", "serving-svc"}


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return loaded


@pytest.fixture(scope="module")
def inside() -> ModuleType:
    spec = importlib.util.spec_from_file_location("inside", REPOSITORY / "docker" / "inside.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dockerfile(service: str) -> str:
    return (REPOSITORY / "services" / service / "Dockerfile").read_text()


def named_alike(service: str) -> str:
    """A Dockerfile without its service's name and without what only one has; the first comment's lines may break
    elsewhere."""
    text = LIBRARY.sub("\nFROM platform\n", dockerfile(service))
    return text.replace(service, "NAME").replace(service.replace("-", "_"), "NAME").partition("ARG PYTHON_IMAGE")[2]


def test_nothing_starts_without_secrets_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    refused = said_of(folder, "config", "--quiet")
    assert refused.returncode != 0
    assert re.search(r"\w+ is not set; run python3 docker/fresh_env\.py", refused.stderr)
    fresh_environment(folder)
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    assert said_of(folder, "config", "--quiet").stderr == ""
    shown: dict[str, Any] = yaml.safe_load(said_of(folder, "config", GATEWAY_LISTEN="127.0.0.1:8080-8081").stdout)
    assert shown["services"]["gateway"]["ports"] == ["127.0.0.1:8080-8081:8000/tcp"]


def test_each_secret_is_drawn_and_an_upgrade_adds_what_is_new(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    fresh_environment(folder)
    first = (folder / ".env").read_text()
    drawn = re.findall(r"^([A-Z0-9_]+(?:PASSWORD|SECRET|KEY))=(.+)$", first, re.MULTILINE)
    assert len(drawn) == len({value for _, value in drawn}) == 12
    assert all(len(value) >= 34 for _, value in drawn)
    with (folder / ".env.example").open("a") as example:
        example.write("\n# New in this version.\nNEW_SECRET=\n#OPTIONAL=1\n")
    assert "added: NEW_SECRET, OPTIONAL" in fresh_environment(folder)
    now = (folder / ".env").read_text()
    assert now.startswith(first)
    assert re.search(r"\n# New in this version\.\nNEW_SECRET=[0-9a-f]{64}\n#OPTIONAL=1\n\Z", now)
    assert "added: nothing" in fresh_environment(folder)


def test_every_variable_is_explained_with_its_default() -> None:
    used: dict[str, str | None] = dict.fromkeys(("UV_DEFAULT_INDEX", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"))
    for name, kind, value in VARIABLE.findall(FILE.read_text()):
        if kind == "?":
            assert value == f"{name} is not set; run python3 docker/fresh_env.py"
        used[name] = value if kind == "-" and value else used.get(name)
    explained = dict(re.findall(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", (REPOSITORY / ".env.example").read_text(), re.MULTILINE))
    assert set(used) == set(explained)
    assert {name: explained[name] for name, value in used.items() if value} == {n: v for n, v in used.items() if v}


def test_the_services_of_the_house_are_those_of_the_file(described: dict[str, Any]) -> None:
    ours = {one.parent.name for one in REPOSITORY.glob("services/*/pyproject.toml")}
    assert ours == set(SERVICES)
    for name in ours:
        one = described["services"][name]
        assert one["build"]["dockerfile"] == f"services/{name}/Dockerfile"
        assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:-modelyard/" + name + r"\}", one["image"])
        assert (one["read_only"], one["cap_drop"]) == (True, ["ALL"])
        assert one["security_opt"] == ["no-new-privileges:true"]
        assert "healthcheck" not in one  # the image's own, which asks /readyz
    waiting = {name: described["services"][name]["depends_on"] for name in ours}
    assert all({"postgres", "rabbitmq", "s3"} <= set(one) for one in waiting.values())


def test_only_the_gateway_is_published_and_only_three_have_docker(described: dict[str, Any]) -> None:
    services = described["services"]
    assert [name for name, one in services.items() if "ports" in one] == ["gateway"]
    assert {name for name, one in services.items() if "docker.sock" in str(one.get("volumes"))} == USERS_OF_DOCKER
    assert {name for name, one in services.items() if "group_add" in one} == USERS_OF_DOCKER
    assert all("privileged" not in one for one in services.values())
    assert all("healthcheck" in one for name, one in services.items() if name not in SERVICES)
    profiles = {name for name, one in services.items() if one.get("profiles") == ["observability"]}
    assert profiles == {"prometheus", "jaeger"}


def test_every_stock_image_can_be_another(described: dict[str, Any]) -> None:
    for one in described["services"].values():
        assert re.fullmatch(r"\$\{[A-Z0-9]+_IMAGE:-[^:}]+(:[^}]+)?\}", one["image"])


def test_dockerfiles_share_all_but_the_service(inside: ModuleType) -> None:
    assert dockerfile("dataset-svc").endswith(' "dataset_svc"]\n')
    library = LIBRARY.search(dockerfile("dataset-svc"))
    assert library is not None
    assert library[0].index("USER root") < library[0].index("USER 10001:10001") < library[0].index("FROM system\n")
    common = {named_alike(name) for name in SERVICES}
    assert len(common) == 1
    [text] = common
    assert re.findall(r"^FROM .*", text, re.MULTILINE) == [
        "FROM ${PYTHON_IMAGE} AS libraries",
        "FROM ${PYTHON_IMAGE} AS platform",
        "FROM libraries AS code",
        "FROM platform",
    ]
    assert re.findall(r"^USER .*", text, re.MULTILINE) == ["USER 10001:10001"]
    assert f'CMD ["python", "/opt/modelyard/inside.py", "{inside.READY}"]' in text


def test_a_database_for_each_service_and_for_learning_curves() -> None:
    script = (REPOSITORY / "docker" / "postgres-databases.sh").read_text()
    made = re.findall(r'^make (\w+) "\$([A-Z]+)_DATABASE_PASSWORD"$', script, re.MULTILINE)
    assert {name for name, _ in made} == {one.replace("-", "_") for one in DATABASES}
    assert all(name.startswith(owner.lower()) for name, owner in made)


def test_prometheus_asks_every_service() -> None:
    [ours, _] = yaml.safe_load((REPOSITORY / "docker" / "prometheus.yml").read_text())["scrape_configs"]
    [found] = ours["dns_sd_configs"]
    assert (sorted(found["names"]), found["port"]) == (sorted(SERVICES), 9000)
    assert "YARD_OPERATOR_PORT=9000" in dockerfile("gateway")


def test_secrets_stay_out_of_git_and_of_images() -> None:
    assert ".env" in (REPOSITORY / ".gitignore").read_text().splitlines()
    rules = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert next(rule for rule in rules if not rule.startswith("#")) == "*"
    assert not any(rule.startswith("!") and ".env" in rule for rule in rules)


class _Stub(BaseHTTPRequestHandler):
    status = 200
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b'{"code": "not_ready", "missing": {"bus": "it is away"}}')

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def stub() -> Iterator[dict[str, str]]:
    with HTTPServer(("127.0.0.1", 0), _Stub) as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield {"YARD_HOST": "127.0.0.1", "YARD_PORT": str(server.server_port)}
        server.shutdown()


@pytest.mark.parametrize("status", [200, 503])
def test_healthy_means_ready(
    inside: ModuleType, stub: dict[str, str], status: int, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setattr(_Stub, "status", status)
    monkeypatch.setattr(_Stub, "asked", [])
    assert inside.is_ready(stub) is (status == 200)
    assert _Stub.asked == ["/readyz"]
    assert ("it is away" in capsys.readouterr().out) is (status == 503)


def test_a_network_to_listen_on_is_the_address_in_it(inside: ModuleType) -> None:
    assert inside.environment({"YARD_HOST": "127.0.0.0/8", "OTHER": "10.0.0.0/8"}) == {
        "YARD_HOST": "127.0.0.1",
        "OTHER": "10.0.0.0/8",
    }
    assert inside.own_address("0.0.0.0") == "0.0.0.0"
    with pytest.raises(ValueError, match=r"no address in 198\.51\.100\.0/24"):
        inside.own_address("198.51.100.0/24")
