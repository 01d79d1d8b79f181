"""Events of every sender are read, and what is none is refused."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2cloud.model.errors import InputError
from s2cloud.service.events import parse_http, parse_message
from tests.service import samples


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_sample_is_read(name: str):
    headers, body, addresses = samples.SAMPLES[name]
    assert [found.url for found in parse_http(headers, body).found] == addresses


def test_kafka_and_amqp_spell_headers_in_their_own_way():
    headers, body, addresses = samples.SAMPLES["eventarc, binary"]
    for prefix in ("ce_", "cloudEvents:"):
        own = {name.replace("ce-", prefix): value for name, value in headers.items()}
        assert [found.url for found in parse_message(body, own).found] == addresses


def test_event_grid_is_answered_with_its_code():
    arrival = parse_http(samples.JSON, json.dumps(samples.GRID_VALIDATION).encode())
    assert arrival.answer == {"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}
    assert not arrival.found


def test_topic_that_wants_to_be_confirmed_is_told_apart():
    url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=1"
    body = json.dumps({"Type": "SubscriptionConfirmation", "SubscribeURL": url}).encode()
    assert parse_http({"Content-Type": "text/plain"}, body).confirm == url


@pytest.mark.parametrize("name", ["sns of the archive on aws", "data space", "stac item"])
def test_catalogues_announce_whole_products(name: str):
    headers, body, _ = samples.SAMPLES[name]
    assert all(found.whole for found in parse_http(headers, body).found)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"null",
        b"[1, 2]",
        b"{}",
        b'{"Records": [{"eventName": "ObjectCreated:Put"}]}',
        b'{"Records": [{"eventName": "ObjectCreated:Put", "eventVersion": "3.0", "s3": {}}]}',
        b'{"Records": 3}',
        b'{"message": {"data": "%%%"}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_event_is_refused(body: bytes):
    with pytest.raises(InputError, match=r"not an event of a known form|not JSON"):
        parse_http(samples.JSON, body)


def test_cloud_event_without_its_attributes_is_refused():
    with pytest.raises(InputError, match="not a CloudEvent"):
        parse_http({"Content-Type": "application/cloudevents+json"}, b'{"specversion": "1.0"}')


_BODIES = " ".join(str(body) for _, body, _ in samples.SAMPLES.values())
_NAMES = sorted(set(re.findall(r'"([\w-]+)":', _BODIES)))
_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_NAMES),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_JSON_VALUES)
def test_any_json_is_read_or_refused_and_nothing_else(value: object):
    try:
        parse_http(samples.JSON, json.dumps(value).encode())
    except InputError:
        return
