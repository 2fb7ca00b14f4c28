"""The pages: Voilà as a service of the hub, serving our notebooks and nothing else.

Of stock Voilà there remain the renderer, the executor and the kernel's websocket. Sources, files, themes and
templates are never served, and whoever asks for a kernel must own it.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
from jupyter_core.utils import run_sync
from jupyter_server.base.handlers import JupyterHandler
from markupsafe import Markup
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from tornado.ioloop import IOLoop, PeriodicCallback
from tornado.log import app_log
from tornado.web import authenticated
from traitlets import Any as AnyTrait
from traitlets.config import Config
from voila.app import Voila
from voila.notebook_renderer import NotebookRenderer

from agent_analytics import keys
from agent_analytics.serving import hub_identity, kernels, rhythm
from agent_analytics.serving.doors import PAGES, Lead, Nothing, OwnLab, Served, refuse
from agent_analytics.serving.hub_identity import SERVICE, HubIdentity
from agent_analytics.serving.kernels import Busy, Kernels, Owner
from agent_analytics.serving.replies import HEADERS, PREFIX, SECURE, TEMPLATES, File, Reply, log_request, rendered, site
from agent_analytics.serving.sockets import INCOMING, MESSAGE_BYTES, Kernel, OwnKernels, Socket, hang_up, notify
from agent_analytics.settings import Settings

PATIENCE_SECONDS = 60
BURST_SECONDS = 0.02
RENEW_SECONDS = rhythm.SWEEP_EVERY
BODY_BYTES = 1_000_000
UNSEEN = ("_esm", "_css")
_KERNEL_ID = r"(?P<kernel_id>[0-9a-f-]{36})"


class OwnNotebook(NotebookRenderer):
    """Reads our notebook as it is: no trust database, no search for kernels, no markdown that names files."""

    async def load_notebook(self, path: str) -> nbformat.NotebookNode:
        return nbformat.read(notebooks() / path, as_version=4)


class Page(Reply, JupyterHandler):
    """A dashboard notebook, run for whoever opens it in a kernel of their own."""

    kernel_id: str | None = None
    has_left = False

    @authenticated
    async def get(self, name: str) -> None:
        owner, page = self.owner, PAGES[name]
        if owner is None or owner.principal.role not in page.roles:
            return refuse(self, page)
        try:
            self.kernel_id = self.kernels.reserve(owner)
        except Busy:
            return self.busy()
        await self._send(page, owner, self.kernel_id)

    async def _send(self, page: Served, owner: Owner, kernel_id: str) -> None:
        """The frame at once, the panels when they are painted. Whatever fails on the way takes its kernel along."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                async for html in _in_bursts(self._html(page, owner, kernel_id)):
                    self.write(html)
                    await self.flush()
            IOLoop.current().call_later(kernels.UNMET_SECONDS, self.kernels.close_unmet, kernel_id)
        except Exception:
            await self.kernels.close(kernel_id)
            if not self.has_left:
                app_log.exception("%s could not be made, reference %s", page.notebook, self.reference)
                await self.finish(rendered("broken", reference=self.reference))

    def on_connection_close(self) -> None:
        """The reader did not wait for the page."""
        self.has_left = True
        if self.kernel_id is not None:
            IOLoop.current().add_callback(self.kernels.close, self.kernel_id)

    async def _html(self, page: Served, owner: Owner, kernel_id: str) -> AsyncGenerator[str]:
        app = self.settings["voila"]
        renderer = OwnNotebook(
            notebook_path=page.notebook,
            voila_configuration=app.voila_configuration,
            traitlet_config=app.config,
            template_paths=app.template_paths,
            base_url=self.base_url,
            page_config={},
        )
        await renderer.initialize()
        environment = renderer.exporter.environment
        environment.autoescape = True
        environment.globals.update(
            site=site(owner, datetime.now(UTC)),
            prose=_prose,
            panel_html=lambda model: Markup(renderer.executor.widget_state[model].get("html", "")),  # noqa: S704
            page_state=partial(_page_state, renderer, self.xsrf_token.decode()),
        )
        kernel = asyncio.ensure_future(self.kernels.open(kernel_id, datetime.now(UTC)))
        async for html, _ in renderer.generate_content_generator(kernel_id, kernel):
            yield html


async def _in_bursts(pieces: AsyncGenerator[str]) -> AsyncIterator[str]:
    """The pieces joined, as far as they come without waiting."""
    ready: list[str] = []
    while True:
        following = asyncio.ensure_future(anext(pieces, None))
        try:
            await asyncio.wait({following}, timeout=BURST_SECONDS)
            if ready and not following.done():
                yield "".join(ready)
                ready.clear()
            piece = await following
        finally:
            following.cancel()
        if piece is None:
            break
        ready.append(piece)
    yield "".join(ready)


def _prose(markdown: str) -> Markup:
    renderer = IPythonRenderer(escape=True, exclude_anchor_links=True)
    return Markup(MarkdownWithMath(renderer=renderer).render(markdown))  # noqa: S704


