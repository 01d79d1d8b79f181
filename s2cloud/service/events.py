"""What arrived, told apart: CloudEvents in their three modes, and everybody else's envelopes.

Pure functions from headers and bytes to addresses; nothing is fetched. The bodies of the single
formats are read in `s2cloud.service.notifications`.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from s2cloud.model.errors import InputError
from s2cloud.service.notifications import Found, NotANotificationError, addresses_in

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Arrival", "parse_http", "parse_message"]

_STRUCTURED: Final = "application/cloudevents+json"
_BATCH: Final = "application/cloudevents-batch+json"
#: Attributes that every CloudEvent has.
_REQUIRED: Final = ("id", "source", "type")


@dataclass(frozen=True, slots=True)
class Arrival:
    """What one request or message says.

    Attributes
    ----------
    found
        Addresses of objects or products it names; none for events of other kinds.
    answer
        To be sent back at once, for handshakes; None without one.
    confirm
        Address that a topic of SNS wants to be asked to confirm its subscription; empty if none.
    """

    found: tuple[Found, ...] = ()
    answer: dict[str, str] | None = None
    confirm: str = ""


def parse_http(headers: Mapping[str, str], body: bytes) -> Arrival:
    """What a request to ``/events`` says.

    Parameters
    ----------
    headers
        Of the request; names in any case.
    body
        As it was sent.

    Raises
    ------
    InputError
        If it is no event of a known form.

    Examples
    --------
    >>> body = b'{"EventName": "s3:ObjectCreated:Put", "Key": "l1c/a.SAFE/manifest.safe"}'
    >>> parse_http({"content-type": "application/json"}, body).found[0].url
    's3://l1c/a.SAFE/manifest.safe'
    """
    lower = {name.lower(): value for name, value in headers.items()}
    content_type = lower.get("content-type", "").partition(";")[0].strip().lower()
    if "ce-specversion" in lower:
        attributes = {name[3:]: value for name, value in lower.items() if name.startswith("ce-")}
        return _event(attributes | {"data": _data(body, content_type)})
    message = _json(body)
    if content_type == _STRUCTURED:
        if not isinstance(message, dict):
            raise InputError("not a CloudEvent", found=type(message).__name__, expected="object")
        return _event(message)
    if content_type == _BATCH:
        if not isinstance(message, list):
            raise InputError("not a batch of CloudEvents", found=type(message).__name__)
        found = [each for event in message for each in _event(event).found]
        return Arrival(tuple(found))
    return _arrival(message)


def parse_message(body: bytes, headers: Mapping[str, str] | None = None) -> Arrival:
    """What a message of a queue says.

    Parameters
    ----------
    body
        As it was taken from the queue.
    headers
        Properties of the message, for CloudEvents in binary mode; Kafka and AMQP write
        ``ce_`` and ``cloudEvents:`` where HTTP has ``ce-``.

    Raises
    ------
    InputError
        If it is no event of a known form.
    """
    names = {}
    for name, value in (headers or {}).items():
        lower = name.lower()
        for prefix in ("ce_", "cloudevents:", "cloudevents_"):
            if lower.startswith(prefix):
                lower = "ce-" + lower[len(prefix) :]
        names[lower] = value
    return parse_http(names, body)


def _arrival(message: Any) -> Arrival:
    answer = _validation(message)
    if answer is not None:
        return Arrival(answer=answer)
    if isinstance(message, dict) and message.get("Type") == "SubscriptionConfirmation":
        return Arrival(confirm=str(message.get("SubscribeURL", "")))
    try:
        return Arrival(tuple(addresses_in(message)))
    except NotANotificationError as error:
        raise InputError(
            "not an event of a known form",
            found=str(error),
            expected="CloudEvents, S3 records, EventBridge, Pub/Sub, Event Grid, SNS, Data Space",
        ) from error


def _event(event: Any) -> Arrival:
    if not isinstance(event, dict) or any(not event.get(name) for name in _REQUIRED):
        raise InputError(
            "not a CloudEvent", expected=f"attributes {', '.join(_REQUIRED)}", found="others"
        )
    if "data_base64" in event:
        data = event["data_base64"]
        try:
            event = event | {"data": _json(base64.b64decode(str(data), validate=True))}
        except binascii.Error as error:
            raise InputError("data_base64 of a CloudEvent is none") from error
    return _arrival({"specversion": "1.0"} | event)


def _validation(message: Any) -> dict[str, str] | None:
    """Answer to the handshake of Azure Event Grid's own schema."""
    for event in message if isinstance(message, list) else [message]:
        if not isinstance(event, dict):
            continue
        kind = event.get("eventType") or event.get("type")
        if kind == "Microsoft.EventGrid.SubscriptionValidationEvent":
            data = event.get("data")
            code = data.get("validationCode") if isinstance(data, dict) else None
            return {"validationResponse": str(code or "")}
    return None


def _data(body: bytes, content_type: str) -> Any:
    if content_type in {"", "application/json"} or content_type.endswith("+json"):
        return _json(body) if body.strip() else {}
    return {}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError("not JSON", found=type(error).__name__) from error
