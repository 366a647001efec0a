"""What `YARD_RUNTIME_URL` says becomes what the runtime does."""

from pathlib import Path

import pytest

from common.docker import engine_url
from common.files.local import LocalFiles
from common.hosting.settings import MachineSettings
from common.hosting.workplaces import docker_settings, open_workplace
from common.kernel.clock import SystemClock
from common.kernel.errors import Invalid
from common.runtime.docker import DockerRuntime, DockerSettings


def test_docker_alone_is_the_engine_of_this_machine() -> None:
    assert engine_url("docker:") == "unix:///var/run/docker.sock"
    assert docker_settings("docker:") == DockerSettings()


def test_address_and_options_are_told_apart() -> None:
    url = "docker:unix:///run/other.sock?base=python:3.12-slim&internet=yes&accelerators=gpu,npu&host=/data:/srv/yard"
    assert engine_url(url.partition("?")[0]) == "unix:///run/other.sock"
    assert docker_settings(url) == DockerSettings(
        base_image="python:3.12-slim",
        internet=True,
        accelerators=("gpu", "npu"),
        host_paths={Path("/data"): Path("/srv/yard")},
    )


@pytest.mark.parametrize("url", ["docker:?bases=x", "docker:?reached_by=anybody"])
def test_an_option_that_it_does_not_know_is_refused(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        docker_settings(url)
    assert caught.value.code == "bad_runtime"


@pytest.mark.parametrize("url", ["docker:/var/run/docker.sock", "docker:ssh://host", "podman:"])
def test_an_address_that_it_does_not_know_is_refused(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        engine_url(url)
    assert caught.value.code == "bad_runtime"


async def test_a_service_that_only_builds_engines_ends_well_on_docker(tmp_path: Path) -> None:
    """Nobody has started its runtime."""
    settings = MachineSettings(home=tmp_path)
    place = open_workplace("docker:", settings, LocalFiles(tmp_path / "files"), SystemClock())
    await place.runtime.close()


@pytest.mark.row("D11")
async def test_containers_may_mount_the_shared_file_systems(tmp_path: Path) -> None:
    settings = MachineSettings(home=tmp_path, shared_roots={"lab": tmp_path / "lab"}, writable_roots=("lab",))
    place = open_workplace("docker:", settings, LocalFiles(tmp_path / "files"), SystemClock())
    assert isinstance(place.runtime, DockerRuntime)
    assert place.runtime.settings.roots == (tmp_path / "lab",)
    await place.runtime.close()
    with pytest.raises(ValueError, match="home"):
        MachineSettings(home=tmp_path, writable_roots=("home",))
