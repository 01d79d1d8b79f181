"""S3 servers in processes of their own: versitygw, which is a real one, or moto."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY, SECRET = "soak-key", "soak-secret-0123"
VERSION = "v1.7.0"


def versitygw() -> str:
    """Path of the server's program, empty if it was not built (see .ci/versitygw)."""
    home = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    folder = Path(os.environ.get("S2CLOUD_CACHE", f"{home}/s2cloud"))
    path = folder / f"versitygw-{VERSION}"
    return str(path) if path.exists() else shutil.which("versitygw") or ""


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


@dataclass
class S3Server:
    """One server on loopback; its buckets outlive a restart where it keeps them on disk."""

    folder: Path
    program: str = field(default_factory=versitygw)
    port: int = field(default_factory=free_port)
    certificate: tuple[Path, Path] | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return f"versitygw {VERSION}" if self.program else "moto"

    @property
    def endpoint(self) -> str:
        return f"http{'s' if self.certificate else ''}://127.0.0.1:{self.port}"

    @property
    def options(self) -> dict[str, Any]:
        region = {"region_name": "us-east-1"}
        return {
            "key": KEY,
            "secret": SECRET,
            "endpoint_url": self.endpoint,
            "client_kwargs": region,
        }

    def start(self) -> None:
        data, side = self.folder / "data", self.folder / "side"
        data.mkdir(parents=True, exist_ok=True)
        side.mkdir(exist_ok=True)
        if self.program:
            words = [self.program, "--port", f"127.0.0.1:{self.port}", "--quiet"]
            words += ["--access", KEY, "--secret", SECRET]
            if self.certificate:
                words += ["--cert", str(self.certificate[0]), "--key", str(self.certificate[1])]
            words += ["posix", "--sidecar", str(side), str(data)]
        else:
            words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(  # noqa: S603
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)
        raise TimeoutError(f"{self.name} did not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def path(self, key: str) -> str:
        """Where a server that keeps objects as files has one, empty for others."""
        return str(self.folder / "data" / key) if self.program else ""

    def make_bucket(self, name: str) -> None:
        if self.program:
            (self.folder / "data" / name).mkdir()
            return
        import boto3  # noqa: PLC0415

        boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
        ).create_bucket(Bucket=name)


@contextlib.contextmanager
def served(folder: Path, bucket: str = "soak", **options: Any) -> Iterator[S3Server]:
    """A running server with one bucket."""
    server = S3Server(folder, **options)
    server.start()
    try:
        server.make_bucket(bucket)
        yield server
    finally:
        server.kill()
