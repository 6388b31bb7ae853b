"""One page of HTML that needs nothing else but its pictures, and runs nothing but its own script.

Names of files and classes are other people's: Jinja escapes them in the text, and what the script reads is JSON in
which no tag can end. A policy in the page itself (CSP) lets no other script, style or address be used; it names both by
hash, so that the same run gives the same page.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson

HERE = Path(__file__).parent
STYLE = "page.css"
SCRIPTS = ("state.js", "masks.js", "cards.js", "films.js", "viewer.js", "keys.js")
"""In this order, in one function."""
POLICY = (
    "default-src 'none'; img-src 'self' file: data:; media-src 'self' file:; style-src '{style}';"
    " script-src '{script}'; base-uri 'none'; form-action 'none'"
)
UNSEEN = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff]")
"""Characters that are not seen, or turn the text around them."""


def page(figures: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    """The page: `figures` are what the template shows, `data` what the script reads."""
    style = (HERE / STYLE).read_text(encoding="utf-8")
    script = (
        "'use strict';(() => {\n" + "".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS) + "})();"
    )
    policy = POLICY.format(style=hash_of(style), script=hash_of(script))
    template = _environment().get_template("page.html.j2")
    ours = {"style": _safe(style), "script": _safe(script), "data": _safe(as_json(data))}
    return str(template.render(**figures, **ours, policy=policy))


def as_json(data: Any) -> str:
    r"""JSON that may stand in a page: nothing in it opens or ends a tag or a comment.

    >>> as_json({"a": "</script><!--"})
    '{"a":"\\u003c/script\\u003e\\u003c!--"}'
    """
    text = orjson.dumps(data).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def hash_of(text: str) -> str:
    """How a policy names a script or style: by its hash."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode()


def seen(text: object) -> str:
    r"""Text with what cannot be seen written out.

    >>> seen("a\nb\u202egpj.exe")
    'a\\u000ab\\u202egpj.exe'
    """
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", str(text))


@cache
def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["seen"] = seen
    environment.filters["number"] = lambda value: f"{value:,}".replace(",", "\u202f")
    return environment


def _safe(text: str) -> Any:
    """Text of ours, or JSON of `as_json`: it is not escaped."""
    from markupsafe import Markup

    return Markup(text)
