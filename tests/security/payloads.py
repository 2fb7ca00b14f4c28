"""Texts that try to become script wherever they are put: our own few, and the lists beside the checkout."""

import json
from pathlib import Path

# One for each place that a text can end up in: an element, an attribute, a script, a style, a URL, a template, a table.
OWN = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'>",
    "<iframe src=javascript:alert(1)>",
    "<object data=javascript:alert(1)>",
    "<a href=javascript:alert(1) id=aa-main>me</a>",
    "<math><mtext></p><img src=x onerror=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<input autofocus onfocus=alert(1)>",
    "<style>@import 'https://evil.example/x.css'</style>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example/>",
    "<form action=https://evil.example><button>go</button></form>",
    '" onmouseover="alert(1)" x="',
    "' autofocus onfocus='alert(1)",
    "` onclick=alert(1) `",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "\\u003cimg src=x onerror=alert(1)\\u003e",
    "&lt;img src=x onerror=alert(1)&gt;",
    "&#60;img src=x onerror=alert(1)&#62;",
    "%3Cimg%20src=x%20onerror=alert(1)%3E",
    "-->\"'><img src=x onerror=alert(1)>",
    "]]><img src=x onerror=alert(1)>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}#{alert(1)}{%alert(1)%}",
    "[x](javascript:alert(1)) ![x](https://evil.example/x.png)",
    "datum.x; alert(1)",
    "toString",
    "__proto__",
    "constructor",
    "</textarea></title></style></noscript><img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)//\u202e\u2066",
    "<\u0131mg src=x onerror=alert(1)>",
    "\ufeff<script>alert(1)</script>",
    "=HYPERLINK('https://evil.example')",
)
LONGEST = 200


def listed(data: Path) -> list[str]:
    """Every text of the lists that fits in a name, each once."""
    lines = (data / "hostile-payloads" / "xss-payload-list.txt").read_text(errors="replace").splitlines()
    naughty = json.loads((data / "hostile-blns" / "blns.json").read_text())
    return [text for text in dict.fromkeys([*lines, *naughty]) if 0 < len(text.strip()) <= LONGEST]
