"""What a check of a product finds, in words for people and for programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Findings", "Kind", "Level", "Validation"]

Level = Literal["error", "warning"]
#: ``receipt``: missing or unreadable; ``missing``, ``damaged``, ``extra``: files; ``schema``:
#: names, types, structure; ``georeference``; ``offset``: scale, offset, no-data; ``link``.
Kind = Literal["receipt", "missing", "damaged", "extra", "schema", "georeference", "offset", "link"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault.

    Attributes
    ----------
    level
        ``error`` if the product must not be used as it is, else ``warning``.
    kind
        What sort of fault.
    where
        File, or part of it, relative to the place that was checked.
    what
        The fault in words.
    """

    level: Level
    kind: Kind
    where: str
    what: str

    @override
    def __str__(self) -> str:
        return f"{self.level}: {self.kind}: {self.where}: {self.what}"


@dataclass(slots=True)
class Findings:
    """Faults as they are found.

    Attributes
    ----------
    prefix
        Place of the product below the place that is checked, for `Finding.where`.
    """

    prefix: str = ""
    found: list[Finding] = field(default_factory=list)

    def add(self, kind: Kind, where: str, what: str, *, level: Level = "error") -> None:
        """Note a fault."""
        self.found.append(Finding(level, kind, f"{self.prefix}{where}", what))

    def compare(self, kind: Kind, where: str, what: str, expected: object, found: object) -> None:
        """Note a fault if two values differ."""
        if expected != found:
            self.add(kind, where, f"{what}: expected {expected}, found {found}")


@dataclass(frozen=True, slots=True)
class Validation:
    """Result of `s2cloud.validate`.

    Attributes
    ----------
    destination
        What was checked, without secrets.
    products
        Names of the products found there.
    files, size
        Number of files checked and their length. [byte]
    findings
        Faults, errors first.
    """

    destination: str
    products: tuple[str, ...]
    files: int
    size: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings are allowed."""
        return all(finding.level != "error" for finding in self.findings)

    def of(self, kind: Kind) -> Iterator[Finding]:
        """Findings of one kind."""
        return (finding for finding in self.findings if finding.kind == kind)

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable form."""
        return {"ok": self.ok, **asdict(self)}

    @override
    def __str__(self) -> str:
        counts = Counter(finding.level for finding in self.findings)
        verdict = "valid" if self.ok else "not valid"
        head = (
            f"{self.destination}: {verdict}; {len(self.products)} product(s), {self.files} files, "
            f"{self.size / 1e6:.1f} MB, {counts['error']} errors, {counts['warning']} warnings"
        )
        return "\n".join([*map(str, self.findings), head])
