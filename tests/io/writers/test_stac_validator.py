"""Items and catalogs before stac-validator (now ``stac-valid``), offline: schemas from files."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from s2cloud.io.catalog import write_catalog
from s2cloud.io.product import write_product

CORE = "https://schemas.stacspec.org/v1.1.0"


def core_schemas() -> dict[str, str]:
    """Core schemas, which pystac brings."""
    spec = importlib.util.find_spec("pystac")
    assert spec is not None
    folder = Path(str(spec.origin)).parent / "validation" / "jsonschemas"
    part = {"item": "item-spec", "catalog": "catalog-spec", "collection": "collection-spec"}
    found = {}
    for path in (folder / "stac-spec" / "v1.1.0").glob("*.json"):
        where = part.get(path.stem, "item-spec")
        found[f"{CORE}/{where}/json-schema/{path.name}"] = str(path)
    for name in ("Feature", "Geometry"):
        found[f"https://geojson.org/schema/{name}.json"] = str(folder / "geojson" / f"{name}.json")
    return found


def extension_schemas(uris: list[str], folder: Path) -> dict[str, str]:
    """Those of the schemas that lie in a folder, as ``eo_v2.0.0.json``."""
    found = {}
    for uri in uris:
        name, version = uri.split("/")[-3:-1]
        path = folder / f"{name}_{version}.json"
        if path.is_file():
            found[uri] = str(path)
    return found


def checked(path: Path, **options: object) -> dict[str, object]:
    from stac_validator.stac_validator import StacValidate  # noqa: PLC0415  # slow to load

    validator = StacValidate(str(path), **options)
    validator.run()
    result: dict[str, object] = validator.message[0]
    return result


@pytest.fixture
def folder(make_l2a, granule, tmp_path):
    write_product(make_l2a(), tmp_path / granule.l2a_name, formats=("cog",))
    write_catalog(tmp_path)
    return tmp_path


def test_item_and_catalog_against_the_core_schemas(folder, granule):
    item = folder / granule.l2a_name / f"{granule.l2a_name}.json"
    for path in (item, folder / "catalog.json"):
        result = checked(path, core=True, schema_map=core_schemas())
        assert result["valid_stac"], result


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_item_against_the_schemas_of_its_extensions(folder, granule, environment):
    """Of seven of its extensions; the package ``eopf`` brings their schemas."""
    home = environment("eopf==2.8.1").parents[1]
    (schemas,) = home.glob("lib/*/site-packages/eopf/product/stac_extensions/extensions")
    path = folder / granule.l2a_name / f"{granule.l2a_name}.json"
    uris = json.loads(path.read_text())["stac_extensions"]
    known = extension_schemas(uris, schemas)
    names = {uri.split("/")[-3] for uri in known}
    assert names == {"eo", "raster", "projection", "view", "sat", "classification", "processing"}
    for uri, schema in known.items():
        result = checked(path, custom=schema, schema_map={**core_schemas(), **known})
        assert result["valid_stac"], (uri, result)
