r"""Making text from outside harmless: HTML, Markdown, workflow logs, terminals, shells; UTF-16 budgets.

Rules (law 10: no scanner text reaches HTML, Markdown, a workflow log or a shell unescaped):
- Escaping happens where text is placed, once, by the function named after that place.
- Characters that cannot be seen, that move the cursor or that turn the direction of reading are written out
  as `\x1b` or `\u202e`: what a person reads is what is there.
- Escaped text has no line breaks, except in HTML, where they are white space.
"""

from __future__ import annotations

import re
import shlex

ISSUE_BUDGET = 65_536
"""UTF-16 units that GitHub accepts in the body of an issue or comment."""

# Named by code point and not by Unicode category, so that every Python version writes the same bytes.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff"
    "\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_SPACE = re.compile(r"[ \t\r\n\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]+")

_HTML = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;"))
"""In this order: what stands for a sign is not escaped again."""

_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>|~#$&]")
_BLOCK_START = re.compile(r"(?:[-+=:]|(?<!\d)\d{1,9}(?=[.)]))")
# GitHub looks for these after Markdown was read, so a backslash is no help; a zero-width space is what
# Renovate and Dependabot use as well. Written as an entity, so that it can be seen in the source.
_BREAK = "&#8203;"
_LINKED = re.compile(
    r"""@                            # @somebody, a@mail.address, owner/repo@commit
    |   \\\#(?=\d)                   # \#123, owner/repo\#123
    |   \bGH-(?=\d)
    |   :(?=//)                      # https://…
    |   \b(?:mailto|xmpp):
    |   \bwww\.
    |   :(?=[\w+-]+:)                # :emoji:
    """,
    re.VERBOSE | re.IGNORECASE,
)

_FOLDERS = re.compile(r"(?<![\w.:/-])/(?:[^\s/:'\"]+/)+")
"""Temporary ones, a home, wherever the scanner or its database lies."""
_COMMAND_START = re.compile(r"^(\s*):(?=:)")
_OLD_COMMAND = re.compile(r"#(?=#(?:vso)?\[)")


def escape_terminal(text: str) -> str:
    """Return `text` on one line, with everything unseen written out: an escape sequence cannot act."""
    # Nearly all text is plain, and these two are many times faster than a search.
    return text if text.isascii() and text.isprintable() else _UNSEEN.sub(_written_out, text)


def escape_html(text: str) -> str:
    """Return `text` for an HTML text node or a quoted attribute. Line breaks and tabs stay."""
    if not (text.isascii() and text.isprintable()):
        text = "\n".join("\t".join(map(escape_terminal, line.split("\t"))) for line in text.split("\n"))
    # Many times faster than `str.translate`, which looks up every character.
    for sign, entity in _HTML:
        text = text.replace(sign, entity)
    return text


def escape_markdown(text: str) -> str:
    """Return `text` for one line of GitHub's Markdown: a paragraph, a heading or a table cell.

    It shows as it is: no markup, HTML, link, mention, issue reference, emoji or second table cell.
    White space at the ends is dropped, other white space becomes one space.
    """
    line = escape_terminal(_SPACE.sub(" ", text).strip(" "))
    line = _MARKDOWN.sub(lambda found: "\\" + found[0], line)
    line = _BLOCK_START.sub(_harmless_start, line, count=1) if _BLOCK_START.match(line) else line
    return _LINKED.sub(lambda found: found[0] + _BREAK, line)


def markdown_code(text: str) -> str:
    """Return `text` as inline code of GitHub's Markdown, in a table cell or elsewhere. Empty stays empty."""
    line = escape_terminal(text)
    if not line:
        return ""
    if "|" in line:
        # In a table `|` ends the cell even within backticks, and elsewhere `\|` would show its backslash.
        return f"<code>{escape_markdown(line)}</code>"
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if line[0] in "` " or line[-1] in "` " else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def workflow_line(text: str) -> str:
    """Return `text` as one line of a workflow log which the runner does not take for a command.

    Give it the whole line: two harmless halves can make a command.
    """
    line = _OLD_COMMAND.sub("# ", escape_terminal(text))
    return _COMMAND_START.sub(r"\1: ", line)


def workflow_command(command: str, message: str, **properties: str) -> str:
    """Return a workflow command (`error`, `warning`, `notice`, …) with its `properties`.

    Percent signs are encoded as the runner's own toolkit does; line breaks of the message stay.
    """
    given = ",".join(
        f"{name}={_percent(escape_terminal(value)).replace(':', '%3A').replace(',', '%2C')}"
        for name, value in properties.items()
        if value
    )
    lines = (escape_terminal(line) for line in message.splitlines())
    return f"::{command}{' ' if given else ''}{given}::{'%0A'.join(map(_percent, lines))}"


def shell_word(text: str) -> str:
    """Return `text` as one word of a POSIX shell, for commands that we show to a person.

    Unseen characters are written out: such a name gives a command that finds nothing, and does no harm.
    """
    return shlex.quote(escape_terminal(text))


def utf16_length(text: str) -> int:
    """Length as GitHub and JavaScript count it: characters beyond U+FFFF are two units."""
    return len(text) + sum(character > "\uffff" for character in text)


def cut_utf16(text: str, budget: int = ISSUE_BUDGET, *, mark: str = "…") -> str:
    """Return `text` if it fits into `budget` UTF-16 units, else its start with `mark` at the end.

    A surrogate pair is never split; the result never exceeds `budget`.
    """
    if 2 * len(text) <= budget or utf16_length(text) <= budget:
        return text
    room = budget - utf16_length(mark)
    if room < 0:
        return cut_utf16(mark, budget, mark="")
    units = 0
    for position, character in enumerate(text):
        units += 2 if character > "\uffff" else 1
        if units > room:
            return text[:position] + mark
    return text


def encodable(text: str) -> str:
    """Return `text` with lone surrogates written out, as file names that are not UTF-8 hold them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def without_folders(text: str) -> str:
    """Return `text` without the folders of absolute paths, fit to be recorded or published."""
    return encodable(_FOLDERS.sub("", text))


def _written_out(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "surrogatepass").decode("ascii")


def _harmless_start(found: re.Match[str]) -> str:
    # A list, a heading's underline or a delimiter row; a number needs the backslash behind it.
    return found[0] + "\\" if found[0].isdigit() else "\\" + found[0]


def _percent(text: str) -> str:
    return text.replace("%", "%25")
