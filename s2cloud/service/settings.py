"""Settings of the service: one file, checked in full before anything starts."""

from __future__ import annotations

import re
from datetime import date  # noqa: TC003  # pydantic needs it at run time
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from s2cloud.config import ProcessorConfig
from s2cloud.model.errors import UsageError
from s2cloud.service.queue_settings import QueueSettings  # noqa: TC001  # as above

__all__ = [
    "AnnounceSettings",
    "BucketPoll",
    "ClusterSettings",
    "FilterSettings",
    "HttpSettings",
    "JobSettings",
    "LogSettings",
    "OidcSettings",
    "Settings",
    "StacPoll",
    "StoreSettings",
    "load_settings",
    "read_secret",
]

#: Names of options of file systems whose values are secrets, and values that are none.
_SECRET: Final = re.compile(
    r"secret|passw|token|credential|signature|connection_string|^key$|_key$"
)
_HARMLESS: Final = frozenset({"anon", "cloud", "google_default", "cache"})
_TILE: Final = re.compile(r"\d{2}[A-Z]{3}")


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class StoreSettings(_Options):
    """A prefix of a store."""

    url: str
    """Prefix such as ``s3://bucket/`` or a folder."""
    options: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Options of the file system such as ``endpoint_url``. Keys and passwords do not stand here:
    they come from the usual environment variables or files of the store's own library."""

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str) -> str:
        if not url or "?" in url or "#" in url or re.match(r"[a-z0-9+]+://[^/]*:[^/]*@", url):
            raise ValueError("a path or URL without user, password and query is expected")
        return url

    @field_validator("options")
    @classmethod
    def _no_secrets(cls, options: dict[str, Any]) -> dict[str, Any]:
        found = sorted(_secrets_in(options))
        if found:
            raise ValueError(
                f"{', '.join(found)}: secrets do not stand in settings; use the environment "
                "(AWS_ACCESS_KEY_ID, ...) or the identity of the machine"
            )
        return options


class FilterSettings(_Options):
    """Which products are made; the others are refused, for good."""

    tiles: tuple[str, ...] = ()
    """MGRS tiles such as ``32TQM``, or beginnings of their names; all if empty."""
    since: date | None = None
    """First day of sensing."""
    until: date | None = None
    """Last day of sensing."""
    max_cloud_cover: float | None = Field(default=None, ge=0.0, le=100.0)
    """Cloud cover as the metadata of the input says. [%]"""
    max_sza: float | None = Field(default=85.0, gt=0.0, le=90.0)
    """Mean solar zenith angle above which no surface reflectance can be had. [degree]"""
    geometry: dict[str, Any] | None = None
    """GeoJSON geometry in degrees; products whose footprint meets it are made."""

    @field_validator("tiles")
    @classmethod
    def _known_form(cls, tiles: tuple[str, ...]) -> tuple[str, ...]:
        for tile in tiles:
            if not _TILE.fullmatch(tile.ljust(5, "A") if len(tile) > 2 else tile + "AAA"):
                raise ValueError(f"{tile!r} is no tile such as 32TQM, nor the beginning of one")
        return tiles

    @field_validator("geometry")
    @classmethod
    def _shape(cls, geometry: dict[str, Any] | None) -> dict[str, Any] | None:
        if geometry is not None and "coordinates" not in geometry:
            raise ValueError("a GeoJSON geometry with type and coordinates is expected")
        return geometry


class OidcSettings(_Options):
    """Signed tokens, as Google Pub/Sub and Azure Event Grid send them."""

    audience: str = Field(min_length=1)
    """What tokens are made out for: the address of the webhook, as the subscription has it."""
    senders: tuple[str, ...] = Field(min_length=1)
    """Accounts that may send, by ``email``, ``sub``, ``azp`` or ``appid`` of their tokens."""
    issuer: str = "https://accounts.google.com"
    """Who signs; ``https://sts.windows.net/TENANT/`` for Azure."""
    keys_url: str = Field(
        default="https://www.googleapis.com/oauth2/v3/certs", pattern=r"^https?://"
    )
    """Public keys of the issuer, a JSON web key set."""


