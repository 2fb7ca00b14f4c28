"""The addresses of the pages' service: which pages there are and for whom, and those that only lead elsewhere."""

from dataclasses import dataclass

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from tornado.web import HTTPError, authenticated

from agent_analytics.serving import lab
from agent_analytics.serving.replies import PREFIX, Reply
from agent_analytics.settings import Settings


@dataclass(frozen=True)
class Served:
    """A page: its notebook, and whose it is."""

    notebook: str
    title: str
    roles: frozenset[str]


PAGES = {"organization": Served("organization.ipynb", "Organization", frozenset({"ORG_ADMIN"}))}


class Lead(Reply, JupyterHandler):
    """Leads each role to its own page."""

    @authenticated
    def get(self) -> None:
        for name, page in PAGES.items():
            if self.owner and self.owner.principal.role in page.roles:
                return self.redirect(PREFIX + name)
        return refuse(self, next(iter(PAGES.values())))


class OwnLab(Reply, JupyterHandler):
    """Leads to one's own JupyterLab, or says why there is none."""

    @authenticated
    def get(self) -> None:
        settings: Settings = self.settings["voila"].installation
        reason = lab.refusal(settings)
        if not self.owner or self.owner.principal.role not in lab.ROLES:
            self.tell(403, "no_lab", reason=None)
        elif reason:
            self.tell(404, "no_lab", reason=reason)
        else:
            self.redirect(f"{settings.origin}/hub/user-redirect/lab")


class Nothing(Reply, JupyterHandler):
    """Every other address."""

    @allow_unauthenticated
    def get(self, *_: str) -> None:
        raise HTTPError(404)


def refuse(handler: Reply, page: Served) -> None:
    """Who they are, why not, and how to go on."""
    handler.tell(403, "refused", title=page.title)
