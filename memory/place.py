"""Where the tables of a memory folder lie: in the folder, or on object storage.

Everything else of a life stays in the folder on the local disk: locks, counters, the kept places,
rows that wait for the store. A file in it names the store, so that every process that is given the
folder finds the tables without being told. Credentials are never written there: the engine reads
them from the environment.
"""

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from pyarrow import fs

from memory.config import StorageConfig
from memory.errors import DamagedTableError, PlaceError
from memory.files import write_atomic

PLACE_FILE = "place.json"

CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""Environment variables without which no request can be signed."""

CONNECT_S = 3.0
"""A server that answers does so much faster, and the recorder waits meanwhile."""

_REFUSED = re.compile(
    r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|InvalidToken|ExpiredToken"
    r"|InvalidClientTokenId|AuthFailure|Forbidden|Unauthorized|status: 40[13]"
)
_UNREACHABLE = re.compile(
    r"error sending request|HttpError|connect error|timed out|[Tt]imeout|dns error"
    r"|onnection (?:refused|reset|closed)|status: (?:429|5\d\d)|Server Error|SlowDown"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TablesAt:
    """A prefix of a bucket, and how to reach it.

    Attributes:
        uri: As in s3://bucket/prefix.
        endpoint: Server, as in http://127.0.0.1:9000; "" for Amazon's.
        region: Region of the bucket.
        allow_http: Whether an unencrypted connection may be used.
        timeout_s: Longest single request.
        retry_s: Time from a failed attempt to write to the next.
        claim: What marks the prefix as this life's.
    """

    uri: str
    endpoint: str
    region: str
    allow_http: bool
    timeout_s: float
    retry_s: float
    claim: str

    def __str__(self) -> str:
        return f"{self.uri} at {self.endpoint}" if self.endpoint else self.uri

    def options(self) -> dict[str, str]:
        """Return what the engine needs to reach the store; it takes credentials by itself.

        Raises:
            PlaceError: If the environment holds no credentials.
        """
        missing = [name for name in CREDENTIALS if not os.environ.get(name)]
        if missing:
            raise PlaceError(
                f"the tables lie in {self}, and the environment lacks {' and '.join(missing)}: "
                "set it to the credentials of the store"
            )
        options = {
            "region": self.region,
            "allow_http": str(self.allow_http).lower(),
            "connect_timeout": f"{CONNECT_S:g}s",
            "timeout": f"{self.timeout_s:g}s",
            "client_max_retries": "1",
            "client_retry_timeout": f"{self.timeout_s:g}",
        }
        return options | ({"endpoint": self.endpoint} if self.endpoint else {})

    def num_bytes(self, name: str = "") -> int:
        """Return the bytes of all objects below the prefix, or of what lies at a name below it.

        Raises:
            OSError: If the store cannot be reached.
        """
        self.options()
        scheme, _, address = self.endpoint.partition("://")
        store = fs.S3FileSystem(
            region=self.region,
            scheme=scheme or "https",
            endpoint_override=address.rstrip("/") or None,
            connect_timeout=CONNECT_S,
            request_timeout=self.timeout_s,
        )
        path = f"{self.uri.removeprefix('s3://')}/{name}".rstrip("/")
        found = store.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
        return sum(entry.size or 0 for entry in found)


def place_of(folder: Path) -> TablesAt | None:
    """Return where the tables of a folder lie, None if in the folder itself.

    Raises:
        DamagedTableError: If the file that tells it cannot be read.
    """
    path = folder / PLACE_FILE
    try:
        return TablesAt(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DamagedTableError(
            f"{path} cannot be read as the place of the tables: {error}; restore it"
        ) from error


def write_place(folder: Path, config: StorageConfig, claim: str) -> TablesAt:
    """Put down where the tables of a folder lie."""
    assert config.uri is not None
    place = TablesAt(
        uri=config.uri,
        endpoint=config.endpoint or "",
        region=config.region,
        allow_http=config.allow_http,
        timeout_s=config.timeout_s,
        retry_s=config.retry_s,
        claim=claim,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / PLACE_FILE, json.dumps(asdict(place), indent=1).encode())
    return place


def require_local(folder: Path, doing: str) -> None:
    """Check that the tables of a folder are files in it.

    Args:
        folder: Folder of the tables.
        doing: What needs files.

    Raises:
        PlaceError: If they lie elsewhere; names the place and the setting.
    """
    place = place_of(folder)
    if place is not None:
        raise PlaceError(
            f"{doing} works on files of a local disk, and the tables lie in {place} "
            "(memory.storage.uri): copy them into a folder of their own, or use the versions that "
            "the store keeps"
        )


def why_away(place: TablesAt, text: str) -> str | None:
    """Return why a store did not answer, by what the engine says; None if it did."""
    if "NoSuchBucket" in text:
        return f"{place} cannot be used: there is no such bucket; make it, or name another"
    if _REFUSED.search(text):
        return (
            f"{place} refuses the credentials in {' and '.join(CREDENTIALS)}, or they may not do "
            "this"
        )
    if _UNREACHABLE.search(text):
        refused = ": connection refused" if "Connection refused" in text else ""
        return f"{place} cannot be reached{refused}"
    return None
