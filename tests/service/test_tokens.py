"""Signed tokens, as Pub/Sub and Event Grid send them: checked by keys of a local issuer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typing_extensions import override

from s2cloud.service import tokens
from s2cloud.service.authentication import Authentication
from s2cloud.service.settings import HttpSettings, OidcSettings
from tests.service.parts import product_name
from tests.service.test_server import ask, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AUDIENCE = "https://s2cloud.example.org/events"
SENDER = "events@project.iam.gserviceaccount.com"


class Issuer:
    """Keys by name, told over HTTP."""

    def __init__(self) -> None:
        self.keys = {"first": rsa.generate_private_key(65537, 2048)}
        self.asked = 0
        self.broken = False
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                self.send_response(500 if issuer.broken else 200)
                self.end_headers()
                self.wfile.write(json.dumps({"keys": issuer.public()}).encode())

            @override
            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/certs"

    def public(self) -> list[dict[str, Any]]:
        rs256 = jwt.get_algorithm_by_name("RS256")
        return [
            json.loads(rs256.to_jwk(key.public_key())) | {"kid": name, "use": "sig", "alg": "RS256"}
            for name, key in self.keys.items()
        ]

    def token(self, kid: str = "first", key: Any = None, **other: Any) -> str:
        """As Google makes them; claims that are None are left out."""
        now = time.time()
        claims = {
            "aud": AUDIENCE,
            "azp": "113774264463038321964",
            "email": SENDER,
            "email_verified": True,
            "exp": now + 3600,
            "iat": now,
            "iss": "https://accounts.google.com",
            "sub": "113774264463038321964",
        }
        claims = {name: value for name, value in (claims | other).items() if value is not None}
        signer = key or self.keys[kid]
        return jwt.encode(claims, signer, algorithm="RS256", headers={"kid": kid})


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def http_of(issuer: Issuer, **more: Any) -> HttpSettings:
    oidc = OidcSettings(audience=AUDIENCE, senders=(SENDER,), keys_url=issuer.url, **more)
    return HttpSettings(host="127.0.0.1", port=0, authentication="oidc", oidc=oidc)


def permits(checked: Authentication, token: str) -> bool:
    return checked.permits({"Authorization": f"Bearer {token}"}, b"")


def test_push_of_pub_sub_gets_in_by_its_token_and_nothing_else_does(
    tmp_path: Path, issuer: Issuer, caplog: pytest.LogCaptureFixture
):
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "bucketId": "l1c",
        "objectId": f"{product_name(0)}.SAFE/manifest.safe",
    }
    body = json.dumps({"message": {"attributes": attributes}, "subscription": "s"}).encode()
    token = issuer.token()
    with serving(tmp_path, http=http_of(issuer)) as service:
        assert ask(service, "/events", body)[0] == 401
        assert ask(service, "/events", body, Authorization=f"Basic {token}")[0] == 401
        status, told, _ = ask(service, "/events", body, Authorization=f"Bearer {token}")
    # Let in, understood, and refused for its bucket alone: it is in none of the sources.
    assert status == 202
    assert "gs://l1c/" in json.loads(told)["refused"][0]
    assert token not in caplog.text


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://elsewhere.example.org"},
        {"aud": None},
        {"iss": "https://accounts.example.org"},
        {"exp": time.time() - 3600},
        {"exp": None},
        {"email_verified": False},
        {"email": "somebody@project.iam.gserviceaccount.com"},
        {"email": None},
    ],
)
def test_token_of_another_or_for_another_is_refused(issuer: Issuer, claims: dict[str, Any]):
    checked = Authentication(http_of(issuer))
    assert permits(checked, issuer.token())
    assert not permits(checked, issuer.token(**claims))


def test_forged_tokens_are_refused(issuer: Issuer):
    checked = Authentication(http_of(issuer))
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    other = rsa.generate_private_key(65537, 2048)
    head, middle, signature = issuer.token().split(".")
    changed = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "x"}).encode()).decode()
    public = issuer.keys["first"].public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    symmetric = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"first"}').decode().rstrip("=")
    mac = hmac.new(pem, f"{symmetric}.{middle}".encode(), hashlib.sha256).digest()
    for token in (
        issuer.token(key=other),
        f"{head}.{changed.rstrip('=')}.{signature}",
        f"{head}.{middle}.",
        jwt.encode(claims, "", algorithm="none", headers={"kid": "first"}),
        # Signed with the public key as if it were a shared secret.
        f"{symmetric}.{middle}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}",
        "no token",
        "",
    ):
        assert not permits(checked, token)


def test_new_keys_are_found_and_strangers_cause_no_flood(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
):
    checked = Authentication(http_of(issuer))
    assert permits(checked, issuer.token())
    other = rsa.generate_private_key(65537, 2048)
    for number in range(20):
        assert not permits(checked, issuer.token(kid=f"unknown {number}", key=other))
    assert issuer.asked == 1
    issuer.keys["second"] = rsa.generate_private_key(65537, 2048)
    assert not permits(checked, issuer.token("second"))
    monkeypatch.setattr(tokens, "KEYS_S", 0.0)
    assert permits(checked, issuer.token("second"))
    # Out of reach: what is known stays valid.
    issuer.broken = True
    assert not permits(checked, issuer.token(kid="third", key=other))
    assert permits(checked, issuer.token())


def test_tokens_of_azure_name_their_application(issuer: Issuer):
    tenant = "https://sts.windows.net/0b1c/"
    oidc = OidcSettings(
        audience=AUDIENCE, senders=("4962773b",), issuer=tenant, keys_url=issuer.url
    )
    checked = Authentication(HttpSettings(authentication="oidc", oidc=oidc))
    claims: dict[str, Any] = {"iss": tenant, "email": None, "email_verified": None}
    assert permits(checked, issuer.token(appid="4962773b", **claims))
    assert not permits(checked, issuer.token(appid="another", **claims))


def test_settings_without_their_block_are_refused():
    with pytest.raises(ValueError, match="belong together"):
        HttpSettings(authentication="oidc")
    with pytest.raises(ValueError, match="belong together"):
        HttpSettings(authentication="none", oidc=OidcSettings(audience="a", senders=("b",)))
