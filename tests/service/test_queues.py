"""Queues: real NATS, RabbitMQ and Redis; SQS fed by S3 notifications; the Data Space."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.request
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from aiohttp import web
from moto.server import ThreadedMotoServer
from typing_extensions import override

from s2cloud.service.polling import products_below
from s2cloud.service.queue_settings import (
    AmqpQueue,
    DataspaceQueue,
    KafkaQueue,
    NatsQueue,
    RedisQueue,
    SqsQueue,
)
from s2cloud.service.serve import Service
from s2cloud.service.settings import BucketPoll, StacPoll, StoreSettings
from tests.service import brokers, samples
from tests.service.parts import (
    CommittingMaker,
    product_files,
    product_name,
    ready_event,
    settings_of,
    upload,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

PRODUCTS = 3


@contextmanager
def serving(folder: Path, **more: Any) -> Iterator[Service]:
    service = Service(settings_of(folder, **more), CommittingMaker())
    thread = threading.Thread(target=lambda: asyncio.run(service.run()))
    thread.start()
    try:
        yield service
    finally:
        service.stop()
        thread.join(20)


def until(true: Callable[[], bool], within: float = 20.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "not within the time given"
        time.sleep(0.05)


def bodies(folder: Path) -> list[bytes]:
    """Events of some products, each named several times, and one that cannot be read."""
    urls = [
        url
        for number in range(PRODUCTS)
        for url in upload(str(folder / "l1c"), product_name(number), product_files())
    ]
    return [json.dumps(ready_event(url)).encode() for url in urls] + [b"no event"]


def all_made(service: Service) -> None:
    """Each product is made once, and what cannot be read lies where people find it."""
    until(lambda: service.dispatcher.tally.ended["done"] == PRODUCTS)
    until(lambda: bool(service.records.store.find("unread")))
    assert isinstance(service.make, CommittingMaker)
    assert set(service.make.made.values()) == {1}
    name = next(iter(service.records.store.find("unread")))
    assert json.loads(service.records.store.read(name))["body"] == "no event"


def emptied(count: Callable[[], Awaitable[int]]) -> None:
    until(lambda: asyncio.run(_awaited(count)) == 0)


async def _awaited(count: Callable[[], Awaitable[int]]) -> int:
    return await count()


def test_nats_jetstream(tmp_path: Path):
    import nats  # noqa: PLC0415

    async def send(url: str) -> None:
        client = await nats.connect(url)
        stream = client.jetstream()
        await stream.add_stream(name="events", subjects=["l1c.>"])
        for body in bodies(tmp_path):
            await stream.publish("l1c.created", body)
        await client.close()

    with brokers.nats(tmp_path) as url:
        asyncio.run(send(url))

        async def left() -> int:
            client = await nats.connect(url)
            info = await client.jetstream().consumer_info("events", "s2cloud")
            await client.close()
            return int(info.num_pending or 0) + int(info.num_ack_pending or 0)

        queue = NatsQueue(kind="nats", servers=(url,), stream="events", subject="l1c.>")
        with serving(tmp_path, queues=(queue,)) as service:
            all_made(service)
            emptied(left)


def test_rabbitmq(tmp_path: Path):
    import aio_pika  # noqa: PLC0415

    with brokers.rabbit() as url:
        (tmp_path / "password").write_text("guest\n", encoding="utf-8")
        full = url.replace("guest@", "guest:guest@")

        @asynccontextmanager
        async def channel() -> AsyncIterator[Any]:
            async with await aio_pika.connect(full) as connection:
                yield await connection.channel()

        async def send() -> None:
            async with channel() as opened:
                await opened.declare_queue("events", durable=True)
                for body in bodies(tmp_path):
                    await opened.default_exchange.publish(aio_pika.Message(body), "events")

        async def left() -> int:
            async with channel() as opened:
                queue = await opened.declare_queue("events", passive=True)
                return int(queue.declaration_result.message_count or 0)

        asyncio.run(send())
        queue = AmqpQueue(
            kind="amqp", url=url, queue="events", password_file=str(tmp_path / "password")
        )
        with serving(tmp_path, queues=(queue,)) as service:
            all_made(service)
            seen = service.dispatcher.listings
            until(lambda: service.dispatcher.listings > seen + 4)
        # After the end of the connection: nothing that was not acknowledged came back.
        emptied(left)


def test_kafka(tmp_path: Path):
    """Two partitions; what cannot be read does not hold up what follows it."""
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # noqa: PLC0415

    with brokers.kafka(tmp_path) as server:

        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=server) as producer:
                for number, body in enumerate(bodies(tmp_path)):
                    headers = [("ce_ignored", b"x")] if number % 2 else []
                    await producer.send_and_wait(
                        "events", body, key=str(number).encode(), headers=headers
                    )

        async def left() -> int:
            parts = [TopicPartition("events", number) for number in range(2)]
            async with AIOKafkaConsumer(bootstrap_servers=server, group_id="s2cloud") as consumer:
                consumer.assign(parts)
                ends = await consumer.end_offsets(parts)
                return sum([ends[p] - (await consumer.committed(p) or 0) for p in parts])

        asyncio.run(send())
        queue = KafkaQueue(kind="kafka", servers=(server,), topic="events")
        with serving(tmp_path, queues=(queue,)) as service:
            all_made(service)
        emptied(left)


def test_redis_streams(tmp_path: Path):
    from redis import Redis  # noqa: PLC0415

    with brokers.redis(tmp_path) as url, Redis.from_url(url) as client:
        for body in bodies(tmp_path):
            client.xadd("events", {"event": body})
        queue = RedisQueue(kind="redis", url=url, stream="events")
        with serving(tmp_path, queues=(queue,)) as service:
            all_made(service)
            until(lambda: client.xpending("events", "s2cloud")["pending"] == 0)


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Endpoint of a server of S3 and SQS in this process."""
    for name, value in (
        ("ACCESS_KEY_ID", "k"),
        ("SECRET_ACCESS_KEY", "s"),
        ("REGION", "us-east-1"),
        ("DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    yield endpoint
    # What it holds outlives it in this process.
    reset = urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")  # noqa: S310
    urllib.request.urlopen(reset).close()  # noqa: S310
    server.stop()


def left_in(sqs: Any, url: str) -> int:
    """Messages of a queue, hidden ones included."""
    names = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))
    return sum(int(found["Attributes"][name]) for name in names)


