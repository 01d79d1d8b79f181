"""What all queues have in common for the one loop that reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from s2cloud.model.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Message", "Queue", "not_installed"]


class Message(Protocol):
    """A message that was taken and not yet acknowledged."""

    @property
    def body(self) -> bytes:
        """As it was sent."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Its properties."""
        ...

    async def acknowledge(self) -> None:
        """Take it from the queue."""
        ...

    async def extend(self) -> None:
        """Show that it is being worked on."""
        ...

    async def hand_back(self) -> None:
        """Let it be delivered again, to any consumer."""
        ...


class Queue(Protocol):
    """An open connection to a queue."""

    @property
    def extend_s(self) -> float:
        """How often a message that is held must be extended; 0 if it cannot be held. [s]."""
        ...

    @property
    def longest_s(self) -> float:
        """How long a message may be held. [s]."""
        ...

    async def receive(self, most: int) -> Sequence[Message]:
        """Next messages; none after about a second without."""
        ...


def not_installed(kind: str, error: ImportError) -> UsageError:
    """Error for a client library that is not there."""
    return UsageError(
        f"no queue of kind {kind} without its client",
        found=f"no module {error.name}",
        fix=f"pip install 's2cloud[{kind}]'",
    )
