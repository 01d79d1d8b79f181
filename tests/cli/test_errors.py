"""What goes wrong ends in one line that names the file and the fix, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typing_extensions import override

#: Options of a store that nobody serves, and of a client that gives up soon.
SILENT = {
    "endpoint_url": "http://127.0.0.1:1",
    "key": "a",
    "secret": "b",
    "config_kwargs": {"retries": {"max_attempts": 1}},
}


def band_file(safe, band):
    """The image file of a band."""
    (path,) = safe.glob(f"GRANULE/*/IMG_DATA/*_{band}.jp2")
    return path


def check_line(err, *words):
    """One line apart from progress, with the words and a fix in it."""
    lines = [line for line in err.splitlines() if not line.startswith("processing: ")]
    lines = [line for line in lines if not line.startswith("WARNING: could not clean up")]
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert "Fix: " in lines[0]
    for word in words:
        assert word in lines[0]


def files_below(folder):
    """Everything that is left of a product."""
    return [path for path in folder.rglob("*") if path.is_file()]


def test_missing_product(tmp_path, run):
    code, out, err = run("process", tmp_path / "none.SAFE", tmp_path / "out")
    assert (code, out) == (3, "")
    check_line(err, "none.SAFE")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("band", ["B04", "B10", "B12"])
def test_missing_band(safe, tmp_path, run, band):
    band_file(safe, band).unlink()
    code, out, err = run("process", safe, tmp_path / "out")
    assert (code, out) == (3, "")
    check_line(err, band.lower() if band.lower() in err else band)
    assert files_below(tmp_path / "out") == []


@pytest.mark.parametrize("band", ["B02", "B8A", "B09"])
def test_truncated_image(safe, tmp_path, run, band):
    path = band_file(safe, band)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    code, out, err = run("process", safe, tmp_path / "out")
    assert (code, out) == (3, "")
    check_line(err, path.name)
    assert files_below(tmp_path / "out") == []


@pytest.mark.parametrize("content", [b"", b"no JPEG 2000 at all" * 100])
def test_file_that_is_no_image(safe, tmp_path, run, content):
    path = band_file(safe, "B03")
    path.write_bytes(content)
    code, _, err = run("process", safe, tmp_path / "out")
    assert code == 3
    check_line(err, path.name)
    assert files_below(tmp_path / "out") == []


@pytest.mark.cluster
def test_truncated_image_on_a_cluster(safe, tmp_path, run):
    path = band_file(safe, "B02")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    out = tmp_path / "out"
    code, _, err = run("process", safe, out, "--cluster", "local", "--workers", 1)
    assert code == 3
    check_line(err, path.name)
    assert files_below(out) == []


@pytest.mark.parametrize("name", ["MTD_TL.xml", "MTD_MSIL1C.xml"])
def test_missing_metadata(safe, tmp_path, run, name):
    for path in safe.rglob(name):
        path.unlink()
    code, _, err = run("process", safe, tmp_path / "out")
    assert code == 3
    check_line(err, name)
    assert not (tmp_path / "out").exists()


def test_metadata_cut_short(safe, tmp_path, run):
    (path,) = safe.rglob("MTD_TL.xml")
    path.write_bytes(path.read_bytes()[:2000])
    code, _, err = run("process", safe, tmp_path / "out")
    assert code == 3
    check_line(err, "MTD_TL.xml")


def test_level_2a_is_not_an_input(safe, tmp_path, run):
    wrong = safe.rename(safe.with_name(safe.name.replace("MSIL1C", "MSIL2A")))
    (path,) = wrong.glob("MTD_MSIL1C.xml")
    text = path.read_text().replace("Level-1C", "Level-2A").replace("MSIL1C", "MSIL2A")
    path.rename(path.with_name("MTD_MSIL2A.xml")).write_text(text)
    code, _, err = run("process", wrong, tmp_path / "out")
    assert code == 3
    check_line(err, "2A")
    assert not (tmp_path / "out").exists()


def with_baseline(safe, baseline):
    """The product as if made by another processing baseline."""
    path = safe / "MTD_MSIL1C.xml"
    text = re.sub(r"(<PROCESSING_BASELINE>)[\d.]+", rf"\g<1>{baseline}", path.read_text())
    number = f"_N{baseline.replace('.', '')}_"
    path.write_text(text.replace("_N0511_", number))
    return safe.rename(safe.with_name(safe.name.replace("_N0511_", number)))


@pytest.mark.parametrize("baseline", ["01.05", "00.00", "98.76"])
def test_unknown_baseline(safe, tmp_path, run, baseline):
    code, _, err = run("process", with_baseline(safe, baseline), tmp_path / "out")
    assert code == 3
    check_line(err, baseline, "MTD_MSIL1C.xml")
    assert not (tmp_path / "out").exists()


def test_baseline_newer_than_this_version_is_processed_with_a_warning(safe, tmp_path, run):
    source = with_baseline(safe, "05.76")
    code, _, err = run("process", source, tmp_path / "out", "--format", "zarr")
    assert code == 0
    (warning,) = [line for line in err.splitlines() if line.startswith("WARNING: ")]
    assert "05.76" in warning


def test_bbox_beside_the_product(simulated, tmp_path, run):
    code, _, err = run("process", simulated.uri, tmp_path / "out", "--bbox", "-70,-40,-69,-39")
    assert code in {2, 3}
    check_line(err, "box", "-70")
    assert not (tmp_path / "out").exists()


def test_store_that_does_not_answer(tmp_path, run, monkeypatch):
    monkeypatch.setenv("S2CLOUD_STORE_ATTEMPTS", "1")
    began = time.monotonic()
    code, _, err = run(
        "process",
        "s3://bucket/S2A_MSIL1C_20250615T101559_N0511_R022_T32TQM_20250615T121559.SAFE",
        tmp_path / "out",
        "--storage-options",
        json.dumps(SILENT),
    )
    assert code == 4
    check_line(err, "s3://bucket/")
    assert time.monotonic() - began < 20
    assert not (tmp_path / "out").exists()


def test_destination_that_does_not_answer(simulated, run, monkeypatch):
    monkeypatch.setenv("S2CLOUD_STORE_ATTEMPTS", "1")
    code, _, err = run(
        "process",
        simulated.uri,
        "s3://bucket/l2a",
        "--dst-storage-options",
        json.dumps(SILENT),
    )
    assert code == 4
    check_line(err, "s3://bucket/l2a")


@contextlib.contextmanager
def refusing_store(code):
    """An object store that refuses every request with an error code of S3."""

    class Refuse(BaseHTTPRequestHandler):
        def answer(self):
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            self.send_response(403)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

        @override
        def log_message(self, *args):
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("refusal", ["InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied"])
def test_wrong_credentials(tmp_path, run, refusal):
    with refusing_store(refusal) as endpoint:
        code, _, err = run(
            "process",
            "s3://bucket/S2A_MSIL1C_20250615T101559_N0511_R022_T32TQM_20250615T121559.SAFE",
            tmp_path / "out",
            "--storage-options",
            f'{{"endpoint_url": "{endpoint}", "key": "a", "secret": "s3cr3t"}}',
        )
    assert code == 4
    check_line(err, "s3://bucket/", "credentials")
    assert "s3cr3t" not in err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(words, check=False, capture_output=True).returncode:  # noqa: S603
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607


def test_full_disk(simulated, small_disk, run):
    code, out, err = run("process", simulated.uri, small_disk / "out")
    assert (code, out) == (5, "")
    check_line(err, "small")
    assert files_below(small_disk) == []


def test_full_disk_as_a_library_reports_it(simulated, tmp_path, run, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "b02.tif")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    code, _, err = run("process", simulated.uri, tmp_path / "out")
    assert code == 5
    check_line(err)
    assert files_below(tmp_path / "out") == []


def test_destination_that_is_a_file(simulated, tmp_path, run):
    (tmp_path / "out").write_text("not a folder")
    code, _, err = run("process", simulated.uri, tmp_path / "out")
    assert code == 2
    check_line(err, "out")
