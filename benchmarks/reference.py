"""Write the tables of docs/reference and docs/howto/sen2cor.md from the code.

python benchmarks/reference.py

What is written is compared with the pages by tests/docs/test_reference.py.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from sections import replace_section

from s2cloud.algorithms.classification.thresholds import Thresholds
from s2cloud.config import ProcessorConfig
from s2cloud.io.gipp_knobs import KNOBS, Knob
from s2cloud.model.schema import ENCODINGS
from s2cloud.scheduling.observe import BatchMetrics
from s2cloud.service.metrics import ServiceMetrics
from s2cloud.service.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).parents[1]
CHART = ROOT / "helm" / "s2cloud"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def code(value: Any) -> str:
    """A value as code; nothing for nothing."""
    if value is None or value == "":
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"`{text}`"


def allowed(facts: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a value may be, from its schema."""
    if "$ref" in facts:
        name = facts["$ref"].rpartition("/")[2]
        return allowed(definitions[name], definitions) if name in definitions else name
    if "anyOf" in facts:
        return " or ".join(dict.fromkeys(allowed(each, definitions) for each in facts["anyOf"]))
    if "enum" in facts:
        return ", ".join(code(str(each)) for each in facts["enum"])
    if "const" in facts:
        return code(str(facts["const"]))
    kind = facts.get("type", "any")
    names = {"null": "nothing", "boolean": "yes or no", "object": "names and values",
             "array": "list", "string": "text"}  # fmt: skip
    name = str(names.get(kind, kind)) if isinstance(kind, str) else " or ".join(kind)
    low = facts.get("minimum", facts.get("exclusiveMinimum"))
    high = facts.get("maximum", facts.get("exclusiveMaximum"))
    if low is not None and high is not None:
        return f"{name}, {low:g} to {high:g}"
    return f"{name}, from {low:g}" if low is not None else name


def words(text: str) -> str:
    """A description on one line, with the code of Markdown and without HTML."""
    parts = " ".join(text.replace("``", "`").split()).split("`")
    return "`".join(
        part if index % 2 else part.replace("<", "&lt;") for index, part in enumerate(parts)
    )


def groups(schema: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str, list[Any]]]:
    """Title, words and rows of each group of options."""
    definitions = schema["$defs"]

    def walk(group: Mapping[str, Any], path: str) -> Iterator[tuple[str, str, list[Any]]]:
        rows, inner = [], []
        for name, facts in group.get("properties", {}).items():
            target = definitions.get(facts.get("$ref", "").rpartition("/")[2], {})
            if "properties" in target and name not in {"thresholds", "processing"}:
                inner.append((target, f"{path}{name}."))
                continue
            if name in {"thresholds", "processing"}:
                continue
            default = facts.get("default")
            rows.append([f"`{name}`", code(default), allowed(facts, definitions),
                         words(facts.get("description", ""))])  # fmt: skip
        if rows:
            yield path.rstrip("."), words(group.get("description", "")), rows
        for target, deeper in inner:
            yield from walk(target, deeper)

    yield from walk(schema, before)


def options_page(schema: Mapping[str, Any]) -> str:
    """One table per group."""
    parts = []
    for title, told, rows in groups(schema):
        heading = f"### `{title}`\n\n{told}\n\n" if title else ""
        parts.append(heading + table(["option", "default", "allowed", "meaning"], rows))
    return "\n\n".join(parts)


def configuration() -> str:
    """Options of the processing."""
    return options_page(ProcessorConfig.model_json_schema())


def thresholds() -> str:
    """Thresholds with their names in Sen2Cor."""
    ours = {
        knob.options[0].rpartition(".")[2]: knob.name
        for knob in KNOBS.values()
        if knob.options and knob.options[0].startswith("classification.thresholds.")
    }
    rows = [
        [f"`{name}`", f"`{getattr(Thresholds(), name):g}`", f"`{ours[name]}`"]
        for name in Thresholds.__slots__
    ]
    return table(["threshold", "default", "in Sen2Cor"], rows)


def settings() -> str:
    """Settings of the service."""
    return options_page(Settings.model_json_schema())


def queues() -> str:
    """Kinds of queues."""
    schema = Settings.model_json_schema()
    parts = []
    for target in (schema["$defs"][n] for n in sorted(schema["$defs"]) if n.endswith("Queue")):
        rows = [
            [f"`{name}`", code(facts.get("default")) if name != "kind" else "",
             allowed(facts, schema["$defs"]), words(facts.get("description", ""))]
            for name, facts in target["properties"].items()
        ]  # fmt: skip
        kind = target["properties"]["kind"]["const"]
        told = words(target["description"])
        parts.append(
            f"### `{kind}`\n\n{told}\n\n" + table(["option", "default", "allowed", "meaning"], rows)
        )
    return "\n\n".join(parts)