def test_sqs_fed_by_notifications_of_s3(tmp_path: Path, amazon: str):
    """Put, copy, and blanks in keys, as a store of S3 sends them; state and product in S3, too."""
    options = {"endpoint_url": amazon}
    s3 = boto3.client("s3", endpoint_url=amazon)
    sqs = boto3.client("sqs", endpoint_url=amazon)
    for bucket in ("l1c", "l2a"):
        s3.create_bucket(Bucket=bucket)
    url = sqs.create_queue(QueueName="events")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:123456789012:events"
    s3.put_bucket_notification_configuration(
        Bucket="l1c",
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]
        },
    )
    for number in range(PRODUCTS):
        upload("s3://l1c/new products", product_name(number), product_files(5), options)
    sqs.send_message(QueueUrl=url, MessageBody="no event")
    queue = SqsQueue(kind="sqs", url=url, endpoint_url=amazon, region="us-east-1")
    with serving(
        tmp_path,
        sources=(StoreSettings(url="s3://l1c/", options=options),),
        destination=StoreSettings(url="s3://l2a/products", options=options),
        queues=(queue,),
    ) as service:
        all_made(service)
        until(lambda: left_in(sqs, url) == 0)


def test_message_of_sqs_stays_hidden_as_long_as_its_product_is_made(tmp_path: Path, amazon: str):
    """Longer than it would be hidden for; nobody else gets it meanwhile."""
    sqs = boto3.client("sqs", endpoint_url=amazon)
    url = sqs.create_queue(QueueName="events")["QueueUrl"]
    (first, *_) = upload(str(tmp_path / "l1c"), product_name(0), product_files())
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(ready_event(first)))
    # Shorter than the settings allow: a test has no two minutes.
    queue = SqsQueue.model_construct(
        kind="sqs", url=url, endpoint_url=amazon, region="us-east-1", visibility_seconds=3, hold=5
    )
    release = threading.Event()

    class Slow(CommittingMaker):
        @override
        def __call__(self, job: Any) -> Any:
            assert release.wait(30)
            return super().__call__(job)

    service = Service(settings_of(tmp_path), Slow())
    # Not validated again, which would refuse the three seconds.
    service.settings = service.settings.model_copy(update={"queues": (queue,)})
    thread = threading.Thread(target=lambda: asyncio.run(service.run()))
    thread.start()
    try:
        until(lambda: bool(service.dispatcher.running()))
        for _ in range(5):
            stolen = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, VisibilityTimeout=0)
            assert "Messages" not in stolen
        assert left_in(sqs, url) == 1, "not acknowledged before its end"
        release.set()
        until(lambda: left_in(sqs, url) == 0)
        assert service.dispatcher.tally.ended["done"] == 1
    finally:
        release.set()
        service.stop()
        thread.join(20)


