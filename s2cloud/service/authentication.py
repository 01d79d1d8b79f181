"""Who may send events: secrets from a file, compared in constant time, and signed tokens."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from s2cloud.service.settings import read_secret
from s2cloud.service.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from s2cloud.service.settings import HttpSettings

__all__ = ["Allowance", "Authentication"]

logger = logging.getLogger(__name__)


class Authentication:
    """Checks requests against the secrets of the settings.

    Parameters
    ----------
    settings
        Of the port.

    Raises
    ------
    UsageError
        If there is no secret where one is needed.
    """

    def __init__(self, settings: HttpSettings) -> None:
        self._kind = settings.authentication
        self._path = settings.secret_file or ""
        self._changed = -1.0
        self._secrets: tuple[bytes, ...] = ()
        self._tokens = Tokens(settings.oidc) if settings.oidc is not None else None
        if self._kind not in {"none", "oidc"}:
            self._refresh()

    def permits(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether a request shows a secret that is valid.

        Parameters
        ----------
        headers
            Of the request, found in any case.
        body
            For signatures over it.
        """
        if self._kind == "none":
            return True
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        if self._tokens is not None:
            return scheme.lower() == "bearer" and self._tokens.permit(given.strip())
        self._refresh()
        if self._kind == "hmac":
            signature = headers.get("X-Hub-Signature-256", "").encode()
            return _any(
                signature,
                (
                    b"sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest().encode()
                    for secret in self._secrets
                ),
            )
        if scheme.lower() != self._kind:
            return False
        shown = given.strip().encode()
        if self._kind == "basic":
            try:
                shown = base64.b64decode(shown, validate=True)
            except (binascii.Error, ValueError):
                return False
        return _any(shown, self._secrets)

    def _refresh(self) -> None:
        try:
            changed = Path(self._path).stat().st_mtime
        except OSError:
            changed = 0.0
        if changed == self._changed:
            return
        lines = read_secret(self._path).splitlines()
        self._secrets = tuple(line.strip().encode() for line in lines if line.strip())
        self._changed = changed
        logger.info("secrets of the webhook read: %d", len(self._secrets))


class Allowance:
    """At most so many requests per minute, with room for a burst of them.

    Parameters
    ----------
    per_minute
        Requests.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_second = per_minute / 60.0
        self._most = float(per_minute)
        self._left = self._most
        self._at = time.monotonic()

    def spend(self) -> bool:
        """Whether one more request is allowed now."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


def _any(given: bytes, valid: Iterable[bytes]) -> bool:
    # All are compared, so that time does not tell which was close.
    return sum(hmac.compare_digest(given, each) for each in valid) > 0
