"""Where a home keeps what belongs to its guardian."""

from pathlib import Path

from agentd.guardian.keeping import FILE_NAME
from agentd.home import Home


class Places:
    """Paths of a home's guardian. Making this object touches nothing.

    Attributes:
        kept: File of the e-stop.
        socket: Where a guardian's process listens.
    """

    def __init__(self, home: Home) -> None:
        """Name the home; it need not exist."""
        self.kept: Path = home.state_folder / FILE_NAME
        control = home.socket_path()
        # Hardly longer than the control socket's path, which just fits.
        name = "guardian.sock" if control.parent == home.path else f"{control.stem}g.sock"
        self.socket: Path = control.with_name(name)