class HttpSettings(_Options):
    """The one port of the service."""

    host: str = "0.0.0.0"  # noqa: S104  # a pod's only way to be reached
    """Interface."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port, 0 for any that is free."""
    max_body_bytes: int = Field(default=1_048_576, ge=1024)
    """Largest event that is read."""
    requests_per_minute: int = Field(default=600, ge=1)
    """Most events per minute; more are answered with 429."""
    secret_file: str | None = None
    """File of secrets, one per line, each of them valid: so one can be replaced by another.
    ``user:password`` for ``basic``. Read again when it changes."""
    authentication: Literal["bearer", "hmac", "basic", "oidc", "none"] = "bearer"
    """How senders of events show who they are; ``hmac`` is ``X-Hub-Signature-256``."""
    oidc: OidcSettings | None = None
    """Whose tokens are valid, for ``oidc``."""
    allowed_origins: tuple[str, ...] = ("eventgrid.azure.net",)
    """Senders that the OPTIONS handshake of CloudEvents permits, ``*`` for all."""

    @model_validator(mode="after")
    def _has_secret(self) -> HttpSettings:
        if (self.authentication == "oidc") != (self.oidc is not None):
            raise ValueError("authentication: oidc and the block oidc belong together")
        if self.authentication not in {"none", "oidc"} and not self.secret_file:
            raise ValueError(
                f"authentication {self.authentication} needs secret_file; "
                "authentication: none lets everybody in"
            )
        return self


class BucketPoll(_Options):
    """A prefix that is listed now and then, for stores that send no events."""

    url: str
    """Prefix, inside of one of the sources."""
    every_seconds: float = Field(default=300.0, gt=0.0)
    """Time between two listings. [s]"""


class StacPoll(_Options):
    """A STAC API that is searched now and then."""

    stac: str
    """Address of the API."""
    query: dict[str, Any] = Field(default_factory=dict)
    """As `s2cloud.search_l1c` takes it: ``collections``, ``bbox``, ``datetime``, ..."""
    days: float = Field(default=3.0, gt=0.0)
    """How far to look back where the query names no time."""
    every_seconds: float = Field(default=300.0, gt=0.0)
    """Time between two searches. [s]"""


class ClusterSettings(_Options):
    """Where blocks are computed, as in `s2cloud.cluster`."""

    kind: str = "threads"
    """``threads``, ``local``, ``address``, ``slurm``, ``kubernetes`` or ``gateway``."""
    address: str | None = None
    """Of the scheduler such as ``tcp://host:8786``, for ``address``."""
    workers: int | None = Field(default=None, ge=1)
    """Workers, or threads of ``threads``."""
    threads: int | None = Field(default=None, ge=1)
    """Threads per worker."""
    memory: str | int | None = None
    """Memory per worker such as ``8GiB``."""
    options: dict[str, Any] = Field(default_factory=dict, repr=False)
    """More for the kind of cluster, as ``--cluster-option``."""

    @model_validator(mode="after")
    def _addressed(self) -> ClusterSettings:
        if (self.kind == "address") != (self.address is not None):
            raise ValueError("kind: address and an address belong together")
        return self


class JobSettings(_Options):
    """How products are made."""

    in_flight: int = Field(default=1, ge=1)
    """Products that one process makes at once."""
    attempts: int = Field(default=5, ge=1)
    """Tries before a product goes to the failed ones. Tries whose process died count."""
    lease_seconds: float = Field(default=120.0, ge=30.0)
    """A process that shows no sign of life for so long has lost its products. [s]"""
    ready_within_seconds: float = Field(default=3600.0, gt=0.0)
    """A product that is not complete so long after its first event has failed. [s]"""
    settle_seconds: float = Field(default=60.0, ge=0.0)
    """Inputs without a manifest are complete when nothing was added for so long. [s]"""
    retry_seconds: float = Field(default=30.0, gt=0.0)
    """Before the second try; doubled for each further one. [s]"""
    scan_seconds: float = Field(default=5.0, gt=0.0)
    """Between two looks at the jobs in the store. [s]"""
    drain_seconds: float = Field(default=60.0, ge=0.0)
    """How long running products may go on after SIGTERM. [s]"""
    keep_days: int = Field(default=90, ge=7)
    """How long lists of ended jobs and messages that could not be read are kept. What became of a
    job stays, so that late events do not make its product again. [d]"""


