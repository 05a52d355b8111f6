"""Finds the guardian's process of a robot, or starts it, for a life that is about to drive."""

import subprocess
import sys
import threading
from pathlib import Path

from agentd.exit_codes import AgentdError, ExitCode
from agentd.guardian.client import GuardianClient, NoGuardianError
from agentd.guardian.door import answers
from agentd.guardian.places import Places
from agentd.guardian.robot import fingerprint
from agentd.guardian.sink import GuardianSink
from agentd.home import Home
from configs.schema import AgentConfig

_PATIENCE_S = 30.0
_LOOK_S = 0.05
_LEAVE_S = 10.0
"""A guardian that was started for a life that was killed holds the robot for so long."""
_END_S = 5.0
_LOG = "guardian.log"
_LOG_KEEP_BYTES = 1_000_000


class GuardianFailedError(AgentdError):
    """The guardian's process ended, does not answer, or goes by other settings."""

    exit_code = ExitCode.WORLD_SILENT


def guardian_sink(home: Home, config: AgentConfig) -> GuardianSink:
    """Return where commands go; a guardian runs when this returns.

    One that runs already (as a service) is used, and left running. Else one is started for this
    life: it ends with it, or a little after a life that was killed.

    Raises:
        GuardianFailedError: If none can be started, or one runs by other settings.
    """
    places = Places(home)
    wanted = fingerprint(config.world.ros2, config.guardian)
    started = None
    if not answers(places.socket):
        started = _Started(home, config)
        started.start()
        started.wait(places.socket)
    client = GuardianClient(places.socket)
    try:
        state = client.ask("status")["state"]
    except NoGuardianError:
        if started is not None:
            started.end()
        raise
    if state["settings"] != wanted:
        client.close()
        if started is not None:
            started.end()
        raise GuardianFailedError(
            f"the guardian that runs in {home.path} goes by other settings than this life; end it "
            f"and start it with the same profile and --set, or give this life those of it"
        )
    if started is not None:
        return GuardianSink(client, "it is started again", started.start, started.end)
    return GuardianSink(client, f"start it again with: {home.command('guardian run')}")


class _Started:
    """A guardian's process of this life."""

    def __init__(self, home: Home, config: AgentConfig) -> None:
        self._home, self._settings = home, config.model_dump_json()
        self._log = home.log_folder / _LOG
        self._child: subprocess.Popen[bytes] | None = None
        self._is_over = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start it, if it does not run; waits for nothing."""
        with self._lock:
            if self._is_over or (self._child is not None and self._child.poll() is None):
                return
            self._log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            is_long = self._log.exists() and self._log.stat().st_size > _LOG_KEEP_BYTES
            words = ("--home", str(self._home.path), "--settings-from-stdin")
            with self._log.open("wb" if is_long else "ab") as log:
                # A session of its own: Ctrl-C is for the life, which then stops the robot with it.
                self._child = subprocess.Popen(
                    [
                        *(sys.executable, "-P", "-m", "agentd.guardian"),
                        *(*words, "--leave-after", str(_LEAVE_S)),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            assert self._child.stdin is not None
            self._child.stdin.write(self._settings.encode())
            self._child.stdin.close()

    def wait(self, socket: Path) -> None:
        """Wait until it answers.

        Raises:
            GuardianFailedError: If it ends, or does not in time.
        """
        child = self._child
        assert child is not None
        waited = threading.Event()
        for _ in range(round(_PATIENCE_S / _LOOK_S)):
            if answers(socket):
                return
            if child.poll() is not None:
                raise GuardianFailedError(f"the guardian did not start: {self._last_words()}")
            waited.wait(_LOOK_S)
        self.end()
        raise GuardianFailedError(f"the guardian does not answer at {socket}; see {self._log}")

    def end(self) -> None:
        """Have it send its last zeros and end."""
        with self._lock:
            self._is_over = True
            child = self._child
        if child is None:
            return
        child.terminate()
        try:
            child.wait(_END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _last_words(self) -> str:
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1].removeprefix("error: ") if lines else f"see {self._log}"
