"""The C extension over libunderstudy: types and calls, no policy.

Failures raise the class of understudy.exceptions that include/understudy/error.h names.
Waits release the interpreter lock and answer Ctrl-C at once. Ids are 16 bytes.
"""

from collections.abc import Sequence

EVENT_ACCEPTED: int
EVENT_RUNNING: int
EVENT_LOG: int
EVENT_ENDED: int

ERRORS: Sequence[tuple[str, int, str, str]]
"""(name, number, text, exception class) of include/understudy/error.h."""

STATES: Sequence[tuple[int, str, bool]]
"""(number, name, whether it is an end) of US_STATE_MAP in understudy.h."""

def version() -> str: ...
def new_id(channel: str) -> bytes: ...
def default_broker() -> str:
    """Addresses from UNDERSTUDY_BROKER, the configuration file or the default."""

class Blob:
    """Bytes shared by many jobs, hashed once."""

    def __init__(self, data: bytes | memoryview) -> None: ...
    @property
    def digest(self) -> bytes: ...
    @property
    def size(self) -> int: ...

class Buffer:
    """Memory of a result, which arrays may go on to use: memoryview(buffer)."""

class Client:
    def __init__(
        self,
        *,
        broker: str | None = None,
        redis: str | None = None,
        connect_timeout: float | None = None,
        max_payload: int | None = None,
        name: str | None = None,
        owner: str | None = None,
        key: str | None = None,
        cluster: str | None = None,
        program: bytes | None = None,
    ) -> None:
        """Opens no connection. program: what names it, see _program.py."""
    @property
    def endpoint(self) -> str: ...
    @property
    def max_payload(self) -> int: ...
    @property
    def max_buffer(self) -> int:
        """The broker's limit of one buffer in bytes; 0: it takes none."""
    @property
    def max_buffers(self) -> int:
        """The same of all buffers of one job."""
    def connect(self) -> None: ...
    def flush(self, timeout: float) -> int:
        """How many jobs were not accepted within timeout seconds."""
    def submit(
        self,
        channel: str,
        body: bytes,
        *,
        shell: bool = False,
        blobs: Sequence[Blob] = (),
        setup: Blob | None = None,
        env: Sequence[tuple[str, str]] = (),
        cwd: str | None = None,
        buffers: Sequence[Blob] = (),
        packages: Sequence[str] = (),
        constraints: Sequence[str] = (),
        python: str | None = None,
        name: str | None = None,
        id: bytes | None = None,
        soft_limit: float | None = None,
        hard_limit: float | None = None,
        retries: int = 0,
        expires: float | None = None,
        fresh: bool = False,
        queue: bool = True,
        stream_log: bool = False,
        events: int = 0,
        user: object = None,
    ) -> Job:
        """body: a call envelope, or with shell the command line. events, user: as in
        Job.subscribe, set before anything can happen."""
    def open(self, id: bytes) -> Job: ...
    def fileno(self) -> int:
        """Readable while events are there."""
    def wait_events(self, timeout: float | None) -> list[tuple[int, Job, object]]:
        """Waits for events: (types, job, user). Empty after timeout or close."""
    def query(
        self,
        what: str,
        *,
        channel: str | None = None,
        state: int = 0,
        older: float = 0.0,
        limit: int = 100,
        id: bytes | None = None,
        name: str | None = None,
        prefix: bytes | None = None,
        timeout: float = 10.0,
    ) -> tuple[list[bytes], int]:
        """Rows (msgpack maps) and the count."""
    def close(self) -> None: ...

class Job:
    """One submitted or opened job: us_result_t."""

    @property
    def id(self) -> bytes: ...
    @property
    def state(self) -> int: ...
    @property
    def code(self) -> int:
        """0, an error number, or US_ERR_RUNNING before the end."""
    @property
    def text(self) -> str: ...
    @property
    def body(self) -> bytes:
        """Result or failure envelope; empty where there is none."""
    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """What the envelope takes."""
    def drop_body(self) -> None:
        """Frees body and buffers of an ended job; there are none then."""
    @property
    def info(self) -> dict[str, int]:
        """attempt, crashes, losses, submitted_ms, started_ms, ended_ms, log_len,
        build_len, dropped."""
    def subscribe(self, types: int, user: object) -> None: ...
    def accepted(self, timeout: float | None = None) -> int:
        """0 once accepted, the error number once refused; WaitTimeout."""
    def wait(self, timeout: float | None = None) -> bool:
        """Whether it has ended."""
    def stream_log(self, stream: int = 0) -> None: ...
    def read_log(
        self, stream: int, offset: int, size: int, timeout: float | None
    ) -> bytes | None:
        """b"" at the end of an ended job's stream, None after the timeout."""
    def cancel(self, mode: int, timeout: float | None) -> tuple[int, int]:
        """(error number, state)."""
