"""Text from outside is harmless wherever it is placed."""

from __future__ import annotations

import html
import re
import shlex
import subprocess
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from hullmark.text import (
    ISSUE_BUDGET,
    cut_utf16,
    encodable,
    escape_html,
    escape_markdown,
    escape_terminal,
    markdown_code,
    shell_word,
    utf16_length,
    workflow_command,
    workflow_line,
)

HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="x',
    "[a](javascript:alert(1))",
    "![a](https://example.org/x.png)",
    "a|b||c",
    "`code` ``two``",
    "| --- |",
    "# heading",
    "heading #",
    "1. one",
    "2) two",
    "- [ ] task",
    "===",
    "---",
    "> quote",
    "    indented",
    "~~~",
    "```\nfence\n```",
    "*a* _b_ **c** ~d~ $e$",
    "&lt;b&gt; &#64;",
    "trailing\\",
    "@octocat and @org/team",
    "me@example.org",
    "#12, org/repo#34, GH-56, org/repo@0123456789abcdef",
    "https://example.org www.example.org mailto:a@b.c",
    ":tada:",
    "<!-- hidden -->",
    "[^1] [a][b] [a]: https://example.org",
    "\x1b]8;;https://example.org\x07link\x1b]8;;\x07",
    "\x1b[2J",
    "one\rtwo\ntwo",
    "::error::x",
    "  ::set-output name=a::b",
    "##[add-mask]x",
    "##vso[task.setvariable]x",
    "\u202egnp.exe",
    "zero\u200bwidth",
    "\ud800 lone",
    "$(reboot) `reboot` ; reboot & reboot | reboot",
    "it's",
    "-rf",
    "\x00",
    "nothing\u2028here",
)
anything = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(alphabet=st.characters(codec=None), max_size=40),
    st.text(alphabet="`|\\*_[]()<>&#@:~$!-+=.1 \n\t\rgh/w", max_size=20),
    st.lists(st.sampled_from(HOSTILE), min_size=2, max_size=3).map("".join),
)

GITHUB_LINKS = re.compile(
    r"@[a-z0-9]|#\d|\bGH-\d|\w://|\bwww\.\w|\bmailto:\w|:[a-z0-9_+-]+:", re.IGNORECASE | re.ASCII
)


