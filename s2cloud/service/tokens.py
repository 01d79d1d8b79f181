"""Signed tokens of OpenID Connect, checked by the public keys of their issuer."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

import jwt

if TYPE_CHECKING:
    from s2cloud.service.settings import OidcSettings

__all__ = ["Tokens"]

logger = logging.getLogger(__name__)

#: Between two requests for the keys of an issuer: tokens of strangers cause none in between. [s]
KEYS_S: Final = 60.0
#: Keys are asked for again after so long: issuers change them now and then. [s]
KEYS_KEPT_S: Final = 3600.0


class Tokens:
    """Checks tokens of an issuer by its public keys.

    Parameters
    ----------
    settings
        Whose tokens, and made out for whom.

    References
    ----------
    OpenID Connect Core 1.0, section 3.1.3.7; Google Cloud Pub/Sub, "Authentication for push
    subscriptions".
    """

    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._source = jwt.PyJWKClient(settings.keys_url, cache_jwk_set=False, timeout=10)
        self._keys: dict[str, Any] = {}
        self._asked = -KEYS_KEPT_S

    def permit(self, token: str) -> bool:
        """Whether a token is valid now; may fetch the keys of the issuer.

        Parameters
        ----------
        token
            As it was sent.
        """
        try:
            key = self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            if key is None:
                return False
            facts = jwt.decode(
                token,
                key,
                algorithms=["RS256", "ES256"],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=30,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            logger.debug("token refused: %s", type(error).__name__)
            return False
        names = {str(facts[name]) for name in ("sub", "azp", "appid") if name in facts}
        if facts.get("email_verified") is True:
            names.add(str(facts.get("email")))
        return not names.isdisjoint(self._settings.senders)

    def _key(self, name: str) -> Any:
        age = time.monotonic() - self._asked
        if age > KEYS_KEPT_S or (name not in self._keys and age > KEYS_S):
            self._asked = time.monotonic()
            try:
                found = self._source.get_jwk_set().keys
            except jwt.PyJWTError as error:
                # Those that are known go on to be valid: the issuer may be out of reach.
                logger.warning("keys of the issuer of tokens not read: %s", type(error).__name__)
            else:
                self._keys = {str(each.key_id): each for each in found}
        return self._keys.get(name)