def _comments() -> dict[str, str]:
    """Comments of values.yaml by the value they stand before."""
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    told: list[str] = []
    for line in (CHART / "values.yaml").read_text(encoding="utf-8").splitlines():
        stripped = line.strip()
        match = re.match(r"( *)([A-Za-z0-9]+):", line)
        if item := re.match(r"# {2,}(\w+) {2,}(.+)", stripped):
            told.append(f"`{item[1]}` {item[2]};")
        elif stripped.startswith("#"):
            told.append(stripped.lstrip("# "))
        elif match:
            depth = len(match[1])
            path = [each for each in path if each[0] < depth]
            path.append((depth, match[2]))
            found[".".join(name for _, name in path)] = " ".join(told).rstrip(";")
            told = []
        else:
            told = []
    return found


def values() -> str:
    """Values of the chart, with defaults and comments of values.yaml."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    comments = _comments()

    def walk(group: Mapping[str, Any], given: Any, path: str, skip: str) -> Iterator[list[str]]:
        for name, facts in group.get("properties", {}).items():
            full = f"{path}{name}"
            default = given.get(name) if isinstance(given, dict) else None
            told = words(facts.get("description") or comments.get(full, ""))
            shown = f"`{full.removeprefix(skip)}`"
            if facts.get("properties") and name not in {"config", "resources"}:
                if told:
                    yield [shown, "", "", told]
                yield from walk(facts, default, f"{full}.", skip)
            else:
                yield [shown, code(default), allowed(facts, {}), told]

    head = ["value", "default", "allowed", "meaning"]
    lone: list[list[str]] = []
    parts = []
    for name, facts in schema["properties"].items():
        if facts.get("properties") and name != "config":
            rows = list(walk(facts, defaults.get(name), f"{name}.", f"{name}."))
            told = words(facts.get("description") or comments.get(name, ""))
            parts.append(f"## `{name}`\n\n{told}\n\n" + table(head, rows))
        else:
            lone += walk({"properties": {name: facts}}, defaults, "", "")
    return "\n\n".join([table(head, lone), *parts])


def _metrics(registry: Any) -> list[list[str]]:
    names = registry._names_to_collectors  # noqa: SLF001  # the library lists no labels elsewhere
    return [
        [f"`{family.name}`", family.type,
         ", ".join(f"`{label}`" for label in names[family.name]._labelnames),  # noqa: SLF001
         family.documentation]
        for family in registry.collect()
    ]  # fmt: skip


def metrics() -> str:
    """Metrics of a batch, then those that the service has beside them."""
    batch = _metrics(BatchMetrics().registry)
    # Names and labels are there before anything is measured.
    service = ServiceMetrics(None, None, None)  # type: ignore[arg-type]
    both = _metrics(service._batch.registry)  # noqa: SLF001
    rows = [[*row, "both" if row in batch else "`serve`"] for row in both]
    return table(["metric", "type", "labels", "meaning", "of"], rows)


def variables() -> str:
    """Rasters of a product and their units."""
    rows = [
        [f"`{name}`", encoding.long_name, "" if encoding.units == "1" else encoding.units]
        for name, encoding in ENCODINGS.items()
    ]
    return table(["name", "meaning", "unit"], rows)


def knobs(file: str) -> Callable[[], str]:
    """Parameters of one of Sen2Cor's files."""

    def row(knob: Knob) -> list[str]:
        ours = ", ".join(
            f"`{name}`" if not name.startswith("run.") else "the run" for name in knob.options
        )
        lone = knob.options and knob.words == "the same"
        return [f"`{knob.name}`", ours or "none", "" if lone else knob.words]

    def text() -> str:
        rows = [row(knob) for knob in KNOBS.values() if knob.file == file]
        return table(["parameter", "sets", "how, or why not"], rows)

    return text


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "reference/configuration.md": {"configuration": configuration, "thresholds": thresholds},
    "reference/settings.md": {"settings": settings, "queues": queues},
    "reference/values.md": {"values": values},
    "reference/metrics.md": {"metrics": metrics},
    "reference/nomenclature.md": {"variables": variables},
    "howto/sen2cor.md": {"L2A": knobs("L2A"), "SC": knobs("SC"), "AC": knobs("AC")},
}


def main() -> None:
    """Write the tables of all pages."""
    for page, sections in PAGES.items():
        for name, make in sections.items():
            replace_section(ROOT / "docs" / page, name, make())


if __name__ == "__main__":
    main()
