"""What the pages' service says besides its pages: messages a person can act on, failures with a reference, files."""

import gzip
import json
import secrets
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any

import jinja2
from tornado.log import access_log, app_log
from tornado.web import HTTPError, RequestHandler

from agent_analytics.scope import Principal, scope_of
from agent_analytics.serving import lab, rhythm
from agent_analytics.serving.kernels import Kernels, Owner
from agent_analytics.widgets import assets

PREFIX = "/services/dashboards/"
TEMPLATES = assets.FRONTEND / "templates"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; object-src 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SECURE = {"Strict-Transport-Security": "max-age=31536000"}
RETRY_SECONDS = 30
REFERENCE = "X-Reference"
ROLES = {
    "ORG_ADMIN": "organization admin",
    "TEAM_LEAD": "team lead",
    "MEMBER": "member",
    "PLATFORM_ADMIN": "platform admin",
}
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_TITLES = {
    403: "You may not see this",
    404: "There is no such page",
    503: "All places are taken right now",
}
_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
)


class Reply(RequestHandler):
    """Our headers, and errors that tell a reader what to do and an operator where to look."""

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in self.settings.get("headers", HEADERS).items():
            self.set_header(name, value)

    @cached_property
    def reference(self) -> str:
        """Stands in this request's reply and in its line in the log."""
        return secrets.token_hex(4)

    @property
    def owner(self) -> Owner | None:
        """Who asks, as far as that is known."""
        known = getattr(self, "_jupyter_current_user", None) is not None
        return self.settings["identity_provider"].owner_of(self) if known else None

    @property
    def kernels(self) -> Kernels:
        return self.settings["kernel_manager"]

    def log_exception(self, *raised: Any) -> None:
        """Without the address's query: it may hold a code."""
        what = f"{self.request.method} {self.request.path}, reference {self.reference}"
        if isinstance(raised[1], HTTPError):
            app_log.warning("%s: %s", what, raised[1].log_message or raised[1].status_code)
        else:
            app_log.error("%s failed", what, exc_info=raised)

    def busy(self) -> None:
        """Ask them to come again: all places, or all of theirs, are taken."""
        self.set_header("Retry-After", RETRY_SECONDS)
        self.tell(503, "busy")

    def finish(self, *said: Any, **more: Any) -> Any:
        """Every refusal carries its reference, whoever of Jupyter or tornado refuses."""
        if self.get_status() >= 400 and not self._headers_written:
            self.set_header(REFERENCE, self.reference)
        return super().finish(*said, **more)

    def write_error(self, status_code: int, **_: Any) -> None:
        self.set_header("Cache-Control", "no-store")
        title = _TITLES.get(status_code, "Something went wrong here")
        if "text/html" in self.request.headers.get("Accept", ""):
            self.tell(status_code, "error", title=title)
        else:
            self.set_header("Content-Type", "application/problem+json")
            problem = {"title": title, "status": status_code, "reference": self.reference}
            self.set_header(REFERENCE, self.reference)
            # Jupyter's own `finish` would call it application/json.
            RequestHandler.finish(self, json.dumps(problem))

    def tell(self, status: int, template: str, **values: Any) -> None:
        """Finish with a message as a page of its own."""
        self.set_status(status)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        self.finish(
            rendered(
                template, site=site(self.owner, datetime.now(UTC)), status=status, reference=self.reference, **values
            )
        )


class File(Reply):
    """A file of the built front end, under its hashed name: it never changes."""

    def get(self, name: str) -> None:
        files = _files()
        if name not in files:
            raise HTTPError(404)
        plain, zipped, kind = files[name]
        self.set_header("Content-Type", kind)
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")
        self.set_header("Vary", "Accept-Encoding")
        if "gzip" in self.request.headers.get("Accept-Encoding", ""):
            self.set_header("Content-Encoding", "gzip")
            self.finish(zipped)
        else:
            self.finish(plain)


@cache
def _files() -> dict[str, tuple[bytes, bytes, str]]:
    return {name: _read(name) for name in assets.manifest().values()}


def _read(name: str) -> tuple[bytes, bytes, str]:
    path = assets.DIST / name
    zipped = path.with_name(f"{name}.gz").read_bytes()
    return gzip.decompress(zipped), zipped, _TYPES[path.suffix]


def rendered(template: str, **values: Any) -> str:
    """One of our templates that is no notebook's."""
    return _environment.get_template(f"{template}.html.j2").render(**values)


def site(owner: Owner | None, now: datetime) -> dict[str, Any]:
    """What the frame around every page shows and links to."""
    files = {name: f"{PREFIX}static/{hashed}" for name, hashed in assets.manifest().items()}
    notice = rhythm.notice(owner.verified_at, owner.valid_until, now) if owner else ""
    has_lab = owner is not None and owner.principal.role in lab.ROLES
    links = {"base": PREFIX, "lab": f"{PREFIX}lab" if has_lab else None}
    return links | {"files": files, "notice": notice, "person": person(owner.principal) if owner else None}


def person(principal: Principal) -> dict[str, str]:
    """Somebody as the header names them."""
    return {
        "name": principal.name or principal.email or principal.user or "Signed in",
        "role": ROLES[principal.role],
        "organization": principal.organization or "the platform",
        "reason": scope_of(principal).reason,
    }


def log_request(handler: RequestHandler) -> None:
    """One line a request, without its query; of a refused one with what its reply refers to."""
    request, status = handler.request, handler.get_status()
    refers = f", reference {handler.reference}" if status >= 400 and isinstance(handler, Reply) else ""
    log = access_log.warning if refers else access_log.info
    log("%d %s %s %.0f ms%s", status, request.method, request.path, 1000 * request.request_time(), refers)
