"""One attempt at a product: what it is to write, and what it leaves behind."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from s2cloud.io.checksums import is_passing
from s2cloud.io.receipt import Receipt, digest_of, read_receipt
from s2cloud.model.errors import S2CloudError

if TYPE_CHECKING:
    from collections.abc import Callable

    from s2cloud.io.journal import Journal
    from s2cloud.io.stores import Store
    from s2cloud.io.target import Product, Target

__all__ = ["Attempt"]

logger = logging.getLogger(__name__)

#: Ends of a run that say nothing against what it finished; the next one resumes there. By name,
#: for the floor of clusters is above this one.
_INTERRUPTIONS: Final = frozenset(
    {"UnavailableError", "KilledWorker", "CancelledError", "FutureCancelledError"}
    | {"CommClosedError", "TimeoutError"}
)


@dataclass(slots=True)
class Attempt:
    """What one attempt writes and where.

    Attributes
    ----------
    product, store
        The tree on its way out, and the folder it goes to.
    targets
        Formats to be written.
    item
        Whether there is to be a STAC item.
    old
        Receipt of what is there already.
    extend
        Whether formats are added to that.
    settle
        Waits for tasks in other processes.
    """

    product: Product
    store: Store
    targets: list[Target]
    item: bool
    old: Receipt | None
    extend: bool
    settle: Callable[[], None] | None = None

    @property
    def names(self) -> list[str]:
        """Files and folders that the formats write."""
        return sorted({name for target in self.targets for name in target.names(self.product)})

    @property
    def key(self) -> str:
        """Identity of the bytes to be written, for the journal."""
        files = self.product.l2a.root.attrs.get("provenance", {}).get("input_files")
        return digest_of([self.product.digest, files, sorted(map(repr, self.targets))])

    def leave(self, journal: Journal, error: BaseException) -> bool:
        """Leave finished parts to the next run after an interruption, and nothing otherwise.

        Best effort, for the first error matters more. Tells whether something was left.
        """
        if not isinstance(error, Exception) or type(error).__name__ in _INTERRUPTIONS:
            journal.flush()
            return True
        old = {asset.href for asset in self.old.assets} if self.old is not None else set()
        names = set(self.names)
        if self.item:
            names.add(self.product.layout.item)
        names = names - old if self.extend else names | old
        try:
            if (
                not self.extend
                and read_receipt(self.store, self.product.layout.receipt) is not None
            ):
                logger.warning("kept the files at %s: another run committed them", self.store.url())
                return False
            for name in sorted(names):
                self.store.delete(name)
        except S2CloudError as second:
            logger.warning("could not clean up after a failure: %s", second)
        return False

    def remove_unfinished(self) -> None:
        """Remove what killed runs were writing: on a disk it has another name until it is whole."""
        layout, store = self.product.layout, self.store
        if store.protocol != "file":
            return
        # A Zarr store of its own lies in a folder that may hold other products.
        alone = layout.receipt == Receipt.name
        for name in [""] if alone else self.names:
            for path in store.find(name):
                if is_passing(path) and not path.startswith(f"{layout.progress}/"):
                    store.delete(path)

    def remove_stale(self, receipt: Receipt) -> None:
        """Remove files of the product that was replaced."""
        if self.old is None or self.extend:
            return
        for href in {a.href for a in self.old.assets} - {a.href for a in receipt.assets}:
            try:
                self.store.delete(href)
            except S2CloudError as error:
                logger.warning("could not remove a file of the replaced product: %s", error)
