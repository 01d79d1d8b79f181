"""The receipt: what was written, written last; a product without a receipt does not exist."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Final

from s2cloud.io.stores import Store, open_store
from s2cloud.io.urls import parent_url
from s2cloud.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Asset", "Layout", "Receipt", "canonical_json", "digest_of", "existing_receipt"]

_ZARR: Final = ".zarr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file, or one Zarr store, of a product.

    Attributes
    ----------
    key
        Name within the product, ``b02_10m``, ``zarr``, ``item``.
    href
        Path relative to the folder that holds the receipt.
    media_type
        As in STAC.
    roles
        As in STAC: ``data``, ``reflectance``, ``visual``, ``metadata``.
    size
        Length; of a Zarr store the sum over its objects. [byte]
    sha256
        Of the file; of a Zarr store, of the lines ``path sha256`` of its objects, sorted by path.
    title
        Words for people.
    bands
        Sensor bands in the order of the file.
    dtype, shape
        Type and rows, columns of the pixels; empty where there are none.
    resolution
        Nominal pixel size, 0 if there is none. [m]
    crs, transform
        Reference system and affine coefficients in the order of rasterio.
    scale, offset, nodata
        ``value = stored * scale + offset`` unless ``stored == nodata``.
    unit
        Unit of the value.
    statistics
        ``valid_percent`` [%] and, over valid pixels, ``minimum``, ``maximum``, ``mean`` of the
        decoded values.
    """

    key: str
    href: str
    media_type: str
    roles: tuple[str, ...]
    size: int
    sha256: str
    title: str = ""
    bands: tuple[str, ...] = ()
    dtype: str = ""
    shape: tuple[int, ...] = ()
    resolution: int = 0
    crs: str = ""
    transform: tuple[float, ...] = ()
    scale: float = 1.0
    offset: float = 0.0
    nodata: int | None = None
    unit: str = ""
    statistics: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Asset:
        """Inverse of ``dataclasses.asdict`` after a trip through JSON."""
        known = {f.name for f in fields(cls)}
        tuples = ("roles", "bands", "shape", "transform")
        kept: dict[str, Any] = {
            k: tuple(v) if k in tuples else v for k, v in values.items() if k in known
        }
        return cls(**kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that a product is complete, with what is needed to check and to repeat it.

    Attributes
    ----------
    product
        Name of the Level-2A product.
    formats
        ``cog``, ``zarr``: what the folder holds.
    destination
        Address of the folder that holds the assets, without secrets.
    assets
        What was written.
    created
        When the product was committed, ISO 8601 UTC.
    software
        Program and version, ``s2cloud 0.1.0``.
    digest
        Identity of the *content*: granule, grids, configuration, software. Equal digests mean
        equal pixels; a second run recognises its own work by it.
    config_digest
        SHA-256 of the configuration alone.
    source
        Identity of the granule, `Granule.to_attrs`.
    provenance
        As recorded by ``process``.
    statistics
        ``class_counts`` by class number, ``percentages`` by name [%], ``mean_aot``,
        ``mean_wvp`` [kg m-2].
    warnings
        What the user should know.
    timings
        Wall-clock times by part. [s]
    """

    name: ClassVar[str] = "receipt.json"

    product: str
    formats: tuple[str, ...]
    destination: str
    assets: tuple[Asset, ...]
    created: str
    software: str
    digest: str
    config_digest: str = ""
    source: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Length of all assets. [byte]."""
        return sum(asset.size for asset in self.assets)

    def asset(self, key: str) -> Asset:
        """Asset of that key."""
        for asset in self.assets:
            if asset.key == key:
                return asset
        raise InputError(
            "no such asset",
            where=self.product,
            expected=", ".join(asset.key for asset in self.assets),
            found=key,
        )

    def to_json(self) -> str:
        """JSON text, keys sorted, for people too."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, default=str) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str = "") -> Receipt:
        """Inverse of `to_json`.

        Raises
        ------
        InputError
            If the text is no receipt.
        """
        try:
            values = json.loads(text)
            known = {f.name for f in fields(cls)}
            values = {k: v for k, v in values.items() if k in known}
            values["assets"] = tuple(Asset.from_dict(a) for a in values["assets"])
            values["formats"] = tuple(values["formats"])
            values["warnings"] = tuple(values.get("warnings", ()))
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(
                "not a receipt",
                where=where or cls.name,
                found=f"{type(error).__name__} {error}",
                fix="the product was damaged or made by another program; write it again",
            ) from error


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a product lie.

    Attributes
    ----------
    root
        Folder that the other names are relative to.
    receipt, item
        Names of the receipt and the STAC item.
    zarr
        Name of the Zarr store.
    """

    root: str
    receipt: str
    item: str
    zarr: str

    @property
    def progress(self) -> str:
        """Folder for the lease and the journal of a run; gone when the product is there."""
        return self.receipt.removesuffix(Receipt.name) + "progress"

    @classmethod
    def of(cls, destination: str, product: str = "") -> Layout:
        """Layout below a destination.

        A destination that ends in ``.zarr`` is the store itself. Receipt and item then lie
        beside it under its name: foreign files inside a Zarr hierarchy make readers warn.
        """
        if destination.rstrip("/").endswith(_ZARR):
            root, zarr = parent_url(destination.rstrip("/"))
            stem = zarr.removesuffix(_ZARR)
            return cls(root, f"{stem}.{Receipt.name}", f"{stem}.json", zarr)
        return cls(destination, Receipt.name, f"{product}.json", f"{product}{_ZARR}")


def existing_receipt(
    destination: str, storage_options: Mapping[str, Any] | None = None
) -> Receipt | None:
    """Receipt of the product at a destination.

    Parameters
    ----------
    destination
        Product folder or ``.zarr`` address, as given to a writer.
    storage_options
        Options of its file system.

    Returns
    -------
    Receipt or None
        None if no product was committed there.

    Examples
    --------
    >>> existing_receipt("memory://nothing/here") is None
    True
    """
    layout = Layout.of(str(destination))
    return read_receipt(open_store(layout.root, storage_options), layout.receipt)


def read_receipt(store: Store, name: str) -> Receipt | None:
    """Receipt of that name in a store, None if there is none."""
    try:
        text = store.read(name)
    except InputError:
        return None
    return Receipt.from_json(text, where=store.url(name))


def canonical_json(value: object) -> str:
    """JSON text that is equal for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def digest_of(value: object) -> str:
    """SHA-256 of the canonical JSON text of a value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
