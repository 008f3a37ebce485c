"""The entry point. It answers `--version` before anything is imported: a prompt may ask for it.

What ends it from outside (Ctrl-C, SIGTERM, a terminal that closes) ends it alike: temporary folders and child
processes go, no file is left half written, one line is said, and the exit code is 130.
"""

from __future__ import annotations

import sys

INTERRUPTED = "interrupted: what was recorded stays recorded"


def main() -> None:
    """Run the command line and leave with its exit code."""
    try:
        code = _run(sys.argv[1:])
    except KeyboardInterrupt:  # before or after the command itself: while modules are loaded
        sys.stderr.write(f"{INTERRUPTED}\n")
        code = 130
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        from hullmark import __version__  # noqa: PLC0415 - see the module's docstring

        print(f"hullmark {__version__}")  # noqa: T201 - the answer
        return 0
    import signal  # noqa: PLC0415 - see the module's docstring

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # `nohup` has it ignored
            signal.signal(number, _interrupt)
    from hullmark.cli import run  # noqa: PLC0415 - see the module's docstring

    return run(arguments)


def _interrupt(number: int, frame: object) -> None:  # noqa: ARG001 - a handler's signature
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
