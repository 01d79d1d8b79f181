"""The port: who gets in, what is refused, what is told."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from s2cloud.model.errors import UsageError
from s2cloud.service.products import NotAllowedError, candidate_of
from s2cloud.service.serve import Service
from s2cloud.service.settings import AnnounceSettings, HttpSettings, StoreSettings, load_settings
from tests.service import samples
from tests.service.parts import (
    CommittingMaker,
    product_files,
    product_name,
    ready_event,
    settings_of,
    upload,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "a-secret-of-the-webhook"


@contextmanager
def serving(folder: Path, **more: Any) -> Iterator[Service]:
    service = Service(settings_of(folder, **more), CommittingMaker())
    started = threading.Event()

    def run() -> None:
        asyncio.run(service.run(lambda _: started.set()))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(10)
        yield service
    finally:
        service.stop()
        thread.join(20)


def ask(
    service: Service, path: str, body: bytes | None = None, method: str = "", **headers: str
) -> tuple[int, str, dict[str, str]]:
    """Status, text and headers of an answer."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(  # noqa: S310
        service.port.url + path, body, names, method=method or None
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), dict(error.headers)


def event(url: str) -> bytes:
    return json.dumps(ready_event(url)).encode()


def with_secret(folder: Path, kind: Any, secret: str = SECRET, **more: Any) -> HttpSettings:
    (folder / "secret").write_text(secret + "\n", encoding="utf-8")
    return HttpSettings(
        host="127.0.0.1",
        port=0,
        authentication=kind,
        secret_file=str(folder / "secret"),
        **more,
    )


def test_event_becomes_a_product_and_all_pages_tell_of_it(tmp_path: Path):
    with serving(tmp_path) as service:
        urls = upload(str(tmp_path / "l1c"), product_name(0), product_files())
        status, text, _ = ask(service, "/events", event(urls[0]))
        assert status == 202
        assert list(json.loads(text)["jobs"].values()) == ["new"]
        deadline = time.monotonic() + 10
        while '"state": "done"' not in ask(service, "/jobs")[1]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert ask(service, "/healthz")[0] == 200
        assert ask(service, "/readyz")[0] == 200
        metrics = ask(service, "/metrics")[1]
        assert 's2cloud_products{state="done"} 1.0' in metrics
        assert 's2cloud_events{outcome="new"} 1.0' in metrics
        page, headers = ask(service, "/")[1:]
        assert product_name(0) in page
        assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_metrics_have_the_names_that_alerts_ask_for(tmp_path: Path):
    with serving(tmp_path) as service:
        found = ask(service, "/metrics")[1]
    wanted = "products queue_age_seconds retries workers memory_bytes projected_memory_bytes"
    for name in [*wanted.split(), "written_bytes"]:
        assert f"\ns2cloud_{name}" in found


