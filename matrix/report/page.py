"""The report as one HTML file that needs nothing else: data, style and scripts are in it, and it may fetch nothing."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import msgspec

from matrix.report.model import Report
from matrix.report.pack import pack

_PARTS = Path(__file__).with_name("page")
_SCRIPTS = ("data.js", "view.js", "heat.js", "lists.js", "panel.js", "page.js")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def page(report: Report) -> str:
    """The page. Whatever the records say stays data: no `<` of it is in the file, and the scripts write it as text."""
    style = "\n".join((_PARTS / name).read_text() for name in ("page.css", "parts.css"))
    script = '"use strict";\n' + "\n".join((_PARTS / name).read_text() for name in _SCRIPTS)
    data = msgspec.json.encode(pack(report)).decode().replace("<", "\\u003c")
    policy = f"style-src {_hash(style)}; script-src {_hash(script)}"
    html = (_PARTS / "page.html").read_text()
    for mark, text in (("POLICY", policy), ("STYLE", style), ("SCRIPT", script), ("DATA", data)):
        before, _, after = html.partition(f"{{{{{mark}}}}}")
        html = before + text + after  # the data last: nothing in it is taken for a mark
    return html