def test_data_space_is_acknowledged_when_jobs_are_recorded(tmp_path: Path):
    """A server with the words of the real one: Read shows, Ack takes that and all older."""
    entries: list[dict[str, Any]] = []
    for number in range(30):
        name = f"{product_name(number)}.SAFE"
        value = {"S3Path": f"/eodata/{name}", "Name": name}
        entries.append(samples.DATA_SPACE | {"AckId": f"{number:03d}", "value": value})
    acknowledged: list[str] = []

    async def token(request: web.Request) -> web.Response:
        form = await request.post()
        assert form["password"] == "hush"
        return web.json_response({"access_token": "t", "expires_in": 300})

    async def read(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer t"
        left = [each for each in entries if each["AckId"] not in acknowledged]
        return web.json_response({"value": left[: int(request.query["$top"])]})

    async def acknowledge(request: web.Request) -> web.Response:
        newest = request.query["$ackid"]
        acknowledged.extend(e["AckId"] for e in entries if e["AckId"] <= newest)
        return web.json_response({})

    ready, over = threading.Event(), threading.Event()
    port = brokers.free_port()

    async def catalogue() -> None:
        app = web.Application()
        app.add_routes(
            [
                web.post("/token", token),
                web.get("/odata/Subscriptions(1-2)/Read", read),
                web.post("/odata/Subscriptions(1-2)/Ack", acknowledge),
            ]
        )
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        ready.set()
        await asyncio.to_thread(over.wait)
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(catalogue()))
    thread.start()
    assert ready.wait(10)
    (tmp_path / "password").write_text("hush", encoding="utf-8")
    (tmp_path / "eodata").mkdir()
    queue = DataspaceQueue(
        kind="dataspace",
        subscription="1-2",
        url=f"http://127.0.0.1:{port}/odata",
        token_url=f"http://127.0.0.1:{port}/token",
        user="u",
        password_file=str(tmp_path / "password"),
        every_seconds=0.1,
    )
    try:
        # Never read here: the store of the Data Space does not answer on this machine.
        options = {"endpoint_url": f"http://127.0.0.1:{port}", "anon": True}
        sources = (StoreSettings(url="s3://eodata/", options=options),)
        with serving(tmp_path, sources=sources, queues=(queue,)) as service:
            until(lambda: len(set(acknowledged)) == 30)
            assert len(service.records.open_jobs()) == 30
    finally:
        over.set()
        thread.join(10)


