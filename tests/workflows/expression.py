"""The part of GitHub's expression language that our workflows use; anything else is an error.

`||`, `&&`, `==`, `!=`, `!`, brackets, literals, contexts as `a.b.c`, and a few functions. As on GitHub, `&&`
and `||` give one of their sides, comparing ignores case, and an unknown part of a context is null.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN = re.compile(r"\s*(?:(\|\||&&|==|!=|[!(),])|'((?:[^']|'')*)'|(-?\d+)\b|([A-Za-z_][\w.\-]*(?:\.\*)?))")
_INSERTED = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
STATUS = ("always", "cancelled", "failure", "success")


class ExpressionError(Exception):
    """Not an expression that we know."""


def evaluate(text: str, contexts: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any value of GitHub's
    """The value of one expression."""
    return _Parser(text, contexts).whole()


def insert(text: str, contexts: Mapping[str, Any]) -> Any:  # noqa: ANN401 - same
    """`text` with every `${{ … }}` replaced; the value itself where nothing else is there."""
    only = re.fullmatch(r"\s*\$\{\{((?:(?!\}\}).)*)\}\}\s*", text, re.DOTALL)
    if only:
        return evaluate(only[1], contexts)
    return _INSERTED.sub(lambda match: as_text(evaluate(match[1], contexts)), text)


def insert_all(values: Mapping[str, Any] | None, contexts: Mapping[str, Any]) -> dict[str, Any]:
    """`insert` for the texts of a mapping."""
    return {
        name: insert(value, contexts) if isinstance(value, str) else value
        for name, value in (values or {}).items()
    }


def condition(text: object, contexts: Mapping[str, Any]) -> bool:
    """Whether an `if` holds; without a status function it also needs success."""
    if text is None:
        return bool(contexts["success"])
    plain = re.sub(r"^\s*\$\{\{|\}\}\s*$", "", str(text)).strip()
    holds = truth(evaluate(plain, contexts))
    named = any(re.search(rf"\b{name}\(", plain) for name in STATUS)
    return holds and (named or bool(contexts["success"]))


def as_text(value: object) -> str:
    """A value as it is inserted into text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else json.dumps(value)


def truth(value: object) -> bool:
    """Whether a value counts as true."""
    return value not in (None, False, 0, "")


class _Parser:
    def __init__(self, text: str, contexts: Mapping[str, Any]) -> None:
        self.contexts = contexts
        self.text = text
        self.tokens: list[tuple[str, Any]] = []
        place = 0
        stripped = text.rstrip()
        while place < len(stripped):
            match = _TOKEN.match(stripped, place)
            if match is None:
                raise ExpressionError(f"{text!r}: at {stripped[place:]!r}")
            sign, quoted, number, name = match.groups()
            if sign:
                self.tokens.append(("sign", sign))
            elif quoted is not None:
                self.tokens.append(("value", quoted.replace("''", "'")))
            elif number:
                self.tokens.append(("value", int(number)))
            else:
                self.tokens.append(("name", name))
            place = match.end()

    def whole(self) -> Any:  # noqa: ANN401 - any value of GitHub's
        value = self._or()
        if self.tokens:
            raise ExpressionError(f"{self.text!r}: unexpected {self.tokens[0][1]!r}")
        return value

    def _take(self, *signs: str) -> str | None:
        if self.tokens and self.tokens[0][0] == "sign" and self.tokens[0][1] in signs:
            return str(self.tokens.pop(0)[1])
        return None

    def _or(self) -> Any:  # noqa: ANN401 - same
        value = self._and()
        while self._take("||"):
            other = self._and()
            value = value if truth(value) else other
        return value

    def _and(self) -> Any:  # noqa: ANN401 - same
        value = self._equal()
        while self._take("&&"):
            other = self._equal()
            value = other if truth(value) else value
        return value

    def _equal(self) -> Any:  # noqa: ANN401 - same
        value = self._not()
        while sign := self._take("==", "!="):
            same = _folded(value) == _folded(self._not())
            value = same if sign == "==" else not same
        return value

    def _not(self) -> Any:  # noqa: ANN401 - same
        return not truth(self._not()) if self._take("!") else self._primary()

    def _primary(self) -> Any:  # noqa: ANN401 - same
        if self._take("("):
            value = self._or()
            self._need(")")
            return value
        if not self.tokens or self.tokens[0][0] == "sign":
            raise ExpressionError(f"{self.text!r}: a value is missing")
        kind, value = self.tokens.pop(0)
        if kind == "value":
            return value
        if self._take("("):
            arguments = []
            while not self._take(")"):
                arguments.append(self._or())
                self._take(",")
            return self._call(str(value), arguments)
        return self._look_up(str(value))

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise ExpressionError(f"{self.text!r}: {sign} is missing")

    def _call(self, name: str, arguments: list[Any]) -> Any:  # noqa: ANN401 - same
        if name in STATUS and not arguments:
            return {"always": True, "cancelled": False}.get(
                name, self.contexts["success"] == (name == "success")
            )
        if name == "fromJSON":
            return json.loads(arguments[0])
        if name == "toJSON":
            return json.dumps(arguments[0])
        if name == "contains" and isinstance(arguments[0], list):
            return any(_folded(each) == _folded(arguments[1]) for each in arguments[0])
        if name == "startsWith":
            return as_text(arguments[0]).lower().startswith(as_text(arguments[1]).lower())
        raise ExpressionError(f"{self.text!r}: {name} is not known here")

    def _look_up(self, path: str) -> Any:  # noqa: ANN401 - same
        if path in {"true", "false", "null"}:
            return {"true": True, "false": False, "null": None}[path]
        first, *rest = path.split(".")
        if first not in self.contexts:
            raise ExpressionError(f"{self.text!r}: no context {first}")
        value: Any = self.contexts[first]
        for place, name in enumerate(rest):
            if name == "*":
                return [_under(each, rest[place + 1 :]) for each in value.values()]
            value = value.get(name) if isinstance(value, dict) else None
        return value


def _under(value: Any, names: list[str]) -> Any:  # noqa: ANN401 - same
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _folded(value: object) -> object:
    if isinstance(value, str):
        return value.lower()
    return "" if value is None else value
