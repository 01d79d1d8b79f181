"""What may be chosen, validated once: one schema for Python, YAML, environment and Helm values."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from s2cloud.model.errors import UsageError

__all__ = [
    "AerosolConfig",
    "AtmosphereConfig",
    "ClassificationConfig",
    "ProcessorConfig",
    "SurfaceConfig",
    "WaterVapourConfig",
    "load_config",
]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class AerosolConfig(_Options):
    """Retrieval of the aerosol optical thickness."""

    model: Literal["continental", "maritime", "urban", "desert"] = "continental"
    """Aerosol mixture of the look-up table."""
    method: Literal["dark_vegetation", "cams", "constant"] = "dark_vegetation"
    """First method tried; the ladder then goes on to CAMS and the constant."""
    minimum_dark_fraction: float = Field(default=0.005, ge=0.0, le=1.0)
    """Share of valid pixels that must be dark vegetation for the retrieval to be trusted."""
    smoothing_km: float = Field(default=5.0, gt=0.0, le=50.0)
    """Standard deviation of the Gaussian that spreads the retrieved values. [km]"""
    fallback_aot550: float = Field(default=0.2, ge=0.0, le=2.0)
    """Optical thickness where neither vegetation nor CAMS can tell."""


class WaterVapourConfig(_Options):
    """Retrieval of the water vapour column."""

    b09_law: Literal["6sv", "sen2cor", "lowtran7", "sunphotometer"] = "6sv"
    """Transmittance law of band 9, see ``s2cloud.physics.gases.B09_LAWS``."""
    fallback_tcwv: float = Field(default=15.0, ge=0.5, le=80.0)
    """Column where neither land pixels nor ECMWF can tell. [kg m-2]"""
    smoothing_km: float = Field(default=2.0, gt=0.0, le=50.0)
    """Standard deviation of the Gaussian that fills water, cloud and shadow. [km]"""


class AtmosphereConfig(_Options):
    """Constants used where the product brings no meteorology; each use is logged and recorded."""

    tco3: float = Field(default=330.0, ge=100.0, le=600.0)
    """Ozone column. [DU]"""
    pressure: float = Field(default=1013.25, ge=850.0, le=1090.0)
    """Pressure at sea level. [hPa]"""
    elevation: float = Field(default=100.0, ge=-450.0, le=9000.0)
    """Elevation of the surface above the sea. [m]"""


class ClassificationConfig(_Options):
    """Scene classification."""

    variant: Literal["evolution", "classic"] = "evolution"
    """Decision sequence of Sen2Cor 2.10 and later, or of 2.8."""
    snow_possible: bool = True
    """Whether snow may occur here at all; the place of a snow climatology."""


class SurfaceConfig(_Options):
    """Surface reflectance."""

    adjacency_km: float = Field(default=1.0, ge=0.0, le=10.0)
    """Half side of the environment that scatters into a pixel; 0 switches it off. [km]"""


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

    @property
    def digest(self) -> str:
        """Fingerprint of all values, the same for equal configurations. 16 hexadecimal digits."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_config(path: str | None) -> ProcessorConfig:
    """Configuration from a YAML or JSON file.

    Parameters
    ----------
    path
        File to read; ``None`` gives the defaults.

    Returns
    -------
    ProcessorConfig

    Raises
    ------
    UsageError
        Naming every problem of the file at once.
    """
    if path is None:
        return ProcessorConfig()
    try:
        values: Any = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError("configuration file not found", where=path, fix="check --config") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(
            "configuration file is not YAML", where=path, found=str(error), fix="mend the file"
        ) from error
    try:
        return ProcessorConfig.model_validate(values or {})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'file'}: {item['msg']}" for item in error.errors()
        )
        raise UsageError(
            "configuration is not valid",
            where=path,
            found=problems,
            fix="see `s2cloud config schema` or docs/configuration.md",
        ) from error