class Parts(HTMLParser):
    """What a browser would make of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.tags: list[str] = []
        self.other: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.other += [name for name, _ in attrs if name != "style"]

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.other.append(data)

    def handle_decl(self, decl: str) -> None:
        self.other.append(decl)

    def handle_pi(self, data: str) -> None:
        self.other.append(data)


def parts_of(markup: str) -> Parts:
    parts = Parts()
    parts.feed(markup)
    parts.close()
    return parts


def rendered(markdown: str) -> Parts:
    """Render with raw HTML allowed, as GitHub does before it cleans: nothing may depend on the cleaning."""
    return parts_of(
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)
    )


def shown(text: str) -> str:
    seen = "".join(" " if unicodedata.category(c) == "Zs" or c in "\t\r\n" else c for c in text)
    return escape_terminal(re.sub(" +", " ", seen).strip(" "))


@given(anything)
def test_law_10_no_scanner_text_reaches_html_unescaped(text: str) -> None:
    element = parts_of(f'<p title="{escape_html(text)}">{escape_html(text)}</p>')

    assert element.tags == ["p"]
    assert element.other == ["title"]
    assert element.text == html.unescape(escape_html(text))
    assert "'" not in escape_html(text)


@given(anything)
def test_law_10_no_scanner_text_reaches_markdown_unescaped(text: str) -> None:
    escaped = escape_markdown(text)

    for block, tags in ((escaped, ["p"]), (f"a {escaped} b", ["p"]), (f"## {escaped}", ["h2"])):
        result = rendered(block)
        assert result.tags in (tags, [] if not escaped else tags)
        assert result.other == []
        assert result.text.strip("\n").replace("\u200b", "") in (shown(text), f"a {shown(text)} b")
        assert not GITHUB_LINKS.search(result.text)


@given(anything)
def test_law_10_a_table_cell_stays_one_cell(text: str) -> None:
    for cell, inside in ((escape_markdown(text), []), (markdown_code(text), ["code"] if text else [])):
        result = rendered(f"| a | b |\n| --- | --- |\n| {cell} | z |\n")

        assert result.tags == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", *inside, "td"]
        assert result.other == []


@given(anything)
def test_law_10_inline_code_shows_the_text_and_nothing_else(text: str) -> None:
    result = rendered(f"a {markdown_code(text)} b")

    assert result.tags == (["p", "code"] if text else ["p"])
    assert re.sub(r"\s+", " ", result.text.replace("\u200b", "").strip("\n")) == re.sub(
        r"\s+", " ", f"a {escape_terminal(text)} b"
    )


@given(anything)
def test_law_10_no_scanner_text_reaches_a_workflow_log_unescaped(text: str) -> None:
    line = workflow_line(text)

    assert len(line.splitlines()) <= 1
    assert not line.lstrip().startswith("::")
    assert "##[" not in line
    assert "##vso[" not in line


@given(anything, anything)
def test_law_10_a_workflow_command_keeps_its_form(message: str, file: str) -> None:
    command = workflow_command("error", message, file=file, title="")

    head, _, body = command.removeprefix("::error").partition("::")
    assert len(command.splitlines()) == 1
    assert head.count("=") >= (1 if file else 0)
    assert re.fullmatch(r"|[ ]file=[^,:]+", head)
    assert "\n".join(map(escape_terminal, message.splitlines())) == body.replace("%0A", "\n").replace(
        "%25", "%"
    )


@given(anything)
@example("a\x00b")
def test_law_10_no_scanner_text_reaches_a_shell_unescaped(text: str) -> None:
    assert shlex.split(shell_word(text)) == [escape_terminal(text)]


def test_a_real_shell_sees_one_word() -> None:
    words = [shell_word(text) for text in HOSTILE]

    output = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {' '.join(words)}"], check=True, capture_output=True, text=True
    ).stdout

    assert output.splitlines() == [escape_terminal(text) for text in HOSTILE]


@given(anything)
def test_nothing_unseen_remains(text: str) -> None:
    for escaped in (
        escape_terminal(text),
        workflow_line(text),
        workflow_command("error", text),
        markdown_code(text),
        escape_markdown(text).replace("&#8203;", ""),
        escape_html(text).replace("\n", "").replace("\t", ""),
    ):
        assert not {unicodedata.category(character) for character in escaped} & {"Cc", "Cs", "Zl", "Zp"}
        assert not {unicodedata.bidirectional(character) for character in escaped} & {
            *("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        }
        assert escaped.encode().decode() == escaped


def test_every_format_character_is_written_out() -> None:
    """Except the marks that are drawn, as the Arabic number signs are."""
    drawn = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2}
    hidden = [
        chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf" and code not in drawn
    ]

    assert [hex(ord(character)) for character in hidden if escape_terminal(character) == character] == []


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("postgres-secured", "postgres-secured"),
        ("openssl 3.5.1-1+deb13u2", "openssl 3.5.1-1+deb13u2"),
        ("1:2.3-1", "1:2.3-1"),
        ("a  b\n c", "a b c"),
        ("@you", "@&#8203;you"),
        ("fixes #12", "fixes \\#&#8203;12"),
        ("1. first", "1\\. first"),
    ],
)
def test_ordinary_text_stays_readable(text: str, escaped: str) -> None:
    assert escape_markdown(text) == escaped


def test_unseen_characters_are_written_as_python_writes_them() -> None:
    assert escape_terminal("a\x1b[31m\u202e\U000e0041") == "a\\x1b[31m\\u202e\\U000e0041"


@given(st.text(alphabet=st.characters(codec=None)), st.integers(0, 60))
@example("\U0001f600" * 40, 41)
def test_a_cut_never_exceeds_its_budget_nor_splits_a_pair(text: str, budget: int) -> None:
    cut = cut_utf16(text, budget)

    assert utf16_length(cut) <= budget
    assert cut == text if utf16_length(text) <= budget else text.startswith(cut.removesuffix("…"))


@given(st.text(alphabet=st.characters(codec=None)))
def test_length_is_counted_as_javascript_counts_it(text: str) -> None:
    assert utf16_length(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


def test_an_issue_body_is_cut_at_its_last_whole_character() -> None:
    body = cut_utf16("x" + "\U0001f600" * ISSUE_BUDGET)

    assert utf16_length(body) == ISSUE_BUDGET
    assert body.endswith("\U0001f600…")


def test_a_name_that_is_not_utf_8_can_be_encoded() -> None:
    assert encodable("a\udcffb") == "a\\udcffb"
