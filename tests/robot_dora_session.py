"""Runs tests in a network that has only a loopback interface: dora's DDS speaks on every one.

    python tests/robot_dora_session.py PYTEST-ARGUMENTS

Ends with 77 where the machine allows no network of its own.
"""

import sys

import links_network
from links_session import NO_NETWORK


def main() -> None:
    """Enter the network and run pytest."""
    try:
        links_network.enter()
    except OSError as error:
        print(error)
        sys.exit(NO_NETWORK)
    import pytest

    sys.exit(pytest.main(sys.argv[1:]))


if __name__ == "__main__":
    main()
