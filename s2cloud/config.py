"""What may be chosen, validated once: one schema for Python, YAML, environment and Helm values."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from s2cloud.algorithms.classification.thresholds import Thresholds
from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AerosolConfig",
    "AtmosphereConfig",
    "AuxiliaryConfig",
    "ClassificationConfig",
    "DilationConfig",
    "OutputConfig",
    "ProcessorConfig",
    "SurfaceConfig",
    "TerrainConfig",
    "UncertaintyConfig",
    "WaterVapourConfig",
    "load_config",
    "origins_of",
]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class AerosolConfig(_Options):
    """Retrieval of the aerosol optical thickness."""

    model: Literal["continental", "maritime", "urban", "desert", "auto"] = "auto"
    """Aerosol of the look-up tables. ``auto`` mixes them by the species of CAMS, ``continental``
    without any, and by what the scene tells of coarse particles."""
    coarse_sigma: float = Field(default=0.3, gt=0.0, le=1.0)
    """One-sigma uncertainty of the share of coarse aerosol (maritime or desert) before looking."""
    soot_sigma: float = Field(default=0.17, ge=0.0, le=1.0)
    """One-sigma uncertainty of the share of sooty aerosol (urban), which cannot be seen: 0.035 of
    single scattering albedo, about as it varies between sun photometers (Dubovik et al. 2002,
    doi:10.1175/1520-0469(2002)059<0590:VOAAOP>2.0.CO;2)."""
    method: Literal["dark_vegetation", "cams", "constant"] = "dark_vegetation"
    """Best source that may be used. Vegetation is combined with the forecast of CAMS, or with the
    constant where there is none, by their uncertainties."""
    minimum_dark_fraction: float = Field(default=0.0005, ge=0.0, le=1.0)
    """Share of green vegetation in the clear land below which it is not consulted."""
    smoothing_km: float = Field(default=5.0, gt=0.0, le=50.0)
    """Standard deviation of the Gaussian that spreads the retrieved values. [km]"""
    cams_sigma: float = Field(default=0.12, gt=0.0, le=2.0)
    """One-sigma uncertainty of the CAMS forecast; judged, not taken from a publication."""
    fallback_aot550: float = Field(default=0.2, ge=0.0, le=2.0)
    """Optical thickness where neither vegetation nor dark water nor CAMS can tell. The mean over
    land that MODIS saw is 0.19 (Remer et al. 2008, doi:10.1029/2007JD009661)."""
    fallback_sigma: float = Field(default=0.25, gt=0.0, le=2.0)
    """One-sigma uncertainty of that constant."""


class WaterVapourConfig(_Options):
    """Retrieval of the water vapour column."""

    b09_law: Literal["6sv", "modtran", "sen2cor", "lowtran7", "sunphotometer"] = "6sv"
    """Transmittance law of band 9, see ``s2cloud.physics.gases.B09_LAWS``."""
    fallback_tcwv: float = Field(default=15.0, ge=0.5, le=80.0)
    """Column where neither land pixels nor ECMWF can tell. [kg m-2]"""
    ecmwf_sigma: float = Field(default=4.0, gt=0.0, le=80.0)
    """One-sigma uncertainty of the ECMWF column at the time and place of the image. [kg m-2]"""
    fallback_sigma: float = Field(default=20.0, gt=0.0, le=80.0)
    """One-sigma uncertainty of the constant. [kg m-2]"""
    smoothing_km: float = Field(default=2.0, gt=0.0, le=50.0)
    """Standard deviation of the Gaussian that fills water, cloud and shadow. [km]"""


class AtmosphereConfig(_Options):
    """Constants used where the product brings no meteorology; each use is logged and recorded."""

    ozone_climatology: bool = True
    """Whether ozone comes from the climatology of van Heuklon (1979) where the place is known."""
    tco3: float = Field(default=330.0, ge=100.0, le=600.0)
    """Ozone column. [DU]"""
    pressure: float = Field(default=1013.25, ge=850.0, le=1090.0)
    """Pressure at sea level. [hPa]"""
    elevation: float = Field(default=100.0, ge=-450.0, le=9000.0)
    """Elevation of the surface above the sea. [m]"""


class DilationConfig(_Options):
    """Distances by which classes are grown; 0 = not. Variant ``evolution`` only."""

    cloud: float = Field(default=80.0, ge=0.0, le=600.0)
    """Clouds of medium and high probability. [m]"""
    cirrus: float = Field(default=80.0, ge=0.0, le=600.0)
    """Thin cirrus. [m]"""
    shadow: float = Field(default=40.0, ge=0.0, le=600.0)
    """Cloud shadow. [m]"""
    snow: float = Field(default=20.0, ge=0.0, le=600.0)
    """Snow. [m]"""


class ClassificationConfig(_Options):
    """Scene classification."""

    variant: Literal["evolution", "classic"] = "evolution"
    """Decision sequence of Sen2Cor 2.10 and later, or of 2.8."""
    snow_possible: bool = True
    """Whether snow may occur here at all, where no snow climatology tells."""
    parallax: bool = True
    """Whether cloud heights are measured between B08 and B8A; ``evolution`` only."""
    dilation: DilationConfig = DilationConfig()
    """How far classes are grown."""
    median: int = Field(default=0, ge=0, le=15)
    """Side of a median filter of the finished classes, odd; 0 = none. [pixel]"""
    cloud_mask: bool = False
    """Whether the product also holds a mask of clouds alone, ``conditions/mask/cloud/r20m``."""
    model: str | None = None
    """Classifier whose cloud probability is mixed in: a name of the entry point group
    ``s2cloud.classifiers``."""
    model_weight: float = Field(default=1.0, ge=0.0, le=1.0)
    """Share of its probability in the cloud confidence; 1 = it replaces the rules'."""
    thresholds: Thresholds = Thresholds()
    """Thresholds of the pointwise sequence, by the names of Sen2Cor's parameter file."""

    @field_validator("median")
    @classmethod
    def _odd(cls, side: int) -> int:
        if side and side % 2 == 0:
            raise ValueError("the side of a median filter is odd, or 0")
        return side

    @field_validator("thresholds", mode="wrap")
    @classmethod
    def _possible(cls, value: Any, check: Any) -> Any:
        unknown = set(value) - set(Thresholds.__slots__) if isinstance(value, dict) else set()
        if unknown:
            raise ValueError(f"no such threshold: {', '.join(sorted(map(str, unknown)))}")
        try:
            return check(value)
        except UsageError as error:
            raise ValueError(str(error)) from error


