"""The entry point. It answers `--version` before anything is imported: a prompt may ask for it."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:] == ["--version"]:
        from hullmark import __version__  # noqa: PLC0415 - see the module's docstring

        print(f"hullmark {__version__}")  # noqa: T201 - the answer
        return
    from hullmark.cli import run  # noqa: PLC0415 - see the module's docstring

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
