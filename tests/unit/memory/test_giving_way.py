import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import os
from pathlib import Path
from memory.giving_way import give_way
give_way(7, session_nice={session_nice})
give_way(3)
session = Path("/proc/self/autogroup")
print(os.nice(0), session.read_text().split()[-1] if session.exists() else "none")
"""


@pytest.mark.parametrize("wanted", [7, 0])
def test_a_process_gives_way_with_its_session_if_told_and_never_less_than_before(
    wanted: int,
) -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD.format(session_nice=wanted)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        start_new_session=True,
    )
    nice, session_nice = child.stdout.split()
    assert int(nice) == max(7, os.nice(0))
    if not Path("/proc/self/autogroup").exists():
        pytest.skip("this system does not group processes by session")
    assert int(session_nice) == wanted
