"""From a key to the product it belongs to; only in places that the settings name."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, Literal

from s2cloud.io.urls import public_url
from s2cloud.model.errors import InputError
from s2cloud.model.granule import PRODUCT_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from s2cloud.service.settings import Settings, StoreSettings

__all__ = ["Candidate", "NotAllowedError", "candidate_of"]

Kind = Literal["safe", "zip", "zarr", "tile"]

#: Names of products in folders of products; anything else after the name is something else.
_SUFFIXES: Final[Mapping[str, Kind]] = {
    ".SAFE": "safe",
    ".SAFE.zip": "zip",
    ".zip": "zip",
    ".zarr": "zarr",
}
#: Tile in the layout of the open data on AWS.
_TILE: Final = re.compile(
    r"(?:^|/)tiles/(?P<zone>\d{1,2})/(?P<band>[A-Z])/(?P<square>[A-Z]{2})"
    r"/(?P<year>\d{4})/(?P<month>\d{1,2})/(?P<day>\d{1,2})/\d+(?=/|$)"
)
_SAME: Final = {"gcs": "gs", "s3a": "s3", "az": "abfs", "abfss": "abfs"}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\\]")


class NotAllowedError(InputError):
    """An event names what the settings do not, or what no key may look like."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A product that may be made.

    Attributes
    ----------
    job
        Name of its job: tile, day and a fingerprint of product, formats and configuration, so
        that events of one product meet in one job whatever they came by.
    url
        Of the product, below the source.
    source
        Number of the source in the settings.
    kind
        How it is laid out.
    name
        Of the product; the path in the layout of AWS.
    tile
        MGRS tile.
    day
        Of sensing.
    """

    job: str
    url: str
    source: int
    kind: Kind
    name: str
    tile: str
    day: date

    def to_dict(self) -> dict[str, Any]:
        """Values for JSON."""
        return {
            "job": self.job,
            "url": self.url,
            "source": self.source,
            "kind": self.kind,
            "name": self.name,
            "tile": self.tile,
            "day": self.day.isoformat(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Candidate:
        """Inverse of `to_dict`."""
        known = {name: values[name] for name in cls.__slots__}
        return cls(**known | {"day": date.fromisoformat(values["day"])})


def candidate_of(url: str, settings: Settings) -> Candidate | None:
    """Product that an object belongs to.

    Parameters
    ----------
    url
        Of any object of a product, or of the product.
    settings
        Of the service.

    Returns
    -------
    Candidate or None
        None for objects that belong to no Level-1C product.

    Raises
    ------
    NotAllowedError
        If it is in none of the sources, or not plainly written.

    Examples
    --------
    >>> from s2cloud.service.settings import Settings, StoreSettings
    >>> settings = Settings(
    ...     sources=(StoreSettings(url="s3://l1c/"),), destination=StoreSettings(url="s3://l2a/")
    ... )
    >>> name = "S2A_MSIL1C_20250615T101559_N0511_R022_T32TQM_20250615T121559.SAFE"
    >>> candidate_of(f"s3://l1c/2025/{name}/manifest.safe", settings).url
    's3://l1c/2025/S2A_MSIL1C_20250615T101559_N0511_R022_T32TQM_20250615T121559.SAFE'
    """
    url = plain(url)
    home = normal(settings.destination.url)
    own = _is_below(url, home) or _is_below(url, normal(settings.state_store.url))
    if own and not any(_is_below(normal(each.url), home) for each in settings.sources):
        # What we write ourselves, in the bucket that is watched or in the same server.
        return None
    number = source_of(url, settings.sources)
    prefix = normal(settings.sources[number].url)
    found = _root_of(url[len(prefix) :].lstrip("/"))
    if found is None:
        return None
    path, kind, name, tile, day = found
    root = f"{settings.sources[number].url.rstrip('/')}/{path}"
    where = root if kind == "tile" else ""
    what = [name, ",".join(sorted(settings.formats)), settings.processing.digest, where]
    digest = hashlib.sha256("\n".join(what).encode()).hexdigest()[:16]
    job = f"{tile}-{day:%Y%m%d}-{digest}"
    return Candidate(job, root, number, kind, name, tile, day)


def source_of(url: str, sources: Sequence[StoreSettings]) -> int:
    """Number of the source that an address lies in, of the longest prefix.

    Raises
    ------
    NotAllowedError
        If it lies in none.
    """
    within = [n for n, each in enumerate(sources) if _is_below(url, normal(each.url))]
    if not within:
        raise NotAllowedError(
            "not in any source of the settings",
            where=public_url(url)[:300],
            expected=", ".join(public_url(each.url) for each in sources),
        )
    return max(within, key=lambda n: len(sources[n].url))


def plain(url: str) -> str:
    """Address in normal form.

    Raises
    ------
    NotAllowedError
        If parts of it are ``.`` or ``..`` or empty, or it holds control characters, backslashes
        or a chain of file systems.
    """
    head, separator, path = url.rpartition("://") if "://" in url else ("", "", url)
    parts = path.rstrip("/").split("/")
    if not separator and parts and not parts[0]:
        parts = parts[1:]
    bad = (
        _CONTROL.search(url)
        or "::" in url
        or "://" in head
        or any(part in {"", ".", ".."} for part in parts)
        or len(url) > 2048
    )
    if bad:
        raise NotAllowedError(
            "not a plain address", where=ascii(url[:200]), expected="store://bucket/key"
        )
    return normal(url)


def normal(url: str) -> str:
    """Address with one spelling of its protocol, without a slash at its end."""
    if url.startswith("file://"):
        url = url.removeprefix("file://")
    head, separator, path = url.partition("://")
    return f"{_SAME.get(head, head)}{separator}{path}".rstrip("/")


def _is_below(url: str, prefix: str) -> bool:
    return url == prefix or url.startswith(prefix.rstrip("/") + "/")


def _root_of(path: str) -> tuple[str, Kind, str, str, date] | None:
    """Path of the product that holds a path, its layout, name, tile and day."""
    parts = path.split("/")
    for count, part in enumerate(parts, start=1):
        found = PRODUCT_NAME.match(part)
        kind = None if found is None else _SUFFIXES.get(part[found.end() :])
        if found is None or kind is None:
            continue
        if found["level"] != "L1C" or (kind == "zip" and count < len(parts)):
            return None
        day = _day(found["start"][:4], found["start"][4:6], found["start"][6:8])
        return (
            None if day is None else ("/".join(parts[:count]), kind, found[0], found["tile"], day)
        )
    tile = _TILE.search(path)
    if tile is None:
        return None
    day = _day(tile["year"], tile["month"], tile["day"])
    root = path[: tile.end()]
    name = f"{int(tile['zone']):02d}{tile['band']}{tile['square']}"
    return None if day is None else (root, "tile", root, name, day)


def _day(*parts: str) -> date | None:
    try:
        return date(*map(int, parts))
    except ValueError:
        return None
