"""The block ``config`` of the chart's schema, made from the service's own; as a program, written.

python tests/helm/config_schema.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from s2cloud.service.settings import Settings

SCHEMA: Final = Path(__file__).parents[2] / "helm" / "s2cloud" / "values.schema.json"
#: Words about a schema that check nothing.
_WORDS: Final = frozenset({"title", "description", "default", "discriminator"})


def with_config(schema: dict[str, Any]) -> dict[str, Any]:
    """Schema of the values with the settings of ``s2cloud serve`` as they are now."""
    settings = _bare(Settings.model_json_schema())
    parts = settings.pop("$defs")
    # What the chart asks for in words of its own, when it is rendered.
    settings.pop("required")
    settings["properties"]["sources"].pop("minItems")
    settings["properties"]["destination"] = {
        key: value for key, value in parts["StoreSettings"].items() if key != "required"
    }
    # A pod has no right to open the others.
    parts["HttpSettings"]["properties"]["port"]["minimum"] = 1024
    settings["description"] = "Settings of `s2cloud serve`: `s2cloud config schema --service`"
    properties = {**schema["properties"], "config": settings}
    return {**schema, "properties": properties, "$defs": parts}


def _bare(node: Any) -> Any:
    if isinstance(node, list):
        return [_bare(each) for each in node]
    if not isinstance(node, dict):
        return node
    out = {}
    for key, value in node.items():
        if key in {"properties", "$defs"}:
            out[key] = {name: _bare(inner) for name, inner in value.items()}
        elif key not in _WORDS:
            out[key] = _bare(value)
    return out


if __name__ == "__main__":
    made = with_config(json.loads(SCHEMA.read_text(encoding="utf-8")))
    SCHEMA.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
