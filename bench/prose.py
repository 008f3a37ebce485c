"""Text with the bulk and the grain of what advisories contain: descriptions, links, scores.

Everything is drawn from the `random.Random` it is given, so the same seed gives the same bytes. The mix was
chosen so that a report compresses about as real ones do (zlib: 9.7 times, theirs 8.7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_WORDS = (
    *("a", "access", "across", "after", "allocated", "allow", "allows", "an", "and", "application"),
    *("arbitrary", "archive", "array", "attacker", "attackers", "authenticated", "be", "before"),
    *("behavior", "boundary", "buffer", "bug", "by", "bytes", "call", "can", "case", "cause"),
    *("caused", "causes", "certain", "chain", "check", "checks", "client", "code", "command"),
    *("component", "condition", "configuration", "connection", "contains", "control", "could"),
    *("crafted", "crash", "critical", "data", "decoding", "default", "denial", "dereference"),
    *("destination", "device", "directory", "disclosure", "does", "double", "driver", "due"),
    *("during", "element", "empty", "encoding", "entry", "error", "escape", "event", "exceeds"),
    *("execute", "execution", "exists", "exploit", "exposure", "fails", "field", "file", "files"),
    *("filesystem", "filter", "fix", "fixed", "flaw", "for", "format", "found", "fragment", "free"),
    *("from", "function", "handle", "handler", "handling", "has", "header", "heap", "if", "impact"),
    *("implementation", "improper", "in", "incorrect", "index", "information", "initialization"),
    *("inject", "input", "insertion", "integer", "integrity", "interface", "internal", "is", "issue"),
    *("it", "kernel", "key", "large", "leads", "leak", "length", "level", "library", "limit", "link"),
    *("list", "local", "lock", "loop", "malicious", "manipulation", "manner", "may", "memory"),
    *("message", "method", "missing", "mode", "module", "name", "network", "node", "not", "null"),
    *("number", "object", "of", "offset", "on", "only", "open", "operation", "option", "or", "order"),
    *("out", "output", "overflow", "overwrite", "packet", "page", "parameter", "parse", "parser"),
    *("parsing", "password", "path", "pattern", "permission", "pointer", "pool", "port", "possible"),
    *("potential", "prior", "privilege", "process", "processing", "program", "properly", "protocol"),
    *("queue", "race", "reachable", "read", "receive", "recursion", "reference", "region", "release"),
    *("remote", "request", "resource", "response", "result", "return", "root", "runtime", "scope"),
    *("script", "section", "sensitive", "sequence", "server", "service", "session", "shared"),
    *("signal", "size", "socket", "specially", "stack", "state", "stream", "string", "structure"),
    *("subsystem", "symlink", "system", "table", "target", "temporary", "that", "the", "thread"),
    *("this", "through", "time", "to", "token", "trigger", "triggered", "type", "unchecked", "under"),
    *("unexpected", "update", "upstream", "use", "used", "user", "using", "utility", "validate"),
    *("validation", "value", "variable", "version", "versions", "via", "victim", "vulnerability"),
    *("vulnerable", "was", "when", "where", "which", "while", "with", "within", "without", "write"),
    *("zero"),
)
_PARTS = (
    *("ab", "ac", "al", "ar", "bit", "buf", "ctl", "cur", "dec", "dev", "dma", "enc", "ent", "fd"),
    *("fs", "get", "hdr", "idx", "io", "key", "len", "map", "net", "nl", "of", "pkt", "put", "q"),
    *("rd", "reg", "ring", "rx", "sb", "seq", "set", "sk", "str", "tbl", "tls", "tx", "usb", "val"),
    *("vec", "vm", "wq", "xfer"),
)
_SUBJECTS = (
    "In the Linux kernel, the following vulnerability has been resolved: ",
    "A flaw was found in ",
    "An issue was discovered in ",
    "A vulnerability was found in ",
)
_VECTORS = (
    ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8),
    ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 7.5),
    ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 7.8),
    ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:N/I:N/A:H", 5.5),
    ("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:L/A:N", 4.2),
    ("CVSS:3.1/AV:L/AC:H/PR:L/UI:N/S:U/C:L/I:N/A:N", 2.5),
)


def title(draw: Random, source: str) -> str:
    """One line, as `openssl: …`."""
    return f"{source}: {_sentence(draw, draw.randint(5, 11))}"


def description(draw: Random, source: str) -> str:
    """A few sentences, now and then with names of functions."""
    subject = draw.choice(_SUBJECTS)
    sentences = [_sentence(draw, draw.randint(7, 18)) for _ in range(draw.choice((1, 2, 2, 3, 4)))]
    return f"{subject}{source}. {'. '.join(sentences)}."


def references(draw: Random, identifier: str) -> list[str]:
    """Links: some of every advisory, some with a commit of their own."""
    links = [
        f"https://access.redhat.com/security/cve/{identifier}",
        f"https://nvd.nist.gov/vuln/detail/{identifier}",
        f"https://www.cve.org/CVERecord?id={identifier}",
        f"https://ubuntu.com/security/notices/USN-{draw.randint(6000, 7999)}-{draw.randint(1, 4)}",
        f"https://bugzilla.redhat.com/show_bug.cgi?id={draw.randint(2_000_000, 2_400_000)}",
    ]
    commits = draw.choice((0, 1, 2, 4, 5, 8))
    links += [f"https://git.kernel.org/stable/c/{draw.getrandbits(160):040x}" for _ in range(commits)]
    year, month = draw.randint(2023, 2025), draw.randint(1, 12)
    mail = f"https://lists.debian.org/debian-lts-announce/{year}/{month:02}"
    links += [f"{mail}/msg{draw.randint(0, 40):05}.html" for _ in range(draw.randint(0, 2))]
    return sorted(links)


def scores(draw: Random) -> dict[str, dict[str, object]]:
    """CVSS vectors of one or two raters."""
    raters = draw.choice((("nvd",), ("nvd", "redhat"), ("nvd", "redhat"), ("redhat",)))
    chosen = {rater: draw.choice(_VECTORS) for rater in raters}
    return {rater: {"V3Vector": vector, "V3Score": score} for rater, (vector, score) in chosen.items()}


def files(draw: Random, package: str) -> list[str]:
    """Paths that a package installs."""
    places = ("usr/share/doc/{0}/{1}", "usr/lib/x86_64-linux-gnu/{0}/{1}.so", "usr/bin/{1}")
    names = [draw.choice(places).format(package, _identifier(draw)) for _ in range(draw.randint(1, 4))]
    return sorted({f"/{name}" for name in names} | {f"/usr/share/doc/{package}/copyright"})


def _sentence(draw: Random, length: int) -> str:
    words = [draw.choice(_WORDS) for _ in range(length)]
    if draw.random() < 0.8:
        words[draw.randrange(length)] = f"{_identifier(draw)}()"
    return " ".join(words)


def _identifier(draw: Random) -> str:
    return "_".join(draw.choice(_PARTS) for _ in range(draw.randint(2, 4)))
