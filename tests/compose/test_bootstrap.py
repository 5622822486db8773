import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from compose import bootstrap
from compose.kafka import KafkaServer
from compose.local import free_ports
from compose.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Return a parts folder that already holds the jars."""
    source = bootstrap.kafka_jars()
    shutil.copytree(
        source, tmp_path / source.name, copy_function=os.link if same_device(source, tmp_path) else shutil.copy
    )
    return tmp_path


def same_device(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def test_locked_jars_are_kafka_and_what_it_needs() -> None:
    locked = bootstrap.locked_jars()
    assert len(locked) == 46
    assert {f"kafka_2.13-{bootstrap.KAFKA_VERSION}.jar", "slf4j-simple-1.7.36.jar"} <= set(locked)


def test_fetched_jars_have_the_locked_hashes() -> None:
    jars = bootstrap.kafka_jars().glob("*.jar")
    digests = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars}
    assert digests == bootstrap.locked_jars()


def test_complete_folder_is_used_without_fetching(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "fetch_jars", pytest.fail)
    assert bootstrap.kafka_jars(filled).parent == filled


def test_altered_jar_is_named(filled: Path) -> None:
    jar = bootstrap.kafka_jars(filled) / "slf4j-api-1.7.36.jar"
    jar.unlink()
    jar.write_bytes(b"something else")
    with pytest.raises(bootstrap.MissingPartError, match=r"missing or not what .*: slf4j-api-1.7.36.jar"):
        bootstrap.verify_jars(jar.parent)


@pytest.mark.timeout(600)
def test_incomplete_folder_is_replaced_whole_by_jgo_alone(filled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bootstrap.kafka_jars(filled)
    (folder / "kafka_2.13-4.1.1.jar").unlink()
    (filled / "fetch-of-a-killed-run").mkdir()
    monkeypatch.setenv("PATH", "/nonexistent")
    assert bootstrap.kafka_jars(filled) == folder
    bootstrap.verify_jars(folder)
    assert sorted(path.name for path in filled.iterdir()) == [".lock", folder.name]


def test_second_process_waits_for_the_first_and_fetches_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from compose import bootstrap\n"
        "bootstrap.fetch_jars = lambda parts, folder: sys.exit('fetched twice')\n"
        "print(bootstrap.kafka_jars(pathlib.Path(sys.argv[1])))"
    )
    folder = bootstrap.kafka_jars()
    with bootstrap.exclusive(tmp_path / ".lock"):
        argv = [sys.executable, "-c", code, str(tmp_path)]
        second = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert second.stderr is not None
        assert "Waiting for another process" in second.stderr.readline()
        shutil.copytree(folder, tmp_path / folder.name)
    out, err = second.communicate(timeout=60)
    assert (out.strip(), err) == (str(tmp_path / folder.name), "")


def test_unreachable_maven_central_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with pytest.raises(
        bootstrap.MissingPartError, match=r"could not be fetched .*mvn is not on the PATH; jgo: .*check the network"
    ):
        bootstrap.kafka_jars(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_java_that_is_too_old_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place_program(tmp_path / "java", 'openjdk version "11.0.2" 2019-01-15')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert bootstrap.path_java() is None


def test_redis_that_is_too_old_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place_program(tmp_path / "redis-server", "Redis server v=6.2.14 sha=0 bits=64")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert bootstrap.path_redis() is None


def test_stub_that_cannot_run_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # macOS has such a /usr/bin/java: it is there, and asks for a Java to be installed.
    place_program(tmp_path / "java", 'openjdk version "21.0.2"', exit_code=1)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert bootstrap.path_java() is None


def place_program(path: Path, first_line: str, exit_code: int = 0) -> None:
    path.write_text(f"#!/bin/sh\necho '{first_line}'\nexit {exit_code}\n")
    path.chmod(0o755)


def test_missing_java_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "path_java", lambda: None)
    monkeypatch.setattr(bootstrap, "wheel_java", lambda: None)
    with pytest.raises(bootstrap.MissingPartError, match=r"no Java 17 or newer.*make setup.*openjdk-17"):
        bootstrap.java_binary.__wrapped__()


def test_missing_redis_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "path_redis", lambda: None)
    monkeypatch.setattr(bootstrap, "wheel_redis", lambda: None)
    with pytest.raises(bootstrap.MissingPartError, match=r"no redis-server 7 or newer.*make setup.*redis-server"):
        bootstrap.redis_binary.__wrapped__()


def test_parts_of_an_installed_package_go_to_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "__file__", str(tmp_path / "site-packages" / "compose" / "bootstrap.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert bootstrap.parts_folder() == tmp_path / "cache" / "churn-system" / "parts"


def test_kafka_runs_on_the_java_of_the_wheel(tmp_path: Path) -> None:
    java = bootstrap.wheel_java()
    assert java is not None
    port, controller_port = free_ports(2)
    server = KafkaServer(tmp_path, port, controller_port, java=java)
    server.start()
    server.stop()
    assert str(java) in server.process.process.args  # type: ignore[operator]  # Popen.args is a list here


def test_redis_of_the_wheel_keeps_a_row_of_512_fields_compact(tmp_path: Path) -> None:
    binary = bootstrap.wheel_redis()
    assert binary is not None
    server = RedisServer(tmp_path, free_ports(1)[0], binary=binary)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.hset("user", mapping={f"{field:04}": "x" * 64 for field in range(512)})
        encoding = client.object("encoding", "user")
    server.stop()
    assert encoding == b"listpack"
