"""Every example of the documentation runs, or is checked against what it speaks of.

Python runs, in one namespace per page, on a small product that the pages call by its name. Shell
lines that call `s2cloud` are parsed by it. YAML is validated by the schema that its title names.
An example that cannot be checked has a comment before it that says why:
``<!-- skip: next "needs a cluster" -->``.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import tomllib
import unittest
from pathlib import Path

import click
import pytest
import yaml
from defusedxml import ElementTree
from sybil import Sybil
from sybil.parsers.markdown import SkipParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from sybil.region import Region

from s2cloud.cli.app import cli
from s2cloud.config import ProcessorConfig
from s2cloud.service.notifications import addresses_in
from s2cloud.service.settings import Settings

jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("docs/**/*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "k8s/README.md"]
)
#: Programs that start others.
STARTERS = {"srun", "time", "nice", "exec"}


def run_python(example, source):
    # Padded, so that a traceback names the line of the page.
    padded = "\n" * example.line + source
    exec(compile(padded, example.path, "exec"), example.namespace)  # noqa: S102  # our own pages


def check_shell(_, source):
    line = ""
    for part in re.sub(r"\\\n", " ", source).splitlines():
        line = f"{line}\n{part}".lstrip()
        with contextlib.suppress(ValueError):  # a quotation goes on in the next line
            for words in commands(line.removeprefix("$ ")):
                check_command(words)
            line = ""
    assert not line, "a quotation does not end"


def commands(line):
    """Calls of s2cloud in a line, as lists of words."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("|&;"):
            while words and (re.match(r"\w+=", words[0]) or words[0] in STARTERS):
                words.pop(0)
            if words and words[0] == "s2cloud":
                yield words[1:]
            words = []
        else:
            words.append(word)


def check_command(words):
    ends = [i for i, word in enumerate(words) if re.fullmatch(r"\d?[<>]+", word)]
    words = words[: min(ends)] if ends else words
    words = words[:-1] if ends and words and words[-1] == "2" else words
    command: click.Command = cli
    while isinstance(command, click.Group):
        while words and words[0].startswith("-v"):
            words = words[1:]
        if not words or words[0] == "--help":
            return
        command, words = command.commands[words[0]], words[1:]
    if "--help" not in words:
        command.make_context(command.name, list(words))


def check_yaml(example, source):
    title = re.search(r'title="([^"]+)"', example.region.lexemes["info"])
    assert title, "an example of YAML has a title, which says what it is"
    values = yaml.safe_load(source)
    name = title[1].rpartition("/")[2]
    if name == "options.yaml":
        ProcessorConfig.model_validate(values)
    elif name == "settings.yaml":
        Settings.model_validate({"sources": [{"url": "/a"}], "destination": {"url": "/b"}} | values)
    elif re.fullmatch(r"values(-\w+)?\.yaml", name):
        schema = json.loads((ROOT / "helm/s2cloud/values.schema.json").read_text())
        jsonschema.validate(values, schema)
        if {"sources", "destination"} <= set(values.get("config", {})):
            Settings.model_validate(values["config"])
    else:
        pytest.fail(f"{name} is none of options.yaml, settings.yaml, values.yaml")


def check_text(example, source):
    lines = [line for line in source.splitlines() if line.startswith("s2cloud ")]
    check_shell(example, "\n".join(lines))


def check_json(example, source):
    values = json.loads(source)
    if 'title="event.json"' in example.region.lexemes["info"]:
        assert list(addresses_in(values)), "an event that names nothing"


CHECKS = {
    "python": run_python,
    "sh": check_shell,
    "yaml": check_yaml,
    "json": check_json,
    "toml": lambda _, source: tomllib.loads(source),
    "xml": lambda _, source: ElementTree.fromstring(source),
    "text": check_text,
    "": check_text,
}


def blocks(document):
    """Parser of Sybil: every fenced block is an example."""
    lexer = RawFencedCodeBlockLexer(re.compile(r"(?P<info>[^\n]*)$\n", re.MULTILINE))
    for found in lexer(document):
        info = found.lexemes["info"].strip()
        language = (info.split() or [""])[0]

        def evaluate(example, language=language):
            CHECKS[language](example, str(example.parsed))

        region = Region(found.start, found.end, found.lexemes["source"], evaluate)
        region.lexemes = found.lexemes
        yield region


def examples(page):
    return Sybil([blocks, SkipParser()]).parse(page).examples()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_of(page, surroundings):
    assert surroundings.is_dir()
    for example in examples(page):
        place = f"{page.relative_to(ROOT)}:{example.line}"
        try:
            example.evaluate()
        except unittest.SkipTest as reason:
            if not str(reason):
                pytest.fail(f"{place}: an example is left out without a reason")
        except click.UsageError as error:
            pytest.fail(f"{place}: {error.format_message()}")
        except KeyError as error:
            pytest.fail(f"{place}: no such command, language or name: {error}")
        except Exception as error:
            error.add_note(place)
            raise


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("```sh\ns2cloud process SRC DST --bbx 1,2,3,4\n```\n", "No such option"),
        ("```sh\nA=1 srun s2cloud frobnicate > x\n```\n", "frobnicate"),
        ("```\ns2cloud process SRC\n```\n", "Missing parameter"),
        ('```yaml title="options.yaml"\naerosol: {model: lunar}\n```\n', "aerosol"),
        ('```yaml title="values.yaml"\nimage: {repo: x}\n```\n', "repo"),
        ("```yaml\na: 1\n```\n", "has a title"),
        ("```python\nassert False, 'told'\n```\n", "told"),
        ("```fortran\nx\n```\n", "fortran"),
        ("```json\n{\n```\n", "Expecting"),
    ],
)
def test_a_wrong_example_is_found(text, words, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text)
    (example,) = examples(page)
    with pytest.raises(Exception, match=words):
        example.evaluate()