def test_polls_find_products_without_events(tmp_path: Path):
    upload(str(tmp_path / "l1c" / "2025" / "06"), product_name(0), product_files())
    upload(str(tmp_path / "l1c"), product_name(1).replace("L1C", "L2A"), product_files())
    folder = str(tmp_path / "l1c")
    (tmp_path / "l1c").mkdir(exist_ok=True)
    settings = settings_of(tmp_path)
    assert list(products_below(folder, settings)) == [f"{folder}/2025/06/{product_name(0)}.SAFE"]
    polls = (BucketPoll(url=folder, every_seconds=0.2),)
    with serving(tmp_path, polls=polls) as service:
        until(lambda: service.dispatcher.tally.ended["done"] == 1)
        upload(folder, product_name(2), product_files())
        until(lambda: service.dispatcher.tally.ended["done"] == 2)
        assert isinstance(service.make, CommittingMaker)
        assert set(service.make.made.values()) == {1}


def test_a_catalogue_is_searched_page_by_page(tmp_path: Path):
    """A STAC API with paging, which fails once and gets new items later."""
    asked: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    port = brokers.free_port()
    here = f"http://127.0.0.1:{port}"

    def add(number: int) -> None:
        name = product_name(number)
        upload(str(tmp_path / "l1c"), name, product_files())
        href = f"{tmp_path}/l1c/{name}.SAFE/manifest.safe"
        items.append(
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": name,
                "collection": "sentinel-2-l1c",
                "geometry": {"type": "Point", "coordinates": [11.0, 46.0]},
                "bbox": [11.0, 46.0, 11.0, 46.0],
                "properties": {"datetime": "2025-06-15T10:15:59Z"},
                "links": [],
                "assets": {"safe_manifest": {"href": href}},
            }
        )

    async def landing(_: web.Request) -> web.Response:
        conforms = ["core", "item-search"]
        return web.json_response(
            {
                "type": "Catalog",
                "stac_version": "1.0.0",
                "id": "test",
                "description": "for a test",
                "conformsTo": [f"https://api.stacspec.org/v1.0.0/{word}" for word in conforms],
                "links": [
                    {"rel": "self", "href": here},
                    {"rel": "root", "href": here},
                    {
                        "rel": "search",
                        "type": "application/geo+json",
                        "href": f"{here}/search",
                        "method": "POST",
                    },
                ],
            }
        )

    async def search(request: web.Request) -> web.Response:
        query = await request.json()
        asked.append(query)
        if len(asked) == 1:
            raise web.HTTPInternalServerError
        first = int(query.get("token", 0))
        following = {
            "rel": "next",
            "href": f"{here}/search",
            "method": "POST",
            "body": query | {"token": first + 2},
        }
        links = [following] if first + 2 < len(items) else []
        page = items[first : first + 2]
        return web.json_response({"type": "FeatureCollection", "features": page, "links": links})

    for number in range(3):
        add(number)
    ready, over = threading.Event(), threading.Event()

    async def catalogue() -> None:
        app = web.Application()
        app.add_routes([web.get("/", landing), web.post("/search", search)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        ready.set()
        await asyncio.to_thread(over.wait)
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(catalogue()))
    thread.start()
    assert ready.wait(10)
    poll = StacPoll(stac=here, query={"bbox": [10, 45, 12, 47]}, every_seconds=0.2)
    try:
        with serving(tmp_path, polls=(poll,)) as service:
            until(lambda: service.dispatcher.tally.ended["done"] == 3)
            add(3)
            until(lambda: service.dispatcher.tally.ended["done"] == 4)
            assert isinstance(service.make, CommittingMaker)
            assert set(service.make.made.values()) == {1}
    finally:
        over.set()
        thread.join(10)
    assert asked[0]["collections"] == ["sentinel-2-l1c"]
    assert asked[0]["bbox"] == [10, 45, 12, 47]
    assert asked[0]["datetime"].endswith("/..")
