"""Stores: one behaviour on disk, in memory, on S3 and in archives, and errors that help."""

from __future__ import annotations

import errno
import os
import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from s2cloud.io.store_errors import translated_error
from s2cloud.io.stores import open_store
from s2cloud.io.urls import join_url, parent_url, public_url
from s2cloud.model.errors import CapacityError, InputError, UnavailableError, UsageError


@pytest.fixture(params=["disk", "memory", "s3"])
def store(request, tmp_path):
    if request.param == "disk":
        return open_store(tmp_path / "root")
    if request.param == "memory":
        return open_store(request.getfixturevalue("memory"))
    bucket = request.getfixturevalue("bucket")
    return open_store(f"s3://{bucket}/root", request.getfixturevalue("s3_options"))


def test_what_is_written_is_read(store):
    store.write("a/b.txt", b"0123456789")
    assert store.read("a/b.txt") == b"0123456789"
    assert store.read("a/b.txt", 2, 5) == b"234"
    store.write("a/b.txt", b"new")
    assert store.read("a/b.txt") == b"new"


def test_files_are_listed_and_deleted(store, tmp_path):
    local = tmp_path / "local"
    local.write_bytes(b"x" * 7)
    store.write("a/one", b"1")
    store.put_file(local, "a/c/two")
    assert store.listdir("a") == ["c", "one"]
    assert store.listdir("nowhere") == []
    found = store.find("a")
    assert {path: info.size for path, info in found.items()} == {"a/one": 1, "a/c/two": 7}
    assert all(info.tag for info in found.values())
    assert store.info("a/c/two").size == 7
    assert store.exists("a/one")
    assert not store.exists("a/three")
    store.delete("a")
    store.delete("a")
    assert store.find("a") == {}


def test_one_of_many_writers_gets_the_name(store):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: store.write_if_absent("claim", b"%d" % i), range(8)))
    assert sum(answers) == 1
    assert store.read("claim") == b"%d" % answers.index(True)


def test_a_tag_changes_with_the_content(store):
    store.write("f", b"one")
    before = store.find()["f"]
    store.write("f", b"other")
    assert store.find()["f"] != before


def test_neighbouring_ranges_share_a_request(store):
    store.write("f", bytes(range(256)) * 1000)
    before, read = store.requests, store.bytes_read
    wanted = [("f", 0, 10), ("f", 20, 30), ("f", 200_000, 200_010), ("f", 5, 12)]
    assert store.read_ranges(wanted) == [store.read("f")[a:b] for _, a, b in wanted]
    assert store.requests - before == 2 + 4
    assert store.bytes_read - read == 30 + 10 + 4 * 256_000


def test_limits_of_servers_are_kept():
    assert open_store("s3://eodata/x").concurrency == 16
    options = {"endpoint_url": "https://eodata.dataspace.copernicus.eu"}
    assert open_store("s3://eodata/x", options).concurrency == 4


def test_limits_of_servers_are_the_operators(monkeypatch):
    options = {"endpoint_url": "https://eodata.dataspace.copernicus.eu"}
    monkeypatch.setenv("S2CLOUD_STORE_CONNECTIONS", "32, dataspace.copernicus.eu=10,slow.host=1")
    assert open_store("s3://eodata/x").concurrency == 32
    assert open_store("s3://eodata/x", options).concurrency == 10
    slow = open_store("s3://b/x", {"endpoint_url": "http://slow.host", "key": "k", "secret": "s"})
    assert slow.concurrency == 1
    # The driver keeps it for all threads together.
    assert slow.fs.config_kwargs["max_pool_connections"] == 1
    assert slow.fs.retries == 1
    monkeypatch.setenv("S2CLOUD_STORE_CONNECTIONS", "many")
    with pytest.raises(UsageError, match="S2CLOUD_STORE_CONNECTIONS"):
        _ = slow.concurrency
    own = {"config_kwargs": {"connect_timeout": 60}}
    monkeypatch.delenv("S2CLOUD_STORE_CONNECTIONS")
    assert open_store("s3://b/x", own).fs.config_kwargs["connect_timeout"] == 60


def test_requester_pays_and_anonymous_reach_the_driver():
    options = {"requester_pays": True, "anon": True, "client_kwargs": {"verify": "ca.pem"}}
    fs = open_store("s3://b/x", options).fs
    assert fs.req_kw == {"RequestPayer": "requester"}
    assert fs.anon is True
    assert fs.client_kwargs == {"verify": "ca.pem"}


def test_a_store_travels_to_other_processes(store):
    store.write("f", b"abc")
    assert pickle.loads(pickle.dumps(store)).read("f") == b"abc"  # noqa: S301  # our own


def test_missing_files_are_named(store):
    store.write("f", b"abc")
    for read in (
        lambda: store.read("nothing"),
        lambda: store.info("nothing"),
        lambda: store.read_ranges([("nothing", 0, 1), ("f", 0, 1)]),
    ):
        with pytest.raises(InputError, match=r"no such file: .*root?.*/nothing|nothing") as caught:
            read()
        assert "\n" not in str(caught.value)


def test_a_missing_bucket_is_named(s3_options):
    store = open_store("s3://no-such-bucket-here/x", s3_options)
    with pytest.raises(InputError, match="s3://no-such-bucket-here"):
        store.read("a")
    with pytest.raises(UsageError, match=r"no such bucket.*check the bucket name"):
        store.write("a", b"")


