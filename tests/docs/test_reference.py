"""Reference pages say what the code says: tables, exit codes, links, docstrings."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from s2cloud.model import errors

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def generator():
    """The command that writes the tables, as a module."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        spec = importlib.util.spec_from_file_location("reference", ROOT / "benchmarks/reference.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def test_tables_are_those_of_the_code(generator):
    for page, sections in generator.PAGES.items():
        text = (DOCS / page).read_text(encoding="utf-8")
        for name, make in sections.items():
            begin, end = f"<!-- section: {name} -->\n", f"\n<!-- end: {name} -->"
            assert begin in text, f"{page} has no section {name}"
            written = text.split(begin)[1].split(end)[0]
            assert written == make().strip(), f"{page} is stale: python benchmarks/reference.py"


def test_exit_codes_are_those_of_the_classes():
    rows = re.findall(
        r"^\| (\d) \| `(\w+)` ", (DOCS / "errors.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {name: int(code) for code, name in rows} == {
        name: getattr(errors, name).exit_code for name in errors.__all__ if name != "S2CloudError"
    }


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "k8s/README.md"])
def test_links_of_pages_that_mkdocs_does_not_build(page):
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    for link in links:
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path
        assert target.exists(), f"{page}: {link} leads nowhere"
        if anchor:
            heads = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in slugs, f"{page}: {link} has no such heading"
    if page == "README.md":
        assert len(links) > 5
        assert len(text.splitlines()) < 120


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    for page in DOCS.glob("**/*.md"):
        assert f" {page.relative_to(DOCS)}\n" in navigation + "\n", f"{page.name} is not in nav"
