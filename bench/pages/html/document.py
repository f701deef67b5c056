"""The page around its content: style and scripts inside it, and a policy that lets it load nothing."""

import base64
import hashlib
import json
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from typing import Any

# What a page may weigh, so that it can be sent; pictures are left out where it would weigh more.
LARGEST = 3_000_000
_ASSETS = files("bench.pages.html") / "assets"


def document(title: str, body: str, *, facts: Any = None, scripts: Iterable[str] = ()) -> bytes:
    """A whole page.

    Args:
        title: plain text.
        body: HTML.
        facts: JSON that the scripts read, as the element `#facts`.
        scripts: names of files in `assets`, which are run one after the other as one.
    """
    style = _asset("page.css")
    script = "\n".join(map(_asset, scripts))
    policy = "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src '{_sum(style)}'",
            f"script-src '{_sum(script)}'" if script else "script-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    head = [
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<link rel="icon" href="data:,">',
        f"<title>{escape(title)}</title>",
        f"<style>{style}</style>",
    ]
    tail = [] if facts is None else [f'<script type="application/json" id="facts">{as_json(facts)}</script>']
    tail += [f"<script>{script}</script>"] if script else []
    parts = ["<!doctype html>", '<html lang="en">', "<head>", *head, "</head>", "<body>", body, *tail, "</body>"]
    return "\n".join([*parts, "</html>", ""]).encode()


def as_json(facts: Any) -> str:
    """JSON in one line that may stand in a script: no text in it ends that element or begins a comment."""
    text = json.dumps(facts, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _sum(text: str) -> str:
    """As a policy names an inline script or style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
