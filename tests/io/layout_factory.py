"""One product in other layouts: the open data on AWS, EOPF Zarr, an archive."""

from __future__ import annotations

import json
import re
import shutil
import warnings
import zipfile
from typing import TYPE_CHECKING, Any, Literal

import numcodecs  # type: ignore[import-untyped,unused-ignore]
import numpy as np
import zarr

from s2cloud.io.open import open_l1c
from s2cloud.io.safe_masks import QUALITY_LAYERS
from s2cloud.model.bands import BAND_INFO, BANDS
from s2cloud.model.granule import granule
from s2cloud.model.grid import grid_of

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

CHUNK = {10: 1830, 20: 915, 60: 305}


def archive(root: Path, target: Path, *, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(target, "w", method) as file:
        for path in sorted(root.rglob("*")):
            file.write(path, path.relative_to(root.parent))
    return target


def aws(safe: Path, bucket: Path, *, sequence: int = 0) -> tuple[Path, Path]:
    """Folders of the tile and of the product, as the bucket ``sentinel-s2-l1c`` has them."""
    inside = next((safe / "GRANULE").iterdir())
    found = re.search(r"_T(\d\d)([A-Z])([A-Z]{2})_", f"{inside.name}_")
    assert found is not None
    zone, band, square = found.groups()
    stamp = safe.name.split("_")[2]
    date = f"{stamp[:4]}/{int(stamp[4:6])}/{int(stamp[6:8])}"
    tile_path = f"tiles/{int(zone)}/{band}/{square}/{date}/{sequence}"
    product_path = f"products/{date}/{safe.stem}"
    tile, product = bucket / tile_path, bucket / product_path
    for folder in (tile / "qi", tile / "auxiliary", product):
        folder.mkdir(parents=True)
    shutil.copy(inside / "MTD_TL.xml", tile / "metadata.xml")
    shutil.copy(safe / "MTD_MSIL1C.xml", product / "metadata.xml")
    shutil.copy(safe / "manifest.safe", product / "manifest.safe")
    for path in (inside / "IMG_DATA").iterdir():
        shutil.copy(path, tile / path.name.rsplit("_", 1)[-1])
    for path in (inside / "AUX_DATA").iterdir():
        shutil.copy(path, tile / "auxiliary" / path.name.removeprefix("AUX_"))
    for path in (inside / "QI_DATA").glob("MSK_*"):
        # Since baseline 04.00 footprints and quality lost their prefix, the classes did not.
        short = path.suffix == ".jp2" and "CLASSI" not in path.name
        shutil.copy(path, tile / "qi" / (path.name.removeprefix("MSK_") if short else path.name))
    facts: dict[str, Any] = {
        "path": tile_path,
        "productName": safe.stem,
        "productPath": product_path,
    }
    (tile / "tileInfo.json").write_text(json.dumps(facts))
    facts = {"name": safe.stem, "path": product_path, "tiles": [{"path": tile_path}]}
    (product / "productInfo.json").write_text(json.dumps(facts))
    return tile, product


def eopf(
    safe: Path,
    target: Path | str,
    *,
    version: Literal[2, 3] = 2,
    consolidated: bool = True,
    **storage: Any,
) -> str:
    """Zarr store in the layout of ESA's EOPF products."""
    tree = open_l1c(safe)
    address = f"{target}/{safe.stem}.zarr"
    root = zarr.open_group(address, mode="w", zarr_format=version, storage_options=storage or None)
    root.attrs.update(_root_attributes(tree))
    grids = {r: grid_of(tree[f"measurements/reflectance/r{r}m"].to_dataset()) for r in CHUNK}
    held = {f"{node.path}/{name}".strip("/") for node in tree.subtree for name in node.data_vars}
    _axes(root, grids)
    for band in BANDS:
        size = BAND_INFO[band].resolution
        node = f"measurements/reflectance/r{size}m/{band}"
        offset = tree[node].attrs["add_offset"]
        _array(
            root,
            node,
            tree[node].to_numpy(),
            ("y", "x"),
            _band_attributes(band, offset),
            grids[size],
        )
        for family in ("quality/mask", "conditions/mask/detector_footprint"):
            node = f"{family}/r{size}m/{band}"
            if node in held:
                attrs: dict[str, Any] = {"dtype": "<u1", "long_name": family}
                if family == "quality/mask":
                    flags = [2**i for i in range(8)]
                    attrs |= {"flag_masks": flags, "flag_meanings": list(QUALITY_LAYERS)}
                _array(root, node, tree[node].to_numpy(), ("y", "x"), attrs, grids[size])
    node = "conditions/mask/l1c_classification/r60m/b00"
    attrs = {"flag_masks": [1, 2, 4], "flag_meanings": ["OPAQUE", "CIRRUS", "SNOW_ICE"]}
    attrs |= {"dtype": "<u1", "long_name": "cloud classification mask"}
    _array(root, node, tree[node].to_numpy(), ("y", "x"), attrs, grids[60])
    _small(root, "conditions/geometry", tree["conditions/geometry"].to_dataset(), {"unit": "deg"})
    for kind in ("ecmwf", "cams"):
        node = f"conditions/meteorology/{kind}"
        if f"{node}/tcwv" in held or f"{node}/z" in held:
            _small(root, node, tree[node].to_dataset(), {})
    if consolidated:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # version 3 has no standard for it yet
            zarr.consolidate_metadata(root.store)
    return address


def _array(root, path, values, dims, attrs, grid=None) -> None:
    version = root.metadata.zarr_format
    how: dict[str, Any] = {"fill_value": np.nan if values.dtype.kind == "f" else 0}
    if version == 2:
        attrs = {"_ARRAY_DIMENSIONS": list(dims), **attrs}
        how["compressors"] = numcodecs.Blosc("zstd", clevel=3, shuffle=2)
    else:
        how["dimension_names"] = dims
    chunks = values.shape or (1,)
    if grid is not None:
        size = round(grid.pixel_size)
        # Small products still get several chunks.
        step = CHUNK[size] if values.shape[0] > CHUNK[size] else 60 * 6 // size * 10
        chunks = (step, step)
        attrs |= {
            "_eopf_attrs": {"coordinates": ["x", "y"], "dimensions": ["y", "x"]},
            "proj:bbox": list(grid.bounds),
            "proj:epsg": int(grid.crs.removeprefix("EPSG:")),
            "proj:shape": list(grid.shape),
            "proj:transform": [*grid.transform, 0.0, 0.0, 1.0],
            "proj:wkt2": grid.crs,
        }
    chunks = tuple(min(c, n) for c, n in zip(chunks, values.shape, strict=True))
    made = root.create_array(path, shape=values.shape, chunks=chunks, dtype=values.dtype, **how)
    made[...] = values
    made.attrs.update(attrs)


def _axes(root, grids) -> None:
    for size, grid in grids.items():
        for family in (
            "measurements/reflectance",
            "quality/mask",
            "conditions/mask/detector_footprint",
        ):
            for axis in ("x", "y"):
                values = getattr(grid, axis).astype(np.int64)
                _array(root, f"{family}/r{size}m/{axis}", values, (axis,), {})


def _small(root, node: str, dataset: xr.Dataset, attrs: dict[str, Any]) -> None:
    for name, variable in dataset.variables.items():
        values = variable.to_numpy()
        units = variable.attrs.get("units", "1")
        own = dict(attrs) if attrs else {"units": "~" if units == "1" else units}
        if values.dtype.kind == "U":
            values = values.astype("S8") if root.metadata.zarr_format == 2 else values
        if values.dtype.kind == "U":
            path = f"{node}/{name}"
            made = root.create_array(
                path, shape=values.shape, dtype="string", dimension_names=variable.dims
            )
            made[...] = values
        else:
            _array(root, f"{node}/{name}", values, variable.dims, own)


def _band_attributes(band: str, offset: float) -> dict[str, Any]:
    return {
        "add_offset": offset,
        "dtype": "<u2",
        "fill_value": 0,
        "long_name": f"TOA reflectance from MSI acquisition at spectral band {band}",
        "scale_factor": 0.0001,
        "units": "digital_counts",
        "valid_max": 65535,
        "valid_min": 1,
    }


def _root_attributes(tree: xr.DataTree) -> dict[str, Any]:
    found = granule(tree)
    mean = tree["conditions/geometry/mean_sun_angles"].to_numpy()
    west, south, east, north = found.bbox
    crs = tree["measurements/reflectance/r10m"].attrs["crs"]
    sun = "mean_sun_{}_angle_in_deg_for_all_bands_all_detectors"
    correction = (
        "reflectance_correction_factor_from_the_Sun-Earth_distance_variation_computed_using_the_"
        "acquisition_date"
    )
    return {
        "other_metadata": {
            correction: tree.attrs["earth_sun_correction"],
            "horizontal_CRS_code": crs,
            "mean_sensing_time": found.sensing_time.isoformat().replace("+00:00", "Z"),
            sun.format("zenith"): float(mean[0]),
            sun.format("azimuth"): float(mean[1]),
        },
        "stac_discovery": {
            "type": "Feature",
            "id": f"{found.name}.SAFE",
            # East before west, as products of 2025 have it.
            "bbox": [east, south, west, north],
            "properties": {
                "bands": [
                    {"name": band, "solar_illumination": value}
                    for band, value in zip(BANDS, tree.attrs["solar_irradiance"], strict=True)
                ],
                "eopf:baseline": found.baseline,
                "eopf:data_take_id": found.datatake,
                "eopf:datastrip_id": found.datastrip,
                "platform": f"sentinel-{found.sensor[1:].lower()}",
                "product:type": "S02MSIL1C",
                "proj:epsg": int(crs.removeprefix("EPSG:")),
                "sat:absolute_orbit": found.absolute_orbit,
                "sat:relative_orbit": found.relative_orbit,
                "start_datetime": found.sensing_time.isoformat(),
            },
        },
    }
