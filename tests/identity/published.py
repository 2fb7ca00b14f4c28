"""A provider made of what it publishes: a discovery document, keys, and a token endpoint that says what it is told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

NOW = datetime(2026, 3, 30, 12, tzinfo=UTC)
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})


class Published:
    """`documents` by path, as (status, text) or as what is sent in JSON; `asked` are the paths, in order."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.asked: list[str] = []
        self.documents: dict[str, Any] = {
            "/.well-known/openid-configuration": {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{issuer}/jwks",
            }
        }
        self.publish(RSA, EC)

    def publish(self, *keys: Any) -> None:
        self.documents["/jwks"] = {"keys": [key.as_dict(private=False) for key in keys]}

    def claims(self, **changed: Any) -> dict[str, Any]:
        """The claims of a good ID token, some changed; None leaves one out."""
        now = int(NOW.timestamp())
        good = {"iss": self.issuer, "aud": "us", "sub": "ada", "iat": now, "exp": now + 300}
        return {name: value for name, value in (good | changed).items() if value is not None}

    def token(self, key: Any = RSA, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """A signed token; `header` changes what its header says."""
        algorithm = "RS256" if key.key_type == "RSA" else "ES256"
        return jwt.encode({"alg": algorithm, "kid": key.kid, **(header or {})}, self.claims(**changed), key)


@contextmanager
def published() -> Iterator[Published]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.asked.append(self.path)
            said = shown.documents.get(self.path, (404, ""))
            status, text = said if isinstance(said, tuple) else (200, json.dumps(said))
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shown = Published(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield shown
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
