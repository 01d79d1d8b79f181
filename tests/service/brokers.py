"""Real brokers on free ports of this machine, for the time of a test."""

from __future__ import annotations

import base64
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_KAFKA = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{control}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{control}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
num.partitions=2
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
"""
_RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes], within: float) -> None:
    deadline = time.monotonic() + within
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            assert process.poll() is None, f"broker ended with {process.returncode}"
            assert time.monotonic() < deadline, "broker does not listen"
            time.sleep(0.1)
        else:
            return


@contextmanager
def _process(
    words: list[str], port: int, folder: Path, environment: dict[str, str] | None = None
) -> Iterator[None]:
    with (
        (folder / "broker.log").open("wb") as log,
        subprocess.Popen(  # noqa: S603
            words,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=os.environ | (environment or {}),
            start_new_session=True,
        ) as process,
    ):
        try:
            _wait(port, process, 60.0)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _needs(program: str) -> str:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/bin")
    if found is None:
        pytest.skip(f"no {program}: .ci/brokers installs it")
    return found


@contextmanager
def nats(folder: Path) -> Iterator[str]:
    """JetStream; its address."""
    port = free_port()
    words = [_needs("nats-server"), "-js", "-sd", str(folder), "-a", "127.0.0.1", "-p", str(port)]
    with _process(words, port, folder):
        yield f"nats://127.0.0.1:{port}"


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Redis; its address."""
    port = free_port()
    words = [_needs("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with _process(words, port, folder):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def kafka(folder: Path) -> Iterator[str]:
    """Kafka, broker and controller in one process; its address."""
    script = Path(__file__).parents[2] / ".ci" / "kafka"
    found = subprocess.run(["/bin/bash", script], capture_output=True, text=True, check=False)  # noqa: S603
    if found.returncode:
        pytest.skip(found.stderr.strip())
    port, control = free_port(), free_port()
    settings = folder / "server.properties"
    settings.write_text(
        _KAFKA.format(port=port, control=control, data=folder / "data"), encoding="ascii"
    )
    java = [_needs("java"), "-Xmx256m", "-cp", f"{found.stdout.strip()}/*"]
    identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    words = ["kafka.tools.StorageTool", "format", "-t", identity, "-c", str(settings)]
    subprocess.run([*java, *words], capture_output=True, check=True)  # noqa: S603
    with _process([*java, "kafka.Kafka", str(settings)], port, folder):
        yield f"127.0.0.1:{port}"


@contextmanager
def rabbit() -> Iterator[str]:
    """RabbitMQ; its address."""
    if not _RABBIT.exists():
        pytest.skip("no rabbitmq-server: .ci/brokers installs it")
    # Not below pytest's folders, which only their owner may enter.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield from _rabbit(Path(folder))


def _rabbit(home: Path) -> Iterator[str]:
    port, mapper, between = free_port(), free_port(), free_port()
    words = [str(_RABBIT)]
    if os.getuid() == 0:
        # Erlang's cookie and RabbitMQ's folders must belong to who runs it.
        user = pwd.getpwnam("rabbitmq")
        os.chown(home, user.pw_uid, user.pw_gid)
        identity = ["--reuid=rabbitmq", "--regid=rabbitmq", "--clear-groups"]
        words = [_needs("setpriv"), *identity, *words]
    (home / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\n", encoding="ascii")
    environment = {
        "HOME": str(home),
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_DIST_PORT": str(between),
        "ERL_EPMD_PORT": str(mapper),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(home / "flags"),
        "LANG": "C.UTF-8",
    }
    (home / "plugins").write_text("[].\n", encoding="ascii")
    with _process(words, port, home, environment):
        yield f"amqp://guest@127.0.0.1:{port}/"
    subprocess.run(  # noqa: S603
        [_needs("epmd"), "-port", str(mapper), "-kill"], capture_output=True, check=False
    )
