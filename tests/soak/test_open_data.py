"""The open data on AWS as they lie there, on a real S3 server and on moto: who asks, who pays."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import xarray as xr
from typing_extensions import override

import s2cloud as s2
from s2cloud.io.stores import open_store
from s2cloud.model.errors import UnavailableError
from tests.io.layout_factory import aws
from tests.soak.proxy import broken, requests_so_far
from tests.soak.servers import KEY, SECRET, S3Server, served, versitygw

if TYPE_CHECKING:
    from collections.abc import Iterator

BAND = "measurements/reflectance/r10m/b02"
MASK = "conditions/mask/detector_footprint/r20m/b05"


@pytest.fixture(scope="module", params=["versitygw", "moto"])
def server(request, tmp_path_factory) -> Iterator[S3Server]:
    program = versitygw() if request.param == "versitygw" else ""
    if request.param == "versitygw" and not program:
        pytest.skip("no versitygw: run .ci/versitygw")
    with served(tmp_path_factory.mktemp(request.param), program=program) as running:
        yield running


@pytest.fixture(scope="module")
def archive(server, small_safe, tmp_path_factory) -> tuple[str, str]:
    """Addresses of a tile and of its product."""
    bucket = tmp_path_factory.mktemp("bucket")
    folders = aws(Path(small_safe.uri), bucket)
    store = open_store("s3://soak", server.options)
    for path in bucket.rglob("*"):
        if path.is_file():
            store.put_file(path, path.relative_to(bucket).as_posix())
    tile, product = (f"s3://soak/{folder.relative_to(bucket).as_posix()}" for folder in folders)
    return tile, product


@pytest.fixture(scope="module")
def expected(small_safe) -> xr.DataTree:
    return s2.open_l1c(small_safe.uri)


def assert_read(tree: xr.DataTree, expected: xr.DataTree) -> None:
    for name in (BAND, MASK):
        xr.testing.assert_equal(tree[name].compute(), expected[name].compute())
    place = "conditions/geometry"
    xr.testing.assert_identical(tree[place].to_dataset(), expected[place].to_dataset())


@pytest.mark.parametrize("place", ["tile", "product"])
def test_the_requester_pays_for_every_request(server, archive, expected, place):
    address = archive[0] if place == "tile" else archive[1]
    with broken(server.port, "500", 0.0, 1) as endpoint:
        options = {**server.options, "endpoint_url": endpoint, "requester_pays": True}
        assert_read(s2.open_l1c(address, storage_options=options), expected)
        seen = requests_so_far(endpoint)
    kinds = {request.split(" ")[0] for request, _, _ in seen}
    assert "GET" in kinds
    assert len(seen) > 10
    assert [request for request, payer, _ in seen if payer != "requester"] == []
    assert all(signature.startswith("AWS4-HMAC-SHA256") for _, _, signature in seen)


def test_nothing_is_signed_for_anonymous_readers(server, archive, expected):
    with pytest.raises(UnavailableError, match="access refused"):
        s2.open_l1c(archive[0], storage_options={**anonymous(server), "anon": True})
    allow = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"]}
    places = ["arn:aws:s3:::soak", "arn:aws:s3:::soak/*"]
    text = json.dumps({"Version": "2012-10-17", "Statement": [{**allow, "Resource": places}]})
    client(server).put_bucket_policy(Bucket="soak", Policy=text)
    if not server.program:
        # moto asks the single object as well.
        for key in open_store("s3://soak", server.options).find():
            client(server).put_object_acl(Bucket="soak", Key=key, ACL="public-read")
    with broken(server.port, "500", 0.0, 1) as endpoint:
        options = {**anonymous(server), "endpoint_url": endpoint, "anon": True}
        assert_read(s2.open_l1c(archive[0], storage_options=options), expected)
        seen = requests_so_far(endpoint)
    assert len(seen) > 10
    assert {signature for _, _, signature in seen} == {""}


def anonymous(server: S3Server) -> dict[str, Any]:
    return {k: v for k, v in server.options.items() if k not in {"key", "secret"}}


def client(server: S3Server) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )


def test_a_text_list_on_s3(server, archive, expected):
    lines = f"# two addresses\n{archive[0]}\n\n{archive[1]}/metadata.xml\n"
    open_store("s3://soak", server.options).write("lists/today.txt", lines.encode())
    found = list(s2.iter_l1c("s3://soak/lists/today.txt", storage_options=server.options))
    assert len(found) == 2
    for tree in found:
        assert_read(tree, expected)


class Role(BaseHTTPRequestHandler):
    """The service beside a virtual machine that hands out the credentials of its role."""

    @override
    def log_message(self, *args: Any) -> None:
        pass

    def do_PUT(self) -> None:
        self._answer("token", {"X-aws-ec2-metadata-token-ttl-seconds": "21600"})

    def do_GET(self) -> None:
        assert self.headers["X-aws-ec2-metadata-token"] == "token"
        if not self.path.endswith("/reader"):
            self._answer("reader")
            return
        self._answer(
            json.dumps(
                {
                    "Code": "Success",
                    "Type": "AWS-HMAC",
                    "AccessKeyId": KEY,
                    "SecretAccessKey": SECRET,
                    "Token": "",
                    "LastUpdated": "2025-01-01T00:00:00Z",
                    "Expiration": "2099-01-01T00:00:00Z",
                }
            )
        )

    def _answer(self, text: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@contextmanager
def role() -> Iterator[str]:
    service = ThreadingHTTPServer(("127.0.0.1", 0), Role)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{service.server_port}"
    finally:
        service.shutdown()
        service.server_close()


def test_credentials_of_the_role_of_a_machine(server, archive, expected, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    with role() as service:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service)
        tree = s2.open_l1c(archive[0], storage_options=anonymous(server))
        assert_read(tree, expected)
