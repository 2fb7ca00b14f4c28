"""The invented organizations and people of the demo: its data and its sign-in both tell of these."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Organization:
    """An invented customer: `slug` as in the record, an IANA time zone, and its teams, largest first."""

    slug: str
    name: str
    timezone: str
    teams: tuple[str, ...]


@dataclass(frozen=True)
class Persona:
    """An invented person who can sign in; `sub` is also the record's `user`.

    `key` names the picker's button. `organization` is a slug, None for who runs the platform.
    """

    key: str
    sub: str
    name: str
    email: str
    role: str
    organization: str | None
    teams: tuple[str, ...] = ()


ORGANIZATIONS = (
    Organization("acme", "Acme Robotics", "Europe/Berlin", ("Platform", "Payments", "Search", "Support", "Growth")),
    Organization("globex", "Globex Logistics", "America/New_York", ("Routing", "Warehouse", "Customer Care")),
    Organization("initech", "Initech Systems", "Asia/Kolkata", ("Core", "Reporting")),
)

PERSONAS = (
    Persona("acme-admin", "ada.lindqvist", "Ada Lindqvist", "ada.lindqvist@acme.example.com", "ORG_ADMIN", "acme"),
    Persona(
        "acme-lead",
        "lena.brandt",
        "Lena Brandt",
        "lena.brandt@acme.example.com",
        "TEAM_LEAD",
        "acme",
        ("Platform", "Payments"),
    ),
    Persona(
        "acme-engineer", "emil.novak", "Emil Novák", "emil.novak@acme.example.com", "MEMBER", "acme", ("Platform",)
    ),
    Persona("globex-admin", "grace.okafor", "Grace Okafor", "grace.okafor@globex.example.com", "ORG_ADMIN", "globex"),
    Persona(
        "globex-engineer",
        "gabriel.ruiz",
        "Gabriel Ruiz",
        "gabriel.ruiz@globex.example.com",
        "MEMBER",
        "globex",
        ("Routing",),
    ),
    Persona("platform-admin", "petra.haas", "Petra Haas", "petra.haas@platform.example.com", "PLATFORM_ADMIN", None),
)
