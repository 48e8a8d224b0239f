"""Formulas as MathML, made when the site is built: browsers show it with no script.

Pages write `$…$` and `$$…$$`, as GitHub reads them; pymdownx.arithmatex finds them, and leaves alone dollars
in code or before a space.
"""

from __future__ import annotations

import html
import re

from latex2mathml.converter import convert
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.pages import Page

_log = get_plugin_logger("formulas")  # a warning fails a strict build
_FOUND = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">(?:\\\((?P<inline>.*?)\\\)|\\\[(?P<block>.*?)\\\])</(?P=tag)>',
    re.DOTALL,
)
# What GitHub knows and the package does not, or browsers do not show: its equal in what they do.
_SPELT = (
    (r"\\(begin|end)\{aligned\}", r"\\\1{align*}"),
    (r"\\arg\b", r"\\operatorname{arg}"),
    (r"\\mathrm\{(\w)\}", r"\\text{\1}"),  # a single letter would be set in italics
    (r":=", r"\\coloneqq "),  # two signs would be set apart
    (r"\\mathbb\{1\}", "\N{MATHEMATICAL DOUBLE-STRUCK DIGIT ONE}"),
)


def on_page_content(content: str, page: Page, **_: object) -> str:
    """Put MathML in the place of each formula of a page."""

    def made(match: re.Match[str]) -> str:
        inline = match["inline"] is not None
        try:
            return mathml(match["inline"] if inline else match["block"], inline)
        except ValueError as error:
            _log.warning("%s: %s", page.file.src_uri, error)
            return match[0]

    return _FOUND.sub(made, content)


def mathml(escaped: str, inline: bool) -> str:
    """MathML of LaTeX, which comes as HTML escapes it. Raises ValueError for what it cannot render."""
    latex = html.unescape(escaped).strip()
    spelt = latex
    for pattern, equal in _SPELT:
        spelt = re.sub(pattern, equal, spelt)
    try:
        made = convert(spelt, display="inline" if inline else "block")
    except Exception as error:  # the package's errors have no common base
        raise ValueError(f"formula {latex!r}: {type(error).__name__} {error}") from None
    unknown = re.search(r">(\\[a-zA-Z]+|&)<", made)  # it passes on what it does not know
    if unknown:
        raise ValueError(f"formula {latex!r}: {unknown[1]} is not known")
    return made if inline else f'<div class="formula">{made}</div>'