@pytest.mark.parametrize("kind", ["bearer", "basic", "hmac"])
def test_only_those_who_know_the_secret_get_in(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
):
    body = event(f"{tmp_path}/l1c/{product_name(0)}.SAFE/manifest.safe")
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    basic = "dXNlcjphLXNlY3JldC1vZi10aGUtd2ViaG9vaw=="  # user:a-secret-of-the-webhook
    right, wrong = {
        "bearer": (
            {"Authorization": f"Bearer {SECRET}"},
            [{}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {basic}"}],
        ),
        "basic": (
            {"Authorization": f"Basic {basic}"},
            [{}, {"Authorization": "Basic eDp5"}, {"Authorization": "Basic %%"}],
        ),
        "hmac": (
            {"X_Hub_Signature_256": f"sha256={digest}"},
            [{}, {"X_Hub_Signature_256": "sha256=" + "0" * 64}, {"Authorization": SECRET}],
        ),
    }[kind]
    secret = f"user:{SECRET}" if kind == "basic" else SECRET
    with serving(tmp_path, http=with_secret(tmp_path, kind, secret)) as service:
        for headers in wrong:
            assert ask(service, "/events", body, **headers)[0] == 401
        assert service.records.open_jobs() == {}
        if kind == "hmac":
            assert ask(service, "/events", body + b" ", **right)[0] == 401, "another body"
        assert ask(service, "/events", body, **right)[0] == 202
        told = "".join(ask(service, path)[1] for path in ("/", "/jobs", "/metrics"))
    assert SECRET not in told + caplog.text


def test_a_secret_can_be_replaced_while_it_runs(tmp_path: Path):
    with serving(tmp_path, http=with_secret(tmp_path, "bearer")) as service:
        (tmp_path / "secret").write_text("new\nold\n", encoding="utf-8")
        body = event(f"{tmp_path}/l1c/x")
        for secret, status in (("new", 202), ("old", 202), (SECRET, 401)):
            assert ask(service, "/events", body, Authorization=f"Bearer {secret}")[0] == status


def test_without_its_secret_it_does_not_start(tmp_path: Path):
    http = HttpSettings(authentication="bearer", secret_file=str(tmp_path / "none"))
    with pytest.raises(UsageError, match="file of secrets"):
        Service(settings_of(tmp_path, http=http), CommittingMaker())


def test_large_bodies_and_floods_are_refused(tmp_path: Path):
    http = HttpSettings(
        host="127.0.0.1",
        port=0,
        authentication="none",
        max_body_bytes=2048,
        requests_per_minute=5,
    )
    with serving(tmp_path, http=http) as service:
        assert ask(service, "/events", b"x" * 4096)[0] == 413
        answers = [ask(service, "/events", event(f"{tmp_path}/l1c/x"))[0] for _ in range(8)]
        assert answers.count(202) == 5
        assert answers.count(429) == 3
        assert ask(service, "/healthz")[0] == 200


def test_strangers_do_not_use_up_what_senders_are_allowed(tmp_path: Path):
    http = with_secret(tmp_path, "bearer", requests_per_minute=3)
    body = event(f"{tmp_path}/l1c/x")
    with serving(tmp_path, http=http) as service:
        answers = [ask(service, "/events", body)[0] for _ in range(6)]
        assert (answers.count(401), answers.count(429)) == (3, 3)
        assert ask(service, "/events", body, Authorization=f"Bearer {SECRET}")[0] == 202


def test_handshakes(tmp_path: Path):
    with serving(tmp_path) as service:
        code, _, headers = ask(
            service, "/events", method="OPTIONS", WebHook_Request_Origin="eventgrid.azure.net"
        )
        assert (code, headers["WebHook-Allowed-Origin"]) == (200, "eventgrid.azure.net")
        code, _, _ = ask(service, "/events", method="OPTIONS", WebHook_Request_Origin="evil.test")
        assert code == 403
        answer = ask(service, "/events", json.dumps(samples.GRID_VALIDATION).encode())[1]
        assert json.loads(answer)["validationResponse"].startswith("512d38b6")
        url = "https://sns.evil.test/?Action=ConfirmSubscription"
        body = json.dumps({"Type": "SubscriptionConfirmation", "SubscribeURL": url}).encode()
        assert ask(service, "/events", body)[0] == 400, "only Amazon is asked"


def test_nothing_but_the_sources_is_read(tmp_path: Path):
    outside = f"{tmp_path}/secret/{product_name(0)}.SAFE/manifest.safe"
    upload(str(tmp_path / "secret"), product_name(0), product_files())
    with serving(tmp_path) as service:
        for url in (
            outside,
            f"{tmp_path}/l1c/../secret/{product_name(0)}.SAFE/manifest.safe",
            f"{tmp_path}/l1c-too/{product_name(0)}.SAFE/manifest.safe",
            f"http://169.254.169.254/{product_name(0)}.SAFE/manifest.safe",
            f"zip://x::{outside}",
        ):
            status, text, _ = ask(service, "/events", event(url))
            assert status == 202
            answer = json.loads(text)
            assert answer["jobs"] == {}
            assert len(answer["refused"]) == 1
        assert service.records.open_jobs() == {}
        assert 's2cloud_events{outcome="refused"} 5.0' in ask(service, "/metrics")[1]


@pytest.mark.parametrize(
    "key",
    [
        "../x",
        "a/../b/manifest.safe",
        "a//b",
        "a/./b",
        "a\\b",
        "a\nb",
        "a%00b".replace("%00", "\0"),
        "x" * 3000,
    ],
)
def test_keys_that_are_not_plain_are_refused(tmp_path: Path, key: str):
    settings = settings_of(
        tmp_path, sources=(StoreSettings(url="s3://l1c/"), StoreSettings(url="s3://l1c/deep"))
    )
    with pytest.raises(NotAllowedError):
        candidate_of(f"s3://l1c/{key}", settings)


def test_products_are_found_in_any_key_below_them(tmp_path: Path):
    settings = settings_of(
        tmp_path,
        sources=(StoreSettings(url="s3://l1c/"), StoreSettings(url="gcs://l1c/")),
        destination=StoreSettings(url="s3://l1c/l2a"),
    )
    name = samples.NAME
    roots = {
        f"s3://l1c/a/{name}.SAFE/GRANULE/x/IMG_DATA/y.jp2": f"s3://l1c/a/{name}.SAFE",
        f"s3a://l1c/{name}.SAFE/": f"s3://l1c/{name}.SAFE",
        f"gs://l1c/tiles/32/T/QM/{name}.SAFE/manifest.safe": (
            f"gcs://l1c/tiles/32/T/QM/{name}.SAFE"
        ),
        f"s3://l1c/{name}.SAFE.zip": f"s3://l1c/{name}.SAFE.zip",
        f"s3://l1c/v1/{name}.zarr/measurements/b02/0.0": f"s3://l1c/v1/{name}.zarr",
        f"s3://l1c/{samples.TILE}/qi/MSK.jp2": f"s3://l1c/{samples.TILE}",
    }
    for url, root in roots.items():
        found = candidate_of(url, settings)
        assert found is not None
        assert (found.url, found.tile, f"{found.day}") == (root, "32TQM", "2025-06-15")
    for url in (
        "s3://l1c/readme.txt",
        f"s3://l1c/{name}_$folder$",
        f"s3://l1c/{name.replace('L1C', 'L2A')}.SAFE/manifest.safe",
        f"s3://l1c/{name}.truth.zarr/zarr.json",
        f"s3://l1c/l2a/{name}.SAFE/manifest.safe",
        f"s3://l1c/products/2025/6/15/{name}/metadata.xml",
        f"s3://l1c/{name.replace('20250615', '20251399')}.SAFE/manifest.safe",
    ):
        assert candidate_of(url, settings) is None


def test_ends_are_announced_as_cloud_events(tmp_path: Path):
    """The receiver is another service: it reads what this one announces."""
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other", http=with_secret(tmp_path / "other", "bearer")) as receiver:
        announce = AnnounceSettings(
            url=f"{receiver.port.url}/events", secret_file=str(tmp_path / "other" / "secret")
        )
        seen: list[dict[str, Any]] = []
        take = receiver.intake.take
        receiver.intake.take = lambda found: seen.append({"found": found}) or take(found)  # type: ignore[func-returns-value,method-assign]
        with serving(tmp_path, announce=announce) as service:
            urls = upload(str(tmp_path / "l1c"), product_name(0), product_files())
            ask(service, "/events", event(urls[0]))
            deadline = time.monotonic() + 10
            while not seen:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert service.dispatcher.tally.ended == {"done": 1}


def test_page_shows_words_of_others_as_words(tmp_path: Path):
    """Reasons hold names from stores and events."""
    evil = "<script>alert(1)</script>"
    with serving(tmp_path) as service:
        candidate = candidate_of(f"{tmp_path}/l1c/{product_name(0)}.SAFE/x", service.settings)
        assert candidate is not None
        from s2cloud.service.records import Ended  # noqa: PLC0415

        service.records.end(candidate.job, Ended("failed", {"reason": evil}), candidate)
        page = ask(service, "/")[1]
    assert evil not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sources: []\ndestination: {url: x}", "sources"),
        ("sources: [{url: s3://a}]\ndestination: {url: x}\nsurprise: 1", "surprise"),
        (
            "sources: [{url: s3://a, options: {key: K, secret: hush}}]\ndestination: {url: x}",
            "secrets do not stand",
        ),
        ("sources: [{url: s3://u:hush@a}]\ndestination: {url: x}", "without user"),
        ("sources: [{url: s3://a}]\ndestination: {url: x}", "needs secret_file"),
        (
            "sources: [{url: s3://a}]\ndestination: {url: x}\n"  # noqa: ISC004
            "queues: [{kind: amqp, url: 'amqp://u:hush@h', queue: q}]",
            "password_file",
        ),
        ("a: [", "cannot read"),
    ],
)
def test_settings_that_cannot_be_are_named_without_their_values(
    tmp_path: Path, text: str, words: str
):
    path = tmp_path / "settings.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=words) as error:
        load_settings(str(path))
    assert "hush" not in str(error.value)
