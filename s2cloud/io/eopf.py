"""Level-1C products in ESA's Zarr form (EOPF): identity and angles from the attributes.

Pixels are not read yet: all bands are listed as missing, so a tree opens for inspection and the
processor refuses it with the reason.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from s2cloud.io.safe_metadata import checked_baseline
from s2cloud.model.bands import BANDS, SENSORS
from s2cloud.model.errors import InputError
from s2cloud.model.granule import PRODUCT_NAME, Granule
from s2cloud.model.schema import GEOMETRY

if TYPE_CHECKING:
    from s2cloud.io.safe_files import ProductFiles

__all__ = ["read_eopf"]


def read_eopf(files: ProductFiles, *, uri: str) -> xr.DataTree:
    """Tree of the attributes of an EOPF Zarr product.

    Parameters
    ----------
    files
        Files of the product.
    uri
        Where the product was opened, for its identity.
    """
    path = next((p for p in (".zattrs", "zarr.json") if files.infos([p])), ".zattrs")
    name = files.url(path)
    try:
        attrs = json.loads(files.read(path))
        attrs = attrs.get("attributes", attrs)
        item, other = attrs["stac_discovery"], attrs.get("other_metadata", {})
        properties = item["properties"]
        kind = str(properties.get("product:type", ""))
        if kind != "S02MSIL1C":
            raise InputError(
                "not a Level-1C product",
                where=name,
                expected="S02MSIL1C",
                found=kind,
                fix="give the L1C product of this acquisition",
            )
        found = _granule(item, other, uri, name)
        zenith = other.get("mean_sun_zenith_angle_in_deg_for_all_bands_all_detectors")
        azimuth = other.get("mean_sun_azimuth_angle_in_deg_for_all_bands_all_detectors")
        correction = other.get(
            "reflectance_correction_factor_from_the_Sun-Earth_distance_variation_computed_"
            "using_the_acquisition_date"
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            "attributes of an EOPF product unreadable",
            where=name,
            expected="stac_discovery of an S02MSIL1C product",
            found=f"{type(error).__name__} {error}",
            fix="download the product again",
        ) from error
    irradiance = {
        str(band.get("name")): float(band["solar_illumination"])
        for band in properties.get("bands", [])
        if isinstance(band, dict) and "solar_illumination" in band
    }
    nodes: dict[str, xr.Dataset] = {"/": xr.Dataset()}
    if zenith is not None and azimuth is not None:
        nodes[GEOMETRY] = xr.Dataset(
            {
                "mean_sun_angles": (
                    ("angle",),
                    np.array([zenith, azimuth], dtype=np.float64),
                    {"units": "degree"},
                )
            },
            coords={"angle": ["zenith", "azimuth"]},
        )
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs = {
        "granule": found.to_attrs(),
        "sensor": found.sensor,
        "quantification": 10_000.0,
        "earth_sun_correction": float(correction) if correction is not None else float("nan"),
        "solar_irradiance": [irradiance.get(band, float("nan")) for band in BANDS],
        "missing_bands": [
            f"{files.url()}: band {band} (reading pixels of EOPF Zarr is not supported)"
            for band in BANDS
        ],
    }
    return tree


def _granule(item: dict[str, Any], other: dict[str, Any], uri: str, name: str) -> Granule:
    properties = item["properties"]
    product = str(item["id"]).removesuffix(".SAFE")
    match = PRODUCT_NAME.match(product)
    sensor = str(properties["platform"]).replace("sentinel-", "S").upper()
    if sensor not in SENSORS:
        raise InputError(
            "unknown sensor",
            where=name,
            expected=" or ".join(SENSORS),
            found=sensor,
            fix="update s2cloud",
        )
    time = other.get("mean_sensing_time") or properties["start_datetime"]
    west, south, east, north = _ordered(item.get("bbox", ()))
    return Granule(
        name=product,
        sensor=sensor,
        sensing_time=datetime.fromisoformat(time),
        tile=match["tile"] if match else "",
        baseline=checked_baseline(str(properties.get("eopf:baseline", "")), name),
        relative_orbit=int(properties.get("sat:relative_orbit", -1)),
        absolute_orbit=int(properties.get("sat:absolute_orbit", -1)),
        datatake=str(properties.get("eopf:data_take_id", "")),
        datastrip=str(properties.get("eopf:datastrip_id", "")),
        bbox=(west, south, east, north),
        uri=uri,
    )


def _ordered(bbox: Any) -> tuple[float, float, float, float]:
    # Products up to 2025 give east before west.
    west, south, east, north = (float(value) for value in bbox)
    return (min(west, east), min(south, north), max(west, east), max(south, north))
