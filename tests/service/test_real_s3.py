"""A real S3 server tells the webhook of its objects; state, input and product are in it."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import pytest

from s2cloud.service.serve import Service
from s2cloud.service.settings import HttpSettings, StoreSettings
from tests.service.parts import (
    CommittingMaker,
    product_files,
    product_name,
    settings_of,
    upload,
)
from tests.soak.servers import KEY, SECRET, S3Server, free_port, versitygw

if TYPE_CHECKING:
    from pathlib import Path


def test_events_of_a_real_s3_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if not versitygw():
        pytest.skip("no versitygw: .ci/versitygw builds it where Go is new enough")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    port = free_port()
    # The server posts to one address without any secret: it stands behind the same wall.
    monkeypatch.setenv("VGW_EVENT_WEBHOOK_URL", f"http://127.0.0.1:{port}/events")
    server = S3Server(tmp_path / "s3")
    options = {"endpoint_url": server.endpoint, "client_kwargs": {"region_name": "us-east-1"}}
    settings = settings_of(
        tmp_path,
        sources=(StoreSettings(url="s3://l1c/", options=options),),
        destination=StoreSettings(url="s3://l2a/products", options=options),
        http=HttpSettings(host="127.0.0.1", port=port, authentication="none"),
    )
    maker = CommittingMaker()
    service = Service(settings, maker)
    started = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(service.run(lambda _: started.set())))
    thread.start()
    try:
        assert started.wait(10)
        server.start()
        server.make_bucket("l1c")
        server.make_bucket("l2a")
        for number in range(2):
            upload("s3://l1c/new products", product_name(number), product_files(5), options)
        deadline = time.monotonic() + 30
        while service.dispatcher.tally.ended["done"] < 2:
            assert time.monotonic() < deadline, service.intake.counts
            time.sleep(0.1)
        assert set(maker.made.values()) == {1}
        # What it writes itself is told to it, too, and is nothing to it.
        assert service.intake.counts["ignored"] > 0
        assert service.intake.counts["refused"] == 0
    finally:
        service.stop()
        thread.join(20)
        server.kill()
