"""The containers: the same services as the local stack, every part pinned, nothing open to the outside."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from churn.settings import Settings
from compose.bootstrap import KAFKA_VERSION
from compose.local import SERVICES, LocalStack, Service

ROOT = Path(__file__).parents[2]
FILE = ROOT / "compose" / "docker-compose.yml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text())
CONTAINERS: dict[str, dict[str, Any]] = DOCUMENT["services"]
OURS = {name: each for name, each in CONTAINERS.items() if "build" in each}
each_service = pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
each_container = pytest.mark.parametrize("name", CONTAINERS)


def churn_variables(container: dict[str, Any]) -> set[str]:
    return {name for name in container.get("environment", {}) if name.startswith("CHURN_")}


def compose_schema() -> dict[str, Any]:
    # Read as a file: the package's own command line is not needed for it.
    spec = importlib.util.find_spec("check_jsonschema")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_file_keeps_to_the_compose_specification() -> None:
    errors = jsonschema.Draft7Validator(compose_schema()).iter_errors(DOCUMENT)
    assert [error.message for error in errors] == []


@each_service
def test_container_runs_the_command_of_the_local_service(service: Service) -> None:
    assert tuple(CONTAINERS[service.name]["command"]) == service.command


@each_service
def test_container_listens_and_is_published_on_the_port_of_the_local_service(service: Service) -> None:
    container = CONTAINERS[service.name]
    assert container["environment"][service.port_variable] == str(service.default_port)
    assert container["ports"] == [f"127.0.0.1:{service.default_port}:{service.default_port}"]


@each_service
def test_container_gets_the_variables_of_the_local_service_and_a_shared_mlflow(
    service: Service, tmp_path: Path
) -> None:
    local = {name for name in LocalStack(tmp_path).environment() if name.startswith("CHURN_")}
    expected = local | {service.port_variable, "CHURN_MLFLOW_TRACKING_URI"}
    assert churn_variables(CONTAINERS[service.name]) == expected


def test_no_worker_runs_in_containers_alone() -> None:
    long_running = {name for name, each in OURS.items() if each["command"][0] in {"worker", "api"}}
    assert long_running == {service.name for service in SERVICES}


@each_container
def test_every_variable_is_a_setting(name: str) -> None:
    assert churn_variables(CONTAINERS[name]) <= {f"CHURN_{field.upper()}" for field in Settings.model_fields}


@each_container
def test_every_image_is_pinned_to_a_release(name: str) -> None:
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(-alpine)?", CONTAINERS[name]["image"])


def test_kafka_is_of_the_version_that_runs_locally() -> None:
    assert CONTAINERS["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


@each_container
def test_ports_are_published_on_loopback_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in CONTAINERS[name].get("ports", []))


@each_container
def test_whoever_waits_for_health_waits_for_someone_who_reports_it(name: str) -> None:
    for other, condition in CONTAINERS[name].get("depends_on", {}).items():
        assert other in CONTAINERS
        if condition["condition"] == "service_healthy":
            assert CONTAINERS[other]["healthcheck"]["test"][0] == "CMD"


@each_service
def test_services_start_after_the_seed_is_done(service: Service) -> None:
    assert CONTAINERS[service.name]["depends_on"]["seed"] == {"condition": "service_completed_successfully"}


@pytest.mark.parametrize("name", OURS)
def test_our_containers_are_confined(name: str) -> None:
    container = OURS[name]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert (ROOT / container["build"]["dockerfile"]).is_file()


def test_redis_keeps_a_user_in_a_listpack() -> None:
    command = " ".join(CONTAINERS["redis"]["command"])
    assert "--hash-max-listpack-entries 512" in command
    assert "--hash-max-listpack-value 64" in command


def test_mounted_files_exist() -> None:
    volumes = [volume for each in CONTAINERS.values() for volume in each.get("volumes", [])]
    sources = [volume.split(":")[0] for volume in volumes if volume.startswith(".")]
    assert [source for source in sources if not (FILE.parent / source).exists()] == []


def test_named_volumes_are_declared() -> None:
    volumes = [volume for each in CONTAINERS.values() for volume in each.get("volumes", [])]
    used = {volume.split(":")[0] for volume in volumes if not volume.startswith(".")}
    assert used == set(DOCUMENT["volumes"])


def test_mlflow_answers_to_the_name_it_is_called_by() -> None:
    assert CONTAINERS["api"]["environment"]["CHURN_MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    assert "--allowed-hosts=mlflow:5000,localhost:5000,127.0.0.1:5000" in CONTAINERS["mlflow"]["command"]
