"""One smoke test: the image is started, asked, stopped, and started again where that is declared.

Rules (each has a test with the same words):

1. An image that ends before it is ready has failed, and so has one that is not ready in time.
2. An image that does not end within its time after its stop signal has failed, and is ended hard.
3. What could not be asked is "not run", never passed.
4. Whatever happens, no process and no data of a test is left.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from signal import Signals
from typing import TYPE_CHECKING

from hullmark.build.smoke import Restart
from hullmark.errors import EnvironmentFaultError
from hullmark.smoke import mariadb
from hullmark.smoke.checks import CheckFailedError, Probe, perform
from hullmark.smoke.network import open_door
from hullmark.smoke.report import CheckResult, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from hullmark.build.smoke import Check, Smoke
    from hullmark.smoke.box import Box, Setting
    from hullmark.smoke.program import Program
    from hullmark.smoke.secrets import Secrets

PID_SECONDS = 30.0
POLL_SECONDS = 0.02
KILL_SECONDS = 10.0
STOPS = "ends in order at its stop signal"


class Session:
    """The lives of one image in one box."""

    def __init__(self, box: Box, setting: Setting, smoke: Smoke, secrets: Secrets) -> None:
        self._box = box
        self._signal = setting.stop_signal
        self._smoke = smoke
        self._secrets = secrets
        self._life = ExitStack()
        self._program: Program | None = None
        self._probe: Probe | None = None
        self._database: mariadb.Server | None = None
        self._no_database = ""
        self.results: list[CheckResult] = []
        self.log: tuple[str, ...] = ()
        """The last lines that the image had written when the first check failed."""

    def run(self) -> None:
        """Make all checks into `results`."""
        first, *others = self._smoke.checks
        with ExitStack() as helpers, self._life:
            within = self._smoke.ready_within
            ready = self._note(first.name, lambda: self._live(within))
            if ready:
                self._prepare_database(helpers)
            for check in others:
                if ready:
                    self._note(check.name, lambda check=check: self._ask(check))  # type: ignore[misc] # bound
                else:
                    self._skip(check)
            if ready:
                self._note(STOPS, self._stop)

    def _prepare_database(self, helpers: ExitStack) -> None:
        if self._smoke.mariadb is None:
            return
        try:
            self._database = helpers.enter_context(mariadb.prepared(self._smoke.mariadb, self._secrets))
            self._start_database()
        except EnvironmentFaultError as error:
            self._database = None
            self._no_database = f"{error.message}. {error.hint}".strip()

    def _note(self, name: str, step: Callable[[], None]) -> bool:
        """Make one check, and write down what became of it; whether it passed."""
        begun = time.monotonic()
        outcome, detail = Outcome.PASSED, ""
        try:
            step()
        except CheckFailedError as error:
            outcome, detail = Outcome.FAILED, str(error)
            if self._program and not self.log:
                self.log = self._program.last_lines()
        except EnvironmentFaultError as error:
            outcome, detail = Outcome.NOT_RUN, error.message
        seconds = round(time.monotonic() - begun, 3)
        self.results.append(CheckResult(name=name, outcome=outcome, seconds=seconds, detail=detail))
        return outcome is Outcome.PASSED

    def _skip(self, check: Check) -> None:
        detail = "the image was not ready"
        self.results.append(CheckResult(name=check.name, outcome=Outcome.NOT_RUN, detail=detail))

    def _live(self, within: float) -> None:
        """Start the image, and wait until the first check passes."""
        deadline = time.monotonic() + within
        program = self._life.enter_context(self._box.start())
        self._program = program
        pid = self._box.find_pid(program, PID_SECONDS)
        if not pid:
            raise CheckFailedError(f"the image {_ended(program)} before it was ready")
        try:
            door = self._life.enter_context(open_door(pid, prefix=self._box.door_prefix))
        except EnvironmentFaultError:
            # An image that ends at once has no network any more, a moment before its engine knows.
            if program.ends_within(KILL_SECONDS):
                raise CheckFailedError(f"the image {_ended(program)} before it was ready") from None
            raise
        self._probe = Probe(network=door, secrets=self._secrets, timeout=self._smoke.check_within)
        self._await_ready(program, deadline, within)
        self._start_database()

    def _start_database(self) -> None:
        if self._database and self._probe:
            self._life.enter_context(self._database.running(self._probe.network))

    def _await_ready(self, program: Program, deadline: float, within: float) -> None:
        while True:
            try:
                self._perform(self._smoke.checks[0], max(0.1, deadline - time.monotonic()))
            except CheckFailedError as error:
                if program.ends_within(POLL_SECONDS):
                    raise CheckFailedError(f"the image {_ended(program)} before it was ready") from error
                if time.monotonic() >= deadline:
                    raise CheckFailedError(f"not ready within {within:.0f} seconds: {error}") from error
            else:
                return

    def _ask(self, check: Check) -> None:
        if isinstance(check, Restart):
            self._restart(check)
        elif check.mariadb and self._database is None:
            raise EnvironmentFaultError(self._no_database)
        else:
            self._perform(check, self._smoke.check_within)

    def _perform(self, check: Check, seconds: float) -> None:
        if self._probe is None:
            raise CheckFailedError("the image does not run")
        timeout = min(seconds, self._smoke.check_within)
        perform(check, Probe(network=self._probe.network, secrets=self._secrets, timeout=timeout))

    def _restart(self, check: Restart) -> None:
        self._stop()
        self._life.close()
        self._live(check.within)

    def _stop(self) -> None:
        """End the image by its stop signal; one that does not obey is ended hard."""
        program = self._program
        if program is None:
            raise CheckFailedError("the image does not run")
        if program.code is not None:
            raise CheckFailedError(f"the image {_ended(program)} by itself")
        self._box.signal(self._signal)
        within = self._smoke.stop_within
        if not program.ends_within(within):
            self._box.signal("SIGKILL")
            program.ends_within(KILL_SECONDS)
            raise CheckFailedError(f"did not end within {within} seconds after {self._signal}")
        if program.code not in (0, 128 + Signals[self._signal]):
            raise CheckFailedError(f"{_ended(program)} after {self._signal}")


def _ended(program: Program) -> str:
    program.ends_within(KILL_SECONDS)
    return f"ended with exit code {program.code}"
