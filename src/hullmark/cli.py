"""Dispatch: find the command, read the clock once, explain every error in one place."""

from __future__ import annotations

import importlib
import io
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from hullmark import __version__
from hullmark.__main__ import INTERRUPTED
from hullmark.commands import Application
from hullmark.errors import EnvironmentFaultError, Exit, HullmarkError, UsageError
from hullmark.text import escape_terminal

COMMANDS = {
    "build": "Build images from their slices or Dockerfiles.",
    "check": "Check the repository itself: code, configuration, secrets, licences.",
    "dashboard": "Write the static site from ledger and evidence.",
    "db": "Update, import or show the vulnerability database.",
    "exemptions": "Check, list and export accepted risks.",
    "doctor": "Say what is there, what is missing, and what to do next.",
    "explain": "Tell a decision, or what is known of a vulnerability, in words.",
    "gate": "Compare base and head of a change, and give the verdict.",
    "history": "Show the timeline of an image, or of one vulnerability.",
    "init": "Write a configuration, workflows and what belongs to them.",
    "issues": "Keep one security issue for each image on GitHub.",
    "lock": "Choose and pin the packages of an image.",
    "pending": "Say what was never pushed as it is here, and have it pushed.",
    "plan": "Show which images a change affects, and what each is compared with.",
    "policy": "Check the rules of the gate, and show them.",
    "pr-report": "Report a verdict on its pull request on GitHub.",
    "publish": "Put what local runs recorded into the shared ledger.",
    "push": "Put what was built and scanned into a registry, and move its tag.",
    "record": "Scan what is named, and record it in the ledger.",
    "replay": "Make a recorded decision again, and say whether it is the same.",
    "report": "Write reports about a period for customers and auditors.",
    "rescan": "Match the recorded SBOM of each image with today's database.",
    "run": "Build, scan, record and summarise all images.",
    "sarif": "Write what is open in each image for code scanning, and upload it.",
    "scan": "Scan one image and print its findings. Needs no configuration.",
    "summary": "Write the weekly summary from the ledger.",
    "test": "Start built images and check that they do their job.",
    "update-locks": "Propose newer packages of images as pull requests.",
    "verify": "Check that the recorded history was not changed.",
}


class _Commands(click.Group):
    """Loads a command's module only when it is called: a start must stay cheap."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - same
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hullmark.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="hullmark %(version)s")
@click.option(
    "-C",
    "root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="Work in this folder instead of the current one.",
)
@click.pass_context
def _hullmark(ctx: click.Context, root: Path) -> None:
    """Git-native security for container images: build, scan, judge, record."""
    now, overridden = _read_clock()
    ctx.obj = Application(root=root, now=now, clock_overridden=overridden)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code. Every error of ours is printed here, once."""
    _open_streams()
    try:
        answer = _hullmark.main(arguments, prog_name="hullmark", standalone_mode=False)
        sys.stdout.flush()
    except HullmarkError as error:
        _explain(error)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (KeyboardInterrupt, click.Abort):
        click.echo(INTERRUPTED, err=True)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _leave_output()
        return Exit.ERROR
    except OSError as error:
        # Files are explained where they are read and written: what is left is mostly our own output.
        where = error.filename or "standard output"
        _explain(EnvironmentFaultError(f"{where}: {error.strerror or error}"))
        _leave_output()
        return Exit.ERROR
    return answer if isinstance(answer, int) else Exit.DONE


def _explain(error: HullmarkError) -> None:
    click.echo(f"error: {escape_terminal(error.message)}", err=True)
    if error.hint:
        click.echo(f"  next: {escape_terminal(error.hint)}", err=True)


def _open_streams() -> None:
    """Have an output and an error stream that take every text, also where a caller closed them."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - same
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave_output() -> None:
    """Give up standard output. Python would complain once more while closing it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _read_clock() -> tuple[datetime, bool]:
    """The time of this command, read once. HULLMARK_NOW stands in for it in sample ledgers only."""
    text = os.environ.get("HULLMARK_NOW", "")
    if not text:
        return datetime.now(UTC).replace(microsecond=0), False
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC).replace(microsecond=0), True
    except (ValueError, OverflowError):
        pass
    raise UsageError(
        f"HULLMARK_NOW is {text!r}", hint="Expected a time with its zone, as 2026-01-20T09:00:00+00:00."
    )
