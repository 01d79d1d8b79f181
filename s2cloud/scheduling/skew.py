"""Client, scheduler and workers of one version, or a word about who differs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distributed import Client

__all__ = ["differences", "require_equal_versions"]

logger = logging.getLogger(__name__)

#: Other versions of these make other pixels, or cannot talk to one another.
_STRICT: Final = ("s2cloud", "dask", "distributed")
#: Other versions of these are told of.
_LENIENT: Final = ("numpy", "xarray", "numba", "zarr", "imagecodecs", "cloudpickle", "msgpack")


def require_equal_versions(client: Client, *, allow: bool = False) -> None:
    """Compare the versions of the programs of a cluster.

    Parameters
    ----------
    client
        Client of the cluster.
    allow
        Warn where an error would be raised.

    Raises
    ------
    UsageError
        If s2cloud, dask, distributed or the minor version of Python differ.
    """
    versions = client.get_versions(packages=[*_STRICT, *_LENIENT])
    hard, soft = differences(versions)
    for line in soft:
        logger.warning("versions differ: %s", line)
    if not hard:
        return
    if allow:
        logger.warning("versions differ: %s", "; ".join(hard))
        return
    raise UsageError(
        "versions of the cluster differ",
        expected="the same everywhere",
        found="; ".join(hard),
        fix="use one image or environment for client, scheduler and workers, "
        "or pass allow_skew=true",
    )


def differences(versions: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Lines about packages that differ: those that must not, and the others.

    Parameters
    ----------
    versions
        As returned by ``Client.get_versions``.
    """
    places: dict[str, dict[str, str]] = {"client": _flat(versions["client"])}
    if versions.get("scheduler"):
        places["scheduler"] = _flat(versions["scheduler"])
    for address, found in (versions.get("workers") or {}).items():
        places[f"worker {address}"] = _flat(found)
    hard: list[str] = []
    soft: list[str] = []
    for package in ("python", *_STRICT, *_LENIENT):
        have = {place: packages.get(package, "none") for place, packages in places.items()}
        if len(set(have.values())) > 1:
            by_version: dict[str, list[str]] = {}
            for place, version in have.items():
                by_version.setdefault(version, []).append(place)
            words = ", ".join(
                f"{version} on {_some(where)}" for version, where in by_version.items()
            )
            (soft if package in _LENIENT else hard).append(f"{package} {words}")
    return hard, soft


def _flat(found: Mapping[str, Any]) -> dict[str, str]:
    packages = {name: str(version) for name, version in dict(found["packages"]).items()}
    python = packages.get("python", "")
    # 3.11.7 and 3.11.9 understand each other's pickles.
    return packages | {"python": ".".join(python.split(".")[:2])}


def _some(places: list[str], most: int = 3) -> str:
    rest = len(places) - most
    return " and ".join(places[:most]) + (f" and {rest} more" if rest > 0 else "")
