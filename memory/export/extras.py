"""Libraries that only some exports need."""

import importlib
from types import ModuleType


class MissingExtraError(ImportError):
    """A library that is not installed; says how to install it."""


def require(module: str, what: str) -> ModuleType:
    """Return a module of the extra `logs`.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.split(".")[0]
        raise MissingExtraError(
            f"{what} needs the library {library}, which is not installed: "
            "pip install 'agentd[logs]'"
        ) from error
