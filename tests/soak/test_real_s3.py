"""What moto forgives and a real S3 server does not."""

from __future__ import annotations

import logging
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

import s2cloud as s2
from s2cloud.io.stores import open_store
from s2cloud.model.errors import InputError, UnavailableError
from s2cloud.scheduling.jobs import Job, run_job
from tests.soak.servers import KEY, SECRET, S3Server, served, versitygw


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if not versitygw():
        pytest.skip("no versitygw: run .ci/versitygw")
    with served(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="module")
def uploaded(server, small_safe):
    """Address of a product in the bucket."""
    name = Path(small_safe.uri).name
    store = open_store(f"s3://soak/in/{name}", server.options)
    for path in Path(small_safe.uri).rglob("*"):
        if path.is_file():
            store.put_file(path, path.relative_to(small_safe.uri).as_posix())
    return f"s3://soak/in/{name}"


def presigned(server: S3Server, key: str) -> str:
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        config=Config(signature_version="s3v4"),
    )
    return str(client.generate_presigned_url("get_object", Params={"Bucket": "soak", "Key": key}))


def test_from_s3_to_s3_without_a_word_of_the_credentials(
    server, uploaded, small_safe, tmp_path, caplog
):
    local = run_job(Job(small_safe.uri, str(tmp_path)))
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        job = Job(uploaded, "s3://soak/out", source_options=server.options,
                  destination_options=server.options)  # fmt: skip
        receipt = run_job(job)
        again = run_job(job)
    # botocore's own debugging shows the key, never the secret; ours shows neither.
    assert SECRET not in caplog.text
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("s2cloud")]
    assert ours
    assert not any(KEY in text or SECRET in text for text in ours)
    assert SECRET not in receipt.to_json() + repr(job)
    assert again == receipt
    # The Zarr store and the item name their source.
    assert [a.sha256 for a in receipt.assets if a.href.endswith(".tif")] == [
        a.sha256 for a in local.assets if a.href.endswith(".tif")
    ]
    store = open_store(receipt.destination, server.options)
    assert not [path for path in store.find() if "progress" in path]
    identity = receipt.provenance["input_identity"]
    assert identity["baseline"] == "05.11"
    assert all(len(digest) == 64 for digest in identity["metadata_sha256"].values())
    assert receipt.provenance["input_files"]["count"] > 13
    assert receipt.provenance["look_up_table"]["sha256"]
    assert receipt.provenance["configuration_digest"] == receipt.config_digest


def test_one_of_many_writers_gets_the_name(server):
    stores = [open_store("s3://soak/claims", server.options) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda s: s.write_if_absent("claim", b"x"), stores))
    assert sum(answers) == 1


def test_large_files_go_in_parts(server, tmp_path):
    content = bytes(range(256)) * 240_000  # 61 MB, more than one part of 50 MB
    (tmp_path / "large").write_bytes(content)
    store = open_store("s3://soak/large", server.options)
    store.put_file(tmp_path / "large", "file")
    assert store.info("file").size == len(content)
    assert store.read("file", 52_428_700, 52_428_900) == content[52_428_700:52_428_900]
    store.delete("file")


def test_a_wrong_secret_is_refused_at_once_and_not_shown(server, uploaded, caplog):
    options = {**server.options, "secret": "wrong-secret-9876"}
    with (
        caplog.at_level(logging.DEBUG, logger="s2cloud"),
        pytest.raises(UnavailableError, match=r"access refused.*check credentials") as caught,
    ):
        s2.open_l1c(uploaded, storage_options=options)
    assert "wrong-secret-9876" not in str(caught.value) + caplog.text
    assert "asking again" not in caplog.text


def test_a_presigned_address_of_an_archive(server, small_safe, tmp_path):
    archive = tmp_path / "product.zip"
    subprocess.run(  # noqa: S603
        ["python3", "-m", "zipfile", "-c", str(archive), small_safe.uri],  # noqa: S607
        check=True,
    )
    open_store("s3://soak/zips", server.options).put_file(archive, "product.zip")
    address = presigned(server, "zips/product.zip")
    tree = s2.open_l1c(address)
    assert tree.attrs["granule"]["name"] == small_safe.name
    assert "Signature" not in str(tree.attrs)
    place = "measurements/reflectance/r10m"
    expected = s2.open_l1c(small_safe.uri)[f"{place}/b02"].to_numpy()
    assert (tree[f"{place}/b02"].to_numpy() == expected).all()
    with pytest.raises((UnavailableError, InputError)) as caught:
        s2.open_l1c(address.replace("Signature=", "Signature=0"))
    assert "Signature" not in str(caught.value)


def test_credentials_of_the_usual_chain(server, uploaded, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "credentials").write_text(
        f"[archive]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    tree = s2.open_l1c(uploaded, storage_options={"profile": "archive"})
    assert tree.attrs["sensor"] == "S2A"
    with pytest.raises(UnavailableError, match="access refused"):
        s2.open_l1c(uploaded, storage_options={"anon": True})


def test_an_authority_of_ones_own(tmp_path, monkeypatch):
    if not versitygw():
        pytest.skip("no versitygw: run .ci/versitygw")
    certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += [
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    words += ["-keyout", str(key), "-out", str(certificate)]
    if subprocess.run(words, check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip("no openssl")
    monkeypatch.setenv("S2CLOUD_STORE_ATTEMPTS", "1")
    with served(tmp_path / "s3", certificate=(certificate, key)) as server:
        options = server.options
        with pytest.raises(UnavailableError, match="SSL"):
            open_store("s3://soak", options).write("a", b"1")
        trusted = {**options["client_kwargs"], "verify": str(certificate)}
        store = open_store("s3://soak", {**options, "client_kwargs": trusted})
        store.write("a", b"1")
        assert store.read("a") == b"1"
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        other = {**options, "client_kwargs": {**options["client_kwargs"], "use_ssl": True}}
        assert open_store("s3://soak", other).read("a") == b"1"