def test_an_unreachable_endpoint_can_be_retried(bucket, monkeypatch):
    monkeypatch.setenv("S2CLOUD_STORE_ATTEMPTS", "1")
    options = {
        "key": "AKIDSECRET",
        "secret": "hunter2",
        "endpoint_url": "http://127.0.0.1:1",
        "config_kwargs": {"retries": {"max_attempts": 0}},
    }
    with pytest.raises(UnavailableError, match="does not answer") as caught:
        open_store(f"s3://{bucket}/x", options).read("a")
    assert "hunter2" not in str(caught.value)
    assert "AKIDSECRET" not in repr(open_store("s3://b", options))


def test_an_unreachable_server_can_be_retried(monkeypatch):
    monkeypatch.setenv("S2CLOUD_STORE_ATTEMPTS", "1")
    with pytest.raises(UnavailableError, match="does not answer") as caught:
        open_store("http://user:word@127.0.0.1:1/x?signature=abc").read("a")
    assert "word" not in str(caught.value)
    assert "signature" not in str(caught.value)


def test_refused_credentials_are_said_to_be_checked(store, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError("The AWS Access Key Id you provided does not exist")

    monkeypatch.setattr(store.fs, "cat_file", refuse)
    with pytest.raises(UnavailableError, match=r"access refused.*check credentials"):
        store.read("a")


def test_a_full_disk_asks_for_a_bigger_machine(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    store = open_store(tmp_path)
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(CapacityError, match="no space left"):
        store.write("a", b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError("late"), UnavailableError),
        (ConnectionResetError("gone"), UnavailableError),
        (OSError(errno.EBUSY, "slow down"), UnavailableError),
        (IsADirectoryError("folder"), InputError),
        (MemoryError(), CapacityError),
        (zipfile.BadZipFile("bad"), InputError),
        (ValueError("Protocol not known: foo"), UsageError),
    ],
)
def test_errors_are_split_by_what_to_do(error, kind):
    assert isinstance(translated_error(error, "s3://b/k"), kind)


def test_mistakes_of_ours_are_not_blamed_on_the_store(tmp_path, monkeypatch):
    store = open_store(tmp_path)

    def mistake(*args, **kwargs):
        raise TypeError("unsupported operand")

    monkeypatch.setattr(store.fs, "cat_file", mistake)
    with pytest.raises(TypeError, match="unsupported operand"):
        store.read("a")


def test_unknown_urls_and_options_are_the_users(tmp_path):
    with pytest.raises(UsageError, match="unknown kind of URL"):
        open_store("nonsense://x").read("a")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("place", ["disk", "s3", "chain"])
def test_members_of_an_archive_are_files(method, place, tmp_path, request):
    content = os.urandom(300_000)
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.mkdir("top")
        archive.writestr("top/a/data.bin", content)
        archive.writestr("top/b.txt", b"text")
    uri, options = str(path), None
    if place != "disk":
        bucket, options = request.getfixturevalue("bucket"), request.getfixturevalue("s3_options")
        open_store(f"s3://{bucket}", options).put_file(path, "p.zip")
        uri = f"s3://{bucket}/p.zip"
    if place == "chain":
        uri, options = f"zip://top::{uri}", {"s3": options}
    prefix = "" if place == "chain" else "top/"
    store = pickle.loads(pickle.dumps(open_store(uri, options)))  # noqa: S301  # our own
    assert store.listdir(prefix.rstrip("/")) == ["a", "b.txt"]
    assert store.read(f"{prefix}a/data.bin") == content
    assert store.read(f"{prefix}a/data.bin", 0, 1000) == content[:1000]
    assert store.read(f"{prefix}a/data.bin", 200_000, 250_000) == content[200_000:250_000]
    assert store.read_ranges([(f"{prefix}b.txt", 1, 3), (f"{prefix}a/data.bin", 7, 9)]) == [
        b"ex",
        content[7:9],
    ]
    info = store.find(prefix.rstrip("/"))[f"{prefix}a/data.bin"]
    assert info.size == len(content)
    assert info.ranged == (method == zipfile.ZIP_STORED)
    with pytest.raises(InputError, match="no such file"):
        store.read(f"{prefix}c.txt")


def test_damaged_archives_are_refused(tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"PK" + os.urandom(1000))
    with pytest.raises(InputError, match="damaged archive"):
        open_store(tmp_path / "bad.zip").listdir()
    path = tmp_path / "cut.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", os.urandom(5000))
    data = bytearray(path.read_bytes())
    data[1000:1100] = bytes(100)
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged archive member"):
        open_store(path).read("a")


def test_addresses():
    assert join_url("s3://b/p", "a/c") == "s3://b/p/a/c"
    assert join_url("x/p.zip", "a") == "zip://a::x/p.zip"
    assert join_url("https://h/p?sig=1", "a") == "https://h/p/a?sig=1"
    assert parent_url("s3://b/p/MTD.xml") == ("s3://b/p", "MTD.xml")
    assert parent_url("zip://p.SAFE/M.xml::s3://b/x.zip") == ("zip://p.SAFE::s3://b/x.zip", "M.xml")
    assert parent_url("M.xml") == (".", "M.xml")
    assert public_url("https://me:secret@h/p?sig=1") == "https://h/p"
    assert public_url("zip://a::https://me:secret@h/p") == "zip://a::https://h/p"