class SurfaceConfig(_Options):
    """Surface reflectance."""

    adjacency_km: float = Field(default=1.0, ge=0.0, le=10.0)
    """Range of the surroundings that aerosol scatters into a pixel, whose weight falls to 1 / e
    within it; that of molecules is 12 times as far, as in 6S. 0 switches adjacency off. [km]"""
    cirrus_correction: bool = False
    """Whether light of thin cirrus is taken away with the help of B10."""
    cirrus_minimum_tcwv: float = Field(default=2.5, ge=0.0, le=20.0)
    """Water vapour of the scene below which B10 sees the ground and is not used. [kg m-2]"""
    cirrus_maximum_elevation: float = Field(default=1500.0, ge=0.0, le=9000.0)
    """Mean elevation of the scene above which B10 sees the ground and is not used. [m]"""


class UncertaintyConfig(_Options):
    """Uncertainty of the surface reflectance, one layer per band."""

    enabled: bool = False
    """Whether the layers are made; they are as large as the bands."""
    calibration: float = Field(default=0.03, ge=0.0, le=0.2)
    """Relative uncertainty of the radiometric calibration, common to all pixels of a band."""
    path: float = Field(default=0.01, ge=0.0, le=0.5)
    """Relative uncertainty of the path reflectance by radiative transfer and interpolation: codes
    of this kind agree within 1 % (Kotchenova et al. 2006, doi:10.1364/AO.45.006762)."""
    path_floor: float = Field(default=0.0005, ge=0.0, le=0.1)
    """Part of that uncertainty that does not depend on the path reflectance. [1]"""
    surroundings: float = Field(default=0.05, ge=0.0, le=1.0)
    """Relative uncertainty of the reflectance of the surroundings as adjacency sees them."""
    slope: float = Field(default=0.03, ge=0.0, le=0.5)
    """Uncertainty of the cosine of incidence where slopes are corrected. [1]"""


