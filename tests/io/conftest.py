"""Small products, a pretend object store, and places to put a product."""

from __future__ import annotations

import importlib.util
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator


def _load(name: str) -> Any:
    # The tests are no package, so that installing them by mistake is impossible.
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def factory() -> Any:
    """Functions that write small products, see safe_factory.py."""
    return _load("safe_factory")


@pytest.fixture(scope="session")
def layouts() -> Any:
    """Functions that bring a product into other layouts, see layout_factory.py."""
    return _load("layout_factory")


@pytest.fixture(scope="session")
def product(factory, tmp_path_factory) -> Any:
    """A product of baseline 05.10 without TLM; not to be written to."""
    return factory.make_safe(tmp_path_factory.mktemp("safe"))


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Address of an S3 server on this machine."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_options(s3_endpoint) -> dict[str, Any]:
    """Storage options of that server."""
    return {
        "key": "test",
        "secret": "test",
        "endpoint_url": s3_endpoint,
        "client_kwargs": {"region_name": "us-east-1"},
    }


@pytest.fixture
def bucket(s3_endpoint) -> str:
    """Name of a new bucket."""
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket=name)
    return name


@pytest.fixture
def memory() -> Iterator[str]:
    """Folder of the in-memory file system."""
    folder = f"memory://{uuid.uuid4().hex}"
    yield folder
    fs = fsspec.filesystem("memory")
    if fs.exists(folder):
        fs.rm(folder, recursive=True)
