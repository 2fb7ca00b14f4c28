"""The demo's sign-in page: a button for each invented person."""

from collections.abc import Iterable
from html import escape
from importlib import resources
from string import Template

from agent_analytics.demo.people import ORGANIZATIONS, Persona

ROLES = {
    "ORG_ADMIN": "Organization admin",
    "TEAM_LEAD": "Team lead",
    "MEMBER": "Engineer",
    "PLATFORM_ADMIN": "Platform admin",
}
_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in to the demo · Agent Analytics</title>
<link rel="stylesheet" href="picker.css">
</head>
<body>
<main>
<header>
<p class="product">Agent Analytics</p>
<h1>Who do you want to be?</h1>
<p class="note"><strong>This is a demo.</strong> These people and organizations are invented, and so are their figures.
Pick one: there are no passwords. Each sees what their role may see.</p>
</header>
<form method="post">
$groups
</form>
</main>
</body>
</html>
"""
)
_GROUP = Template(
    """<section aria-labelledby="group-$slug">
<h2 id="group-$slug">$name <span class="zone">$zone</span></h2>
<ul>
$people
</ul>
</section>"""
)
_PERSON = Template(
    """<li><button name="persona" value="$key" data-persona="$key">
<span class="initials" aria-hidden="true">$initials</span>
<span class="name">$name</span> <span class="role">$role</span> <span class="teams">$teams</span>
</button></li>"""
)


def page(people: Iterable[Persona]) -> str:
    """The page, which posts `persona` to its own address."""
    everyone = list(people)
    groups = [(each.slug, each.name, each.timezone) for each in ORGANIZATIONS]
    members = {slug: [each for each in everyone if each.organization == slug] for slug, _, _ in groups}
    shown = [_group(slug, name, zone, members[slug]) for slug, name, zone in groups if members[slug]]
    platform = [each for each in everyone if each.organization is None]
    if platform:
        shown.append(_group("platform", "The platform", "All organizations", platform))
    return _PAGE.substitute(groups="\n".join(shown))


def style() -> str:
    return (resources.files(__package__ or "") / "picker.css").read_text()


def _group(slug: str, name: str, zone: str, members: Iterable[Persona]) -> str:
    people = "\n".join(map(_person, members))
    return _GROUP.substitute(slug=escape(slug), name=escape(name), zone=escape(zone), people=people)


def _person(persona: Persona) -> str:
    initials = "".join(word[0] for word in persona.name.split()[:2])
    shown = {
        "key": persona.key,
        "initials": initials,
        "name": persona.name,
        "role": ROLES[persona.role],
        "teams": " · ".join(persona.teams),
    }
    return _PERSON.substitute({name: escape(text) for name, text in shown.items()})