class AnnounceSettings(_Options):
    """Who is told of products by CloudEvents."""

    url: str
    """Receives POST requests."""
    secret_file: str | None = None
    """Bearer token sent along."""


class LogSettings(_Options):
    """What is written to standard error."""

    format: Literal["json", "text"] = "json"
    """One JSON object per line, or lines for people."""


class Settings(_Options):
    """Settings of ``s2cloud serve``."""

    processing: ProcessorConfig = ProcessorConfig()
    """As in ``s2cloud process --config``."""
    auxiliary_options: dict[str, Any] = Field(default_factory=dict, repr=False)
    """Options of the file systems of auxiliary maps."""
    sources: tuple[StoreSettings, ...] = Field(min_length=1)
    """The only places that are ever read; events that name others are refused."""
    destination: StoreSettings
    """Where products go."""
    state: StoreSettings | None = None
    """Where jobs and leases are kept; ``.s2cloud`` below the destination by default."""
    formats: tuple[Literal["cog", "zarr", "safe"], ...] = Field(
        default=("cog", "zarr"), min_length=1
    )
    filters: FilterSettings = FilterSettings()
    http: HttpSettings = HttpSettings.model_construct()
    queues: tuple[Annotated[QueueSettings, Field(discriminator="kind")], ...] = ()
    polls: tuple[BucketPoll | StacPoll, ...] = ()
    cluster: ClusterSettings = ClusterSettings()
    jobs: JobSettings = JobSettings()
    announce: AnnounceSettings | None = None
    log: LogSettings = LogSettings()

    @field_validator("auxiliary_options")
    @classmethod
    def _no_secrets(cls, options: dict[str, Any]) -> dict[str, Any]:
        StoreSettings(url="memory://", options=options)
        return options

    @property
    def state_store(self) -> StoreSettings:
        """Where jobs and leases are kept."""
        if self.state is not None:
            return self.state
        url = self.destination.url.rstrip("/") + "/.s2cloud"
        return StoreSettings(url=url, options=self.destination.options)


def load_settings(path: str) -> Settings:
    """Settings from a YAML file.

    Parameters
    ----------
    path
        Of the file.

    Raises
    ------
    UsageError
        If it cannot be read, holds unknown keys or values that are not possible; all of them
        are named at once, without the values.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        values = yaml.safe_load(text)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(
            "cannot read the settings", where=path, found=" ".join(str(error).split())
        ) from error
    try:
        settings = Settings.model_validate(values if isinstance(values, dict) else {})
        # Checked here, not by default: without a file of secrets the default does not hold.
        HttpSettings.model_validate(settings.http.model_dump())
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'settings'}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)
        )
        raise UsageError(
            "settings not possible",
            where=path,
            found=faults,
            fix="see `s2cloud config schema --service`",
        ) from error
    return settings


def read_secret(path: str) -> str:
    """Secret in a file, without the end of its line.

    Raises
    ------
    UsageError
        If the file cannot be read or is empty.
    """
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "cannot read a file of secrets", where=path, found=type(error).__name__
        ) from error
    if not text:
        raise UsageError("file of secrets is empty", where=path)
    return text


def _secrets_in(options: dict[str, Any], above: str = "") -> list[str]:
    found = []
    for name, value in options.items():
        if isinstance(value, dict):
            found += _secrets_in(value, f"{above}{name}.")
        elif _SECRET.search(str(name).lower()) and value and value not in _HARMLESS:
            found.append(f"{above}{name}")
    return found
