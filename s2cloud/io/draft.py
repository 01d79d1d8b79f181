"""The receipt of a product before its assets: identity, provenance, statistics, warnings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from s2cloud.algorithms.classification import percentages
from s2cloud.io.receipt import Receipt
from s2cloud.io.target import Product, Results, layer_id, summaries_of
from s2cloud.model.schema import Flag
from s2cloud.model.version import VERSION

if TYPE_CHECKING:
    from s2cloud.io.attempt import Attempt
    from s2cloud.io.layers import Summary

__all__ = ["draft", "statistics"]


def draft(run: Attempt, results: list[Results]) -> Receipt:
    """Receipt of what an attempt has computed, one result per format, without its new assets."""
    product, old = run.product, run.old if run.extend else None
    provenance = dict(product.l2a.root.attrs.get("provenance", {}))
    found = statistics(product, results) or (old.statistics if old else {})
    warnings = [str(text) for text in provenance.get("warnings", ())]
    if found.get("percentages", {}).get("NODATA_PIXEL_PERCENTAGE") == 100.0:
        warnings.append("no pixel with data")
    if not product.layers[0].grid.crs:
        warnings.append("no coordinate reference system")
    formats = [*(old.formats if old else ()), *(target.format for target in run.targets)]
    kept = [asset for asset in old.assets if asset.key != "item"] if old else []
    return Receipt(
        product=product.granule.l2a_name,
        formats=tuple(sorted(formats)),
        destination=run.store.url(),
        assets=tuple(kept),
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        software=f"s2cloud {VERSION}",
        digest=product.digest,
        config_digest=str(provenance.get("configuration_digest", "")),
        source=product.granule.to_attrs(),
        provenance=provenance,
        statistics=found,
        warnings=tuple(warnings),
    )


def statistics(product: Product, results: list[Results]) -> dict[str, Any]:
    """Shares of the scene and means, from the summaries of whichever format has them."""
    sums: dict[str, Summary] = {}
    for part in results:
        # A raster written in two formats has the same pixels in both.
        sums |= summaries_of(part.written)
    result: dict[str, Any] = {}
    for layer in sorted(product.layers, key=lambda layer: -abs(layer.resolution - 20)):
        # The 20 m maps have the last word: they are in every format, so the numbers of a product
        # do not depend on the formats it was written in.
        summary = sums.get(layer_id(layer))
        if summary is None or not layer.is_product:
            continue
        if layer.is_classes:
            counts = np.array(summary.tally, dtype=np.int64)
            shares = {name: round(share, 6) for name, share in percentages(counts).items()}
            result["class_counts"] = {str(code): int(n) for code, n in enumerate(counts)}
            result["percentages"] = shares
        elif layer.is_flags:
            result["flag_percentages"] = _flag_shares(summary)
        elif layer.name in {"aot", "wvp"} and summary.valid:
            result[f"mean_{layer.name}"] = summary.statistics(layer.encoding)["mean"]
    numbers = {k: v for part in results for k, v in part.small.items() if v.ndim == 0}
    for name, value in numbers.items():
        result.setdefault("numbers", {})[name] = value.item()
    return result


def _flag_shares(summary: Summary) -> dict[str, float]:
    """Share of the pixels with data that have a flag. [%]."""
    counts = dict(zip(Flag, summary.tally, strict=True))
    valid = max(counts.pop(Flag.VALID), 1)
    return {f"{flag.name}".lower(): round(100 * n / valid, 6) for flag, n in counts.items()}
