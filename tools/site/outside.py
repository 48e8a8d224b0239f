"""Lets pages link to files outside docs/, as GitHub does: what they link to becomes a page of the site.

A link is written as GitHub needs it (`../benchmarks/RESULTS.md`). For the site, the file is copied to
`repository/` with its path in the repository, and the link leads to the copy; so do links of the copies in
their turn. A file that is no Markdown becomes a page that shows its text. A link to what is not there is left
as it is, and `mkdocs build --strict` refuses it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
COPIES = "repository"
# In the navigation, whoever links to them.
ALWAYS = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/RESULTS.md",
    "reproduction/verdicts.md",
)
# A link's target, or code, in which nothing is a link.
_LINK = re.compile(
    r"^(?P<fence>```+|~~~+).*?^(?P=fence)[^\n]*$|`(?:[^`\n]|\n(?!\n))+`"
    r"|(?P<lead>\]\(|^\[[^\]\n]+\]:\s+)(?P<path>[^)\s#]+)",
    re.DOTALL | re.MULTILINE,
)
_PICTURES = (".png", ".svg", ".jpg", ".gif")
_LANGUAGES = {".py": "python", ".toml": "toml", ".sh": "sh", ".json": "json"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that pages link to, and those that these link to."""
    waiting = [*ALWAYS]
    for file in files.documentation_pages():
        if file.abs_src_path is not None:  # a page that another hook makes has none
            waiting += _leaving(file.content_string, f"docs/{file.src_uri}")
    added: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in added:
            continue
        added.add(path)
        if path.endswith(_PICTURES):
            files.append(File.generated(config, f"{COPIES}/{path}", abs_src_path=str(ROOT / path)))
            continue
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, _copy(path), content=_shown(path, text)))
        if path.endswith(".md"):
            waiting += _leaving(text, path)
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn the links of a page from their places in the repository to those on the site."""
    here = page.file.src_uri
    home = here.removeprefix(f"{COPIES}/") if here.startswith(f"{COPIES}/") else f"docs/{here}"
    return relinked(markdown, home, here)


def relinked(markdown: str, home: str, here: str) -> str:
    """`markdown` of the file `home` of the repository, as a page at `here` of the site."""

    def turned(match: re.Match[str]) -> str:
        target = _target(match["path"], home)
        if target is None:
            return match[0]
        place = target.removeprefix("docs/") if target.startswith("docs/") else _copy(target)
        return match["lead"] + posixpath.relpath(place, posixpath.dirname(here) or ".")

    return _LINK.sub(turned, markdown)


def _leaving(markdown: str, home: str) -> list[str]:
    """The files outside docs/ that the file `home` links to."""
    found = [_target(match["path"], home) for match in _LINK.finditer(markdown)]
    return [target for target in found if target is not None and not target.startswith("docs/")]


def _target(path: str | None, home: str) -> str | None:
    """The file of the repository that a relative link of the file `home` leads to, if there is one."""
    if not path or path.startswith("/") or re.match(r"[a-z]+:", path):
        return None
    target = posixpath.normpath(posixpath.join(posixpath.dirname(home), path))
    return target if not target.startswith("..") and (ROOT / target).is_file() else None


def _copy(path: str) -> str:
    return f"{COPIES}/{path}" if path.endswith((".md", *_PICTURES)) else f"{COPIES}/{path}.md"


def _shown(path: str, text: str) -> str:
    if path.endswith(".md"):
        return text
    return f"# {path}\n\n~~~~~~{_LANGUAGES.get(Path(path).suffix, 'text')}\n{text}\n~~~~~~\n"
