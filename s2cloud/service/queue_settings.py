"""Settings of the queues that events are taken from."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = [
    "AmqpQueue",
    "DataspaceQueue",
    "KafkaQueue",
    "NatsQueue",
    "QueueSettings",
    "RedisQueue",
    "SqsQueue",
]


class _Queue(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    hold: int = Field(default=100, ge=1)
    """Messages held at once, one per product that has not ended; further ones wait."""

    @field_validator("url", "servers", check_fields=False)
    @classmethod
    def _no_password(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for each in (value,) if isinstance(value, str) else value:
            if re.match(r"[a-z0-9+]+://[^/]*:[^/@]*@", each):
                raise ValueError("passwords do not stand in settings; use password_file")
        return value


class SqsQueue(_Queue):
    """Amazon SQS, fed by notifications of S3, SNS or EventBridge."""

    kind: Literal["sqs"]
    url: str
    """Of the queue."""
    region: str | None = None
    """Region of the queue; that of the environment by default."""
    endpoint_url: str | None = None
    """Endpoint of a server other than Amazon's."""
    visibility_seconds: int = Field(default=120, ge=10, le=43200)
    """A message that is not extended for so long goes to another consumer. [s]"""


class NatsQueue(_Queue):
    """Stream of NATS JetStream."""

    kind: Literal["nats"]
    servers: tuple[str, ...] = Field(min_length=1)
    """Addresses such as ``nats://host:4222``."""
    stream: str
    """Name of the stream."""
    subject: str = ">"
    """Subjects of the stream that are events."""
    consumer: str = "s2cloud"
    """Name of the durable consumer, shared by all processes."""
    ack_seconds: float = Field(default=60.0, gt=1.0)
    """A message that is not extended for so long is sent again. [s]"""
    credentials_file: str | None = None
    """File of credentials as ``nsc`` writes it."""


class AmqpQueue(_Queue):
    """Queue of RabbitMQ or another broker of AMQP 0.9.1."""

    kind: Literal["amqp"]
    url: str
    """Such as ``amqp://user@host:5672/vhost``; ``amqps`` for TLS."""
    queue: str
    """Name; declared durable if it is not there."""
    password_file: str | None = None
    """File that holds the password; read again when it changes."""


class RedisQueue(_Queue):
    """Stream of Redis."""

    kind: Literal["redis"]
    url: str
    """Such as ``redis://user@host:6379/0``; ``rediss`` for TLS."""
    stream: str
    """Name of the stream."""
    group: str = "s2cloud"
    """Consumer group, shared by all processes."""
    idle_seconds: float = Field(default=120.0, gt=1.0)
    """Messages of consumers that were silent for so long are taken over. [s]"""
    password_file: str | None = None
    """File that holds the password; read again when it changes."""


class KafkaQueue(_Queue):
    """Topic of Kafka; offsets are committed once jobs are recorded, for they are cumulative."""

    kind: Literal["kafka"]
    servers: tuple[str, ...] = Field(min_length=1)
    """Bootstrap servers, ``host:9092``."""
    topic: str
    """Name of the topic."""
    group: str = "s2cloud"
    """Consumer group, shared by all processes."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How the connection is secured."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the user is told to the broker."""
    user: str | None = None
    """Name of the user, for SASL."""
    password_file: str | None = None
    """File that holds the password; read again when it changes."""


class DataspaceQueue(_Queue):
    """Pull subscription of the Copernicus Data Space; acknowledged once jobs are recorded."""

    kind: Literal["dataspace"]
    subscription: str
    """Identifier of the subscription."""
    url: str = "https://catalogue.dataspace.copernicus.eu/odata/v1"
    """Address of the subscriptions."""
    token_url: str = (
        "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token"  # noqa: S105  # an address
    )
    """Where access tokens are had."""
    user: str
    """Name of the account."""
    password_file: str
    """File that holds the password; read again when it changes."""
    every_seconds: float = Field(default=60.0, gt=0.0)
    """Pause between two questions. [s]"""


QueueSettings = SqsQueue | NatsQueue | AmqpQueue | RedisQueue | KafkaQueue | DataspaceQueue
