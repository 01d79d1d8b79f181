"""Schemas of the dask operator, as strict as its server."""

from __future__ import annotations

from typing import Any


def closed(crd: dict[str, Any]) -> Any:
    """Schema of a custom resource that refuses unknown fields, as ``kubectl apply`` does."""
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    known: dict[str, Any] = {key: {} for key in ("apiVersion", "kind", "metadata")}
    return _closed(schema | {"properties": schema.get("properties", {}) | known})


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: _closed(value) for key, value in schema.items()}
    if "properties" in out and not out.get("x-kubernetes-preserve-unknown-fields"):
        out.setdefault("additionalProperties", False)
    if out.pop("x-kubernetes-int-or-string", False):
        out.pop("type", None)
        out["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return out