class TerrainConfig(_Options):
    """Correction for elevation and slopes; acts only where a terrain model is given."""

    enabled: bool = True
    """Whether a terrain model is used pixel by pixel, for elevation and for light on slopes."""
    smoothing_m: float = Field(default=60.0, ge=0.0, le=1000.0)
    """Side of the square over which the cosine of incidence is averaged: noise of models of 30 m
    would show as texture. Models of 90 m and more are smooth by themselves. 0 = off. [m]"""
    minimum_cosine: float = Field(default=0.1, gt=0.0, le=1.0)
    """Least cosine of incidence that sunlit ground is taken to have."""
    limit: bool = True
    """Whether the correction is held back on faces turned far away from the sun."""
    limit_incidence: float | None = Field(default=80.0, ge=60.0, le=89.0)
    """Angle of incidence beyond which it is held back, 5 degrees beyond the zenith angle of the
    sun at least; None = 10 to 25 degrees beyond it, as Sen2Cor grades it. [degree]"""
    limit_lower_bound: float = Field(default=0.22, ge=0.1, le=1.0)
    """Least value of the ratio of cosines that is raised to the exponents."""
    limit_exponent_visible: float = Field(default=0.75, ge=0.0, le=2.0)
    """Exponent of that ratio below 720 nm; 0 = no limit."""
    limit_exponent_infrared: float = Field(default=1.0 / 3.0, ge=0.0, le=2.0)
    """Exponent of that ratio from 720 nm on; 0 = no limit."""
    maximum_reflectance: float = Field(default=1.5, ge=1.0, le=3.0)
    """Reflectance beyond which slopes are not brightened."""


class AuxiliaryConfig(_Options):
    """Maps that ``open_aux`` opens: a path or URL each, or ``PROVIDER:ADDRESS``."""

    dem: str | None = None
    """Elevation: a folder of Copernicus DEM or SRTM tiles, or one raster."""
    land_cover: str | None = None
    """Land cover: a folder of WorldCover tiles, or the ESA CCI map."""
    water_bodies: str | None = None
    """Water bodies: the ESA CCI map, or a folder of WorldCover tiles."""
    snow_condition: str | None = None
    """Snow occurrence by season: a folder of ESA CCI files, or one of them."""
    snow_climatology: str | None = None
    """Where snow can be at all: one raster, greater than zero where it can."""
    cams: str | None = None
    """Aerosol optical thickness: a file of CAMS (netCDF, GRIB, GeoTIFF) or a folder of them."""
    terrain_margin_km: float = Field(default=12.0, ge=0.0, le=60.0)
    """How far beyond the tile terrain is read, for the shadows it casts into the tile. [km]"""

    @field_serializer(
        "dem", "land_cover", "water_bodies", "snow_condition", "snow_climatology", "cams"
    )
    def _public(self, address: str | None) -> str | None:
        """Address without passwords and signatures: the configuration is recorded in products."""
        if address is None:
            return None
        bare = re.sub(r"(://)[^/@]*@(?=[^/])", r"\1", address)
        return re.sub(r"(https?://[^?:]*(?::\d+)?[^?:]*)\?[^:]*", r"\1", bare)


class OutputConfig(_Options):
    """Layout of the formats that leave a choice."""

    zarr_version: Literal[2, 3] = 3
    """Version of the Zarr format; EOPF's own tools and GDAL before 3.11 read 2 only."""
    zarr_sharding: bool = False
    """Whether a block of 18.3 km is nine chunks in one object; version 3 only."""
    zarr_overviews: bool = False
    """Whether the Zarr store also holds rasters of 120, 240 and 480 m."""

    @model_validator(mode="after")
    def _possible(self) -> OutputConfig:
        if self.zarr_sharding and self.zarr_version == 2:
            raise ValueError("Zarr version 2 has no sharding")
        return self


