"""Serves a simulator to the process that started this one, over a socket that it inherited.

Run as a file, by the interpreter that has habitat-sim: `python -I serve.py --fd N`. Neither this
file nor those beside it that it loads need anything of ours but numpy; Python 3.9 is enough. The
process ends with the connection.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import resource
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

CALLS = (
    "describe",
    "observe",
    "place",
    "act",
    "walk",
    "snap",
    "navigable",
    "sample",
    "geodesics",
)


def load_file(path: Path, name: str) -> ModuleType:
    """Return the module in a file: the packages of this program are not on this one's path."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def serve(connection: socket.socket, backend_file: Path) -> None:
    """Answer calls until the other end is gone or says `close`."""
    wire = load_file(Path(__file__).with_name("wire.py"), "agentd_habitat_wire")
    hello = {
        "hello": "agentd-habitat",
        "version": wire.VERSION,
        "python": platform.python_version(),
        "pid": os.getpid(),
    }
    wire.send(connection, hello)
    backend: Any = None
    try:
        while True:
            message, arrays = wire.receive(connection, None)
            call = message.get("call")
            if call == "close":
                wire.send(connection, {"id": message.get("id"), "ok": True})
                return
            try:
                if call == "open":
                    module = load_file(backend_file, "agentd_habitat_backend")
                    backend = module.open_backend(message["config"])
                    answer: Any = ({}, {})
                elif call not in CALLS:
                    raise ValueError(f"unknown call {call!r}; known: open, {', '.join(CALLS)}")
                elif backend is None:
                    raise ValueError(f"{call} before open")
                else:
                    answer = getattr(backend, call)(message.get("args", {}), arrays)
            except Exception as error:  # the caller is told, whatever the simulator raised
                kind, text = type(error).__name__, str(error)
                wire.send(connection, {"id": message.get("id"), "error": [kind, text]})
            else:
                values, out = answer
                wire.send(connection, {"id": message.get("id"), "values": values}, out)
    except wire.WireClosedError:
        return
    finally:
        if backend is not None:
            backend.close()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description="Serves habitat-sim to agentd.")
    parser.add_argument("--fd", type=int, required=True, help="inherited socket")
    parser.add_argument(
        "--backend",
        type=Path,
        default=Path(__file__).with_name("sim.py"),
        help="file with open_backend",
    )
    asked = parser.parse_args()
    # The annotation of a large scene is loaded by recursion that 8 MB do not hold.
    _, most = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (most, most))
    with socket.socket(fileno=asked.fd) as connection:
        serve(connection, asked.backend)


if __name__ == "__main__":
    main()
