"""A whole product in one go: all formats from one computation, one STAC item, one receipt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from s2cloud.io.cog_writer import CogTarget
from s2cloud.io.commit import commit
from s2cloud.io.safe_writer import SafeTarget
from s2cloud.io.zarr_writer import ZarrOptions, ZarrTarget
from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    import xarray as xr

    from s2cloud.io.receipt import Receipt
    from s2cloud.io.target import Target

__all__ = ["FORMATS", "USUAL", "Format", "write_product"]

Format = Literal["cog", "zarr", "safe"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
#: Formats of a product where none are named.
USUAL: Final[tuple[Format, ...]] = ("cog", "zarr")


def write_product(  # noqa: PLR0913 -- one keyword per choice
    l2a: xr.DataTree,
    destination: str | os.PathLike[str],
    *,
    formats: Sequence[Format] = USUAL,
    storage_options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    stac: bool = True,
    settle: Callable[[], None] | None = None,
    zarr: ZarrOptions | None = None,
    l1c: xr.DataTree | None = None,
) -> Receipt:
    """Write a product in some formats and commit it with one receipt.

    Parameters
    ----------
    l2a
        Tree returned by ``process``; it is computed here, once for all formats.
    destination
        Product folder, local path or URL: GeoTIFFs lie in it, the Zarr store is
        ``<product name>.zarr`` below it, the SAFE product
        ``<product name of baseline 99.99>.SAFE``, beside ``<product name>.json`` and
        ``receipt.json``.
    formats
        Any of ``cog``, ``zarr`` and ``safe``.
    storage_options
        Options of the file system.
    overwrite
        Replace a different product that is committed there.
    stac
        Write a STAC item.
    settle
        Called after a failure and before the clean-up; on a cluster it waits for the tasks that
        still run there.
    zarr
        Layout of the Zarr store.
    l1c
        Tree of ``open_l1c`` that the product was made from: a SAFE product repeats its quality
        masks. Without it there are none.

    Returns
    -------
    Receipt
        What was written, or what was found if the same product is there already. Formats that
        are missing from the product found are added to it.

    Raises
    ------
    UsageError
        If another product is there and `overwrite` is False, or a format is unknown.
    CapacityError
        If a disk or the memory is full.

    Notes
    -----
    The receipt is written after everything else and is the only proof of a product. When
    anything fails, what was written is removed and no receipt is made. A product that is being
    replaced loses its receipt first; it is not restored if the replacement fails.
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown or not formats:
        raise UsageError(
            "unknown output format",
            found=", ".join(unknown) or "none",
            expected=" or ".join(FORMATS),
            fix="choose one or several of them",
        )
    targets: dict[str, Callable[[], Target]] = {
        "cog": CogTarget,
        "zarr": lambda: ZarrTarget(options=zarr or ZarrOptions()),
        "safe": lambda: SafeTarget(l1c=l1c),
    }
    return commit(
        l2a,
        str(destination),
        [targets[name]() for name in FORMATS if name in formats],
        storage_options=storage_options,
        overwrite=overwrite,
        item=stac,
        settle=settle,
    )
