"""Which objects the notifications of stores and catalogues name."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus

from s2cloud.io.stac_input import item_address
from s2cloud.model.errors import InputError
from s2cloud.model.granule import PRODUCT_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Found", "NotANotificationError", "addresses_in"]

#: Envelopes inside of envelopes: SQS around SNS around S3, and one more.
_DEPTH: Final = 5
#: Of an Azure blob, in ``subject``.
_BLOB: Final = re.compile(
    r"^/blobServices/default/containers/(?P<container>[^/]+)/blobs/(?P<key>.+)"
)
#: Calls of Azure that end the writing of a blob; others open it or append to it.
_BLOB_WRITTEN: Final = frozenset(
    {"PutBlob", "PutBlockList", "FlushWithClose", "CopyBlob", "SftpCommit"}
)
#: CloudEvents of S3: Knative's source and adapter, and two spellings of EventBridge.
_AWS_TYPES: Final = ("com.amazonaws.s3.objectcreated", "aws.s3.object.created", "object created")
#: Bucket of the Level-1C archive on AWS, whose messages name paths only.
_ARCHIVE: Final = "s3://sentinel-s2-l1c/"
#: Folder of products in the store of the Data Space.
_EODATA: Final = "s3://eodata/Sentinel-2/MSI/L1C"


class NotANotificationError(Exception):
    """A message of no known form."""


@dataclass(frozen=True, slots=True)
class Found:
    """Something new in a store.

    Attributes
    ----------
    url
        Of the object, or of the product where `whole`.
    whole
        Whether it was said that everything of the product is there.
    """

    url: str
    whole: bool = False


def addresses_in(message: Any, depth: int = 0) -> Iterator[Found]:
    """Addresses that a notification names; none if it is about something else.

    Parameters
    ----------
    message
        JSON value.
    depth
        Of the envelope it was found in.

    Raises
    ------
    NotANotificationError
        If it has no known form.
    """
    if depth > _DEPTH:
        raise NotANotificationError("envelopes too deep")
    if isinstance(message, str):
        yield from addresses_in(_parsed(message), depth + 1)
        return
    if isinstance(message, list):
        for each in message:
            yield from addresses_in(each, depth + 1)
        return
    if not isinstance(message, dict):
        raise NotANotificationError(type(message).__name__)
    for belongs, read in _FORMS:
        if belongs(message):
            try:
                yield from read(message, depth)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise NotANotificationError(f"{type(error).__name__} {error}"[:200]) from error
            return
    raise NotANotificationError(
        f"object of {', '.join(sorted(map(str, message)))[:200] or 'nothing'}"
    )


def _records(message: dict[str, Any], depth: int) -> Iterator[Found]:
    """S3 in the form of AWS, MinIO, Ceph, NooBaa, versitygw; SNS and SQS in that of Lambda."""
    for record in message["Records"]:
        if "Sns" in record:
            yield from addresses_in(record["Sns"]["Message"], depth + 1)
        elif "body" in record:
            yield from addresses_in(record["body"], depth + 1)
        else:
            version = str(record.get("eventVersion", "2.0"))
            if version.partition(".")[0] != "2":
                raise NotANotificationError(f"records of version {version}")
            if not str(record["eventName"]).removeprefix("s3:").startswith("ObjectCreated:"):
                continue
            # Keys are encoded as in a form: a blank is a plus sign.
            key = unquote_plus(record["s3"]["object"]["key"])
            yield Found(f"s3://{record['s3']['bucket']['name']}/{key}")


def _bare_minio(message: dict[str, Any], _: int) -> Iterator[Found]:
    if str(message["EventName"]).startswith("s3:ObjectCreated:"):
        yield Found(f"s3://{message['Key']}")


def _nothing(_: dict[str, Any], __: int) -> Iterator[Found]:
    yield from ()


def _event_bridge(message: dict[str, Any], _: int) -> Iterator[Found]:
    if message["detail-type"] == "Object Created":
        detail = message["detail"]
        yield Found(f"s3://{detail['bucket']['name']}/{detail['object']['key']}")


def _sns(message: dict[str, Any], depth: int) -> Iterator[Found]:
    yield from addresses_in(message["Message"], depth + 1)


def _pub_sub(message: dict[str, Any], depth: int) -> Iterator[Found]:
    inner = message["message"]
    attributes = inner.get("attributes") or {}
    if "bucketId" in attributes:
        if attributes.get("eventType") == "OBJECT_FINALIZE":
            yield Found(f"gs://{attributes['bucketId']}/{attributes['objectId']}")
        return
    try:
        data = base64.b64decode(inner["data"], validate=True)
    except binascii.Error as error:
        raise NotANotificationError("data is not base64") from error
    yield from addresses_in(_parsed(data), depth + 1)


def _google_object(message: dict[str, Any], _: int) -> Iterator[Found]:
    yield Found(f"gs://{message['bucket']}/{message['name']}")


def _event_grid(message: dict[str, Any], _: int) -> Iterator[Found]:
    if message["eventType"] == "Microsoft.Storage.BlobCreated":
        yield from _blob(message)


def _blob(message: dict[str, Any]) -> Iterator[Found]:
    data = message.get("data") or {}
    if data.get("api", "PutBlob") not in _BLOB_WRITTEN:
        return
    found = _BLOB.match(str(message.get("subject", "")))
    if found is None:
        raise NotANotificationError("BlobCreated without the path of a blob")
    yield Found(f"abfs://{found['container']}/{found['key']}")


def _archive(message: dict[str, Any], _: int) -> Iterator[Found]:
    """Topic NewSentinel2Product: sent when a whole product is there."""
    for tile in message["tiles"]:
        yield Found(f"{_ARCHIVE}{str(tile['path']).strip('/')}/", whole=True)


def _data_space(message: dict[str, Any], depth: int) -> Iterator[Found]:
    """Subscriptions of the Copernicus Data Space, pushed or pulled."""
    kind = message.get("SubscriptionEvent") or "created"
    if str(kind[0] if isinstance(kind, list) else kind).lower() != "created":
        return
    value = message.get("value")
    for each in value if isinstance(value, list) else [value or {}]:
        if "SubscriptionId" in each or "AckId" in each:
            yield from _data_space(each, depth + 1)
            continue
        path = each.get("S3Path")
        name = str(each.get("Name") or message.get("ProductName") or "")
        if path is None:
            # Older entries of a queue lose their value: the place follows from the name.
            known = PRODUCT_NAME.search(name)
            if known is None:
                raise NotANotificationError("notification without S3Path and name")
            day = known["start"]
            path = f"{_EODATA}/{day[:4]}/{day[4:6]}/{day[6:8]}/{name}"
        if PRODUCT_NAME.search(f"{path} {name}") is None:
            return
        bare = str(path).removeprefix("s3://").strip("/")
        yield Found(f"s3://{bare}/", whole=True)


def _stac(message: dict[str, Any], _: int) -> Iterator[Found]:
    try:
        yield Found(item_address(message), whole=True)
    except InputError as error:
        raise NotANotificationError(str(error)) from error


def _cloud_event(message: dict[str, Any], depth: int) -> Iterator[Found]:
    kind = str(message["type"])
    data: Any = message.get("data")
    data = _parsed(data) if isinstance(data, str) else data
    if kind == "io.s2cloud.l1c.ready":
        yield Found(str(data["url"]), whole=bool(data.get("complete", False)))
    elif kind == "google.cloud.storage.object.v1.finalized":
        yield from _google_object(data, depth)
    elif kind == "Microsoft.Storage.BlobCreated":
        yield from _blob(message)
    elif kind.lower().startswith(_AWS_TYPES):
        yield from _aws_data(data, depth)
    elif isinstance(data, dict) and any(belongs(data) for belongs, _ in _FORMS):
        # Brokers wrap what they were given, under types of their own.
        yield from addresses_in(data, depth + 1)


def _aws_data(data: Any, depth: int) -> Iterator[Found]:
    """A whole notification, or one record of it, or the detail of EventBridge."""
    if "Records" in data or "detail-type" in data:
        yield from addresses_in(data, depth + 1)
    elif "s3" in data:
        record = {"eventName": "ObjectCreated:Put", **data}
        yield from _records({"Records": [record]}, depth)
    else:
        container = data.get("detail", data)
        if "s3" in container:
            yield from _aws_data(container, depth)
        else:
            yield Found(f"s3://{container['bucket']['name']}/{container['object']['key']}")


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotANotificationError("text that is not JSON") from error


def _has(*names: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: all(name in message for name in names)


_FORMS: Final[
    tuple[
        tuple[Callable[[dict[str, Any]], bool], Callable[[dict[str, Any], int], Iterator[Found]]],
        ...,
    ]
] = (
    (_has("specversion", "type"), _cloud_event),
    (_has("Records"), _records),
    (_has("EventName", "Key"), _bare_minio),
    (lambda message: message.get("Event") == "s3:TestEvent", _nothing),
    (_has("detail-type", "detail"), _event_bridge),
    (_has("Type", "Message"), _sns),
    (
        lambda message: (
            isinstance(message.get("message"), dict)
            and bool({"data", "attributes"} & message["message"].keys())
        ),
        _pub_sub,
    ),
    (_has("eventType", "subject"), _event_grid),
    (lambda message: isinstance(message.get("tiles"), list), _archive),
    (
        lambda message: bool({"SubscriptionId", "AckId", "SubscriptionEvent"} & message.keys()),
        _data_space,
    ),
    (lambda message: message.get("type") == "Feature" and "assets" in message, _stac),
    (lambda message: message.get("kind") == "storage#object", _google_object),
)