class ProcessorConfig(_Options):
    """Everything that may be chosen for one product."""

    aerosol: AerosolConfig = AerosolConfig()
    """Aerosol retrieval."""
    water_vapour: WaterVapourConfig = WaterVapourConfig()
    """Water vapour retrieval."""
    atmosphere: AtmosphereConfig = AtmosphereConfig()
    """Constants for missing meteorology."""
    classification: ClassificationConfig = ClassificationConfig()
    """Scene classification."""
    surface: SurfaceConfig = SurfaceConfig()
    """Surface reflectance."""
    terrain: TerrainConfig = TerrainConfig()
    """Elevation and slopes."""
    uncertainty: UncertaintyConfig = UncertaintyConfig()
    """Uncertainty layers."""
    auxiliary: AuxiliaryConfig = AuxiliaryConfig()
    """Maps that the product does not bring; opened by ``open_aux`` and by jobs."""
    output: OutputConfig = OutputConfig()
    """Layout of the output; used by jobs."""

    @property
    def digest(self) -> str:
        """Fingerprint of all values, the same for equal configurations. 16 hexadecimal digits."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_config(path: str | None) -> ProcessorConfig:
    """Configuration from a YAML or JSON file and the environment.

    Parameters
    ----------
    path
        File to read; ``None`` for none. Variables such as ``S2CLOUD_AEROSOL__MODEL=maritime`` come
        before it, two underscores between the names of group and option.

    Returns
    -------
    ProcessorConfig

    Raises
    ------
    UsageError
        Naming every problem of file and environment at once.
    """
    in_file, in_environment = _values_of_file(path), _values_of_environment()
    try:
        return ProcessorConfig.model_validate(_merged(in_file, in_environment))
    except ValidationError as error:
        told = _flat(in_environment)
        problems = "; ".join(
            f"{_name_of(item['loc'], told) or 'file'}: {item['msg']}" for item in error.errors()
        )
        raise UsageError(
            "configuration is not valid",
            where=path or "environment",
            found=problems,
            fix="see `s2cloud config schema` or docs/configuration.md",
        ) from error


def origins_of(path: str | None) -> dict[str, str]:
    """Where the values of `load_config` come from.

    Parameters
    ----------
    path
        As of `load_config`.

    Returns
    -------
    dict
        The file or the variable, by the name of the option, such as ``aerosol.model``; options
        that are not in it have their defaults.
    """
    in_file = dict.fromkeys(_flat(_values_of_file(path)), str(path))
    variables = {name: _variable(name) for name in _flat(_values_of_environment())}
    return in_file | variables


def _values_of_file(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        values: Any = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise UsageError("configuration file not found", where=path, fix="check --config") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(
            "configuration file is not YAML", where=path, found=str(error), fix="mend the file"
        ) from error
    if not isinstance(values, dict):
        raise UsageError(
            "configuration file holds no options",
            where=path,
            expected="names and values such as `aerosol: {model: maritime}`",
            found=type(values).__name__,
            fix="see `s2cloud config show`",
        )
    return values


def _values_of_environment() -> dict[str, Any]:
    """Options in variables; those without two underscores are others', as of Kubernetes."""
    values: dict[str, Any] = {}
    for variable, text in os.environ.items():
        if variable.startswith(_PREFIX) and "__" in variable:
            place = values
            *groups, name = variable.removeprefix(_PREFIX).lower().split("__")
            for group in groups:
                # A value where a group should be is replaced, and refused by what is in it.
                if not isinstance(place.get(group), dict):
                    place[group] = {}
                place = place[group]
            try:
                place[name] = yaml.safe_load(text)
            except yaml.YAMLError:
                place[name] = text
    return values


_PREFIX = "S2CLOUD_"


def _variable(name: str) -> str:
    return _PREFIX + name.upper().replace(".", "__")


def _name_of(location: tuple[int | str, ...], variables: Mapping[str, Any]) -> str:
    name = ".".join(map(str, location))
    meant = [each for each in variables if f"{each}.".startswith(f"{name}.")]
    return _variable(meant[0]) if meant else name


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both, with the values of `above` where both have one."""
    merged = dict(below)
    for name, given in above.items():
        old, value = merged.get(name), given
        if isinstance(old, dict) and isinstance(value, dict):
            value = _merged(old, value)
        merged[name] = value
    return merged


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Values by the full names of their options."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        full = f"{before}{name}"
        flat |= _flat(value, f"{full}.") if isinstance(value, dict) else {full: value}
    return flat