def _page_state(renderer: NotebookRenderer, token: str, kernel_id: str, painted: list[str]) -> dict[str, Any]:
    """What the page's script starts from: models without the modules it has itself, and without HTML already sent."""
    states = {
        model: {
            name: value
            for name, value in state.items()
            if name not in UNSEEN and not (name == "html" and model in painted)
        }
        for model, state in renderer.executor.widget_state.items()
    }
    return {"kernel": kernel_id, "token": token, "states": states}


async def note_error(cell: Any, execute_reply: dict[str, Any], **_: Any) -> None:
    """A cell failed: why goes to the log, where goes to the page. Panels that failed tell it themselves."""
    content = execute_reply["content"]
    if content["ename"] != "PanelFailed":
        cell.metadata["reference"] = reference = secrets.token_hex(4)
        app_log.error("A cell failed, reference %s: %s", reference, "\n".join(content["traceback"]))


class Dashboards(Voila):
    """Voilà without its tree, files, themes, templates and configuration files."""

    name = "voila"
    installation = AnyTrait(help="The installation's Settings.").tag(config=True)

    @property
    def display_url(self) -> str:
        return self.connection_url

    def setup_template_dirs(self) -> None:
        self.template_paths = [str(TEMPLATES)]

    def init_settings(self) -> dict[str, Any]:
        settings = super().init_settings()
        sockets: dict[str, set[Socket]] = {}
        self.kernel_manager.allowed_message_types = list(INCOMING)
        self.kernel_manager.furnish_for(self.installation, partial(hang_up, sockets))
        self.renewing = PeriodicCallback(self.renew, 1000 * RENEW_SECONDS)
        self.renewing.start()
        return settings | {
            "sockets": sockets,
            "secure": self.installation.is_https,
            "headers": HEADERS | (SECURE if self.installation.is_https else {}),
            "xsrf_cookies": True,
            "xsrf_cookie_kwargs": {"httponly": True, "path": PREFIX, **hub_identity.cookies(self.installation)},
            "log_function": log_request,
            "default_handler_class": Nothing,
            "compress_response": True,
            "websocket_max_message_size": MESSAGE_BYTES,
        }

    async def renew(self) -> None:
        """Who has lost the right loses the kernel; whose right cannot be checked is told."""
        now = datetime.now(UTC)
        await self.kernel_manager.renew(self.identity_provider.still, now)
        for kernel_id, owner in self.kernel_manager.owners.items():
            notice = rhythm.notice(owner.verified_at, owner.valid_until, now)
            notify(self.app.settings["sockets"], kernel_id, notice)

    def listen(self) -> None:
        """As Voilà does, but nobody sends us much."""
        self.app.listen = partial(self.app.listen, max_buffer_size=BODY_BYTES)
        super().listen()

    def init_handlers(self) -> list[tuple[Any, ...]]:
        return [
            *self.identity_provider.get_handlers(),
            (PREFIX, Lead),
            (f"{PREFIX}lab", OwnLab),
            (f"{PREFIX}({'|'.join(PAGES)})", Page),
            (f"{PREFIX}api/kernels/{_KERNEL_ID}", Kernel),
            (f"{PREFIX}api/kernels/{_KERNEL_ID}/channels", Socket),
            (rf"{PREFIX}static/([\w.-]+)", File),
        ]

    def stop(self) -> None:
        self.renewing.stop()
        run_sync(partial(self.kernel_manager.shutdown_all, now=True))()
        super().stop()


def notebooks() -> Path:
    """Where the dashboard notebooks are: in the installed package, or in its checkout."""
    package = Path(__file__).parents[1]
    installed = package / "dashboards"
    return installed if installed.is_dir() else package.parent / "dashboards"


def configured(settings: Settings) -> Config:
    """All that Jupyter's parts are told; they read no configuration files and no environment."""
    c = Config()
    c.Dashboards.installation = settings
    c.Voila.config_file_paths = []
    c.Voila.ip, c.Voila.port, c.Voila.port_retries = "127.0.0.1", settings.port_of(SERVICE), 0
    c.Voila.base_url, c.Voila.root_dir, c.Voila.open_browser = PREFIX, str(notebooks()), False
    c.Voila.cookie_secret = keys.secret(settings.home, "dashboards-cookie-secret").encode()
    c.Voila.identity_provider_class, c.Voila.authorizer_class = HubIdentity, OwnKernels
    c.VoilaConfiguration.multi_kernel_manager_class = Kernels
    c.VoilaConfiguration.kernel_spec_manager_class = kernels.OneSpecification
    c.VoilaConfiguration.allow_template_override = c.VoilaConfiguration.allow_theme_override = "NO"
    c.VoilaConfiguration.file_allowlist, c.VoilaConfiguration.show_tracebacks = [], False
    c.VoilaExecutor.allow_errors, c.VoilaExecutor.on_cell_error = True, note_error
    kernels.configure(c, settings)
    hub_identity.configure(c, settings)
    return c


def serve(config: Config, app_class: type[Dashboards] = Dashboards) -> None:
    """Run until SIGTERM, which ends every kernel."""
    app = app_class(config=config)
    app.initialize(argv=[])
    app.start()


def main(settings: Settings) -> None:
    """Serve the pages of one installation."""
    serve(configured(settings))
