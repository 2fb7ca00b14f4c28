"""The one widget of ours: a panel that shows what was painted for it, in a served page and in JupyterLab."""

from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from agent_analytics.widgets import assets
from agent_analytics.widgets.paint import Painting


class Panel(anywidget.AnyWidget):
    """A painting on the page. Only the kernel paints: what a browser sends into these fields is ignored.

    A served page draws it by its own script. JupyterLab runs `_esm`, which asks once a page for the
    charts' bundle by a message, so that no panel carries it.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)
    html = traitlets.Unicode().tag(sync=True)
    specification: Any = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)
    sequence = traitlets.Int(0).tag(sync=True)

    def __init__(self, painting: Painting, ask: Callable[[], None]) -> None:
        super().__init__(html=painting.html, specification=painting.specification)
        self._ask = ask
        self.on_msg(self._answer)

    @traitlets.default("_esm")
    def _default_esm(self) -> str:
        return assets.text("panel.js")

    @traitlets.default("_css")
    def _default_css(self) -> str:
        return assets.text("panel.css")

    def show(self, painting: Painting, sequence: int) -> None:
        """Replace what is seen, in one message. `sequence` is the number of the asking that this answers."""
        with self.hold_sync():
            self.html, self.specification, self.sequence = painting.html, painting.specification, sequence

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """A browser writes nothing here."""

    def _answer(self, _: Any, content: Any, __: Any) -> None:
        match content:
            case {"event": "ask"}:
                self._ask()
            case {"event": "charts"}:
                self.send({"event": "charts"}, buffers=[assets.text("charts.js").encode()])
