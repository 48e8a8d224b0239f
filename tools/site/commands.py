"""The reference of the commands, from what `tombola COMMAND --help` says when the site is built."""

from __future__ import annotations

import html
import io
import os
import re
from contextlib import redirect_stdout
from dataclasses import dataclass, field

from mkdocs.structure.pages import Page

PAGE = "reference/commands.md"
MARK = "<!-- commands -->"
_COLUMNS = "160"


@dataclass
class Option:
    """An option, or a positional argument: how it is written and what it is."""

    written: str
    text: str = ""


@dataclass
class Help:
    """What a command's help says."""

    usage: str
    summary: str
    groups: dict[str, list[Option]] = field(default_factory=dict)


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Put the commands' helps in the place of the mark."""
    if page.file.src_uri != PAGE:
        return markdown
    from tombola.cli import COMMANDS

    return markdown.replace(MARK, "\n\n".join(section(command, help_of(command)) for command in COMMANDS))


def help_of(command: str) -> Help:
    """What `tombola COMMAND --help` prints, taken apart."""
    from tombola.cli import main

    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")  # the boxes depend on what can be encoded
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _COLUMNS
    try:
        with redirect_stdout(out):
            main([command, "--help"])
    except SystemExit:
        pass
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    out.seek(0)
    return parsed(out.read())


def parsed(printed: str) -> Help:
    """The parts of a printed help: usage, summary, boxes of options. Raises ValueError for any other text."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", printed)
    head, *boxes = re.split(r"^╭─ (?=.* ─+╮$)", text, flags=re.MULTILINE)
    usage, _, summary = head.strip().partition("\n\n")
    if not usage.startswith("usage: ") or not boxes:
        raise ValueError(f"not a command's help: {printed!r:.200}")
    found = Help(" ".join(usage.removeprefix("usage: ").split()), " ".join(summary.split()))
    for box in boxes:
        title, *lines = box.splitlines()
        inside = [line[2:-1].rstrip() for line in lines if line.startswith("│")]
        found.groups[title.rstrip("─╮ ")] = _options(inside)
    return found


def _options(lines: list[str]) -> list[Option]:
    """Options begin at the margin, what is said of them further in; prose above them ends with a rule."""
    rules = [number for number, line in enumerate(lines) if line.startswith("──")]
    options: list[Option] = []
    for line in lines[rules[-1] + 1 if rules else 0 :]:
        if line.startswith(" "):
            options[-1].text = f"{options[-1].text} {line.strip()}".strip()
        elif line:
            written, _, text = line.partition("  ")
            options.append(Option(written, text.strip()))
    return options


def section(command: str, told: Help) -> str:
    """A command as Markdown, its options as a list with an anchor each."""
    lines = [f"## tombola {command}", "", html.escape(told.summary), "", f"```text\n{told.usage}\n```"]
    for title, options in told.groups.items():
        lines += ["", f"**{title[0].upper()}{title[1:]}**", "", '<dl class="options">']
        for option in options:
            if option.written == "-h, --help":
                continue
            name = re.match(r"-*([\w-]+)", option.written)
            anchor = f"{command}-{name[1].lower()}" if name else command
            written = html.escape(option.written.replace("{None}|", ""))
            text = re.sub(r" \(default: None\)$", "", option.text)
            text = re.sub(r"\(default: (.+)\)$", r"(default: <code>\1</code>)", html.escape(text))
            lines.append(f'<dt id="{anchor}"><code>{written}</code></dt><dd>{text}</dd>')
        lines.append("</dl>")
    return "\n".join(lines)
