"""One ``gristmill refine - --out -`` process: a batch in, the answer to it out."""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
import threading
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional

import pyarrow as pa

from ._errors import GristmillError
from ._pipes import ReadEnd, WriteEnd, widen

#: Exit codes of the command; see docs/streams.md.
USAGE = 2
ENGINE_DIED = 5

#: Lines of standard error that are kept.
KEPT_LINES = 40
#: Seconds for a process whose pipes have ended.
LEAVE_SECONDS = 30.0

SEQUENCE = b"gristmill.sequence"
MORE = b"gristmill.more"

Event = Dict[str, Any]


class ProcessDied(Exception):
    """The process is gone, and another one may do better."""

    def __init__(self, error: GristmillError) -> None:
        super().__init__(str(error))
        self.error = error


class Process:
    """See the module. A batch is written as a whole before its answer is read: the command reads no further before it has
    answered, so that neither side waits for the other."""

    def __init__(
        self,
        command: List[str],
        schema: pa.Schema,
        environment: Mapping[str, str],
        on_event: Optional[Callable[[Event], None]],
    ) -> None:
        self.schema = schema
        self._on_event = on_event
        self._error: Optional[Event] = None
        self._last_lines: Deque[str] = collections.deque(maxlen=KEPT_LINES)
        self._sequence = 0
        self._reader: Optional[pa.RecordBatchStreamReader] = None
        stdin_read, stdin_write = os.pipe()
        stdout_read, stdout_write = os.pipe()
        events_read, events_write = os.pipe()
        widen(stdin_write)
        widen(stdout_read)
        try:
            self._child = subprocess.Popen(
                [*command, "--events-fd", str(events_write)],
                stdin=stdin_read,
                stdout=stdout_write,
                stderr=subprocess.PIPE,
                pass_fds=(events_write,),
                env=dict(environment),
            )
        except OSError as error:
            for descriptor in (stdin_write, stdout_read, events_read):
                os.close(descriptor)
            raise GristmillError("COMMAND_MISSING", f"{command[0]}: {error.strerror}") from error
        finally:
            for descriptor in (stdin_read, stdout_write, events_write):
                os.close(descriptor)
        self._stdin = WriteEnd(stdin_write)
        self._stdout = ReadEnd(stdout_read)
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._stdin, mode="w"), schema)
        self._listeners = [
            threading.Thread(target=self._listen, args=(events_read,), daemon=True),
            threading.Thread(target=self._keep_lines, daemon=True),
        ]
        for listener in self._listeners:
            listener.start()

    @property
    def pid(self) -> int:
        return self._child.pid

    def refine(self, batch: pa.RecordBatch) -> List[pa.RecordBatch]:
        """The answer to a batch. Raises ProcessDied, and GristmillError where another process would fail alike."""
        try:
            self._writer.write_batch(batch)
            answer: List[pa.RecordBatch] = []
            while True:
                if self._reader is None:
                    self._reader = pa.ipc.open_stream(pa.PythonFile(self._stdout, mode="r"))
                part, metadata = self._reader.read_next_batch_with_custom_metadata()
                sequence = None if metadata is None else metadata.get(SEQUENCE)
                if sequence != str(self._sequence).encode():
                    raise GristmillError(
                        "USAGE",
                        f"the command answered batch {self._sequence} by {sequence!r}: it is another version, or no gristmill",
                    )
                answer.append(part)
                if metadata.get(MORE) != b"true":
                    break
            self._sequence += 1
            return answer
        except (OSError, StopIteration, pa.ArrowInvalid) as cause:
            # A batch that Arrow cannot write is the caller's; of pipes that end it is the process that knows.
            if isinstance(cause, pa.ArrowInvalid) and self._is_running():
                raise
            raise self._ended() from cause

    def close(self) -> None:
        """Ends the stream in good order."""
        try:
            self._writer.close()
        except (OSError, pa.ArrowInvalid):
            pass
        self._close_end(self._stdin)
        try:
            self._child.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self) -> None:
        """Ends it at once."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        self._close_end(self._stdin)
        self._close_end(self._stdout)
        self._join()

    def _close_end(self, end: Any) -> None:
        try:
            end.close()
        except OSError:
            pass

    def _is_running(self) -> bool:
        try:
            self._child.wait(1.0)
        except subprocess.TimeoutExpired:
            return True
        return False

    def _join(self) -> None:
        for listener in self._listeners:
            if listener is not threading.current_thread():
                listener.join(LEAVE_SECONDS)

    def _ended(self) -> Exception:
        """What a process says of its end."""
        self._close_end(self._stdin)
        try:
            code = self._child.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            code = self._child.wait()
        self._join()
        self._close_end(self._stdout)
        lines = "\n".join(self._last_lines)
        if self._error is not None:
            error = GristmillError(str(self._error["code"]), str(self._error["message"]))
            return ProcessDied(error) if code == ENGINE_DIED else error
        if code == USAGE or code == 127:
            return GristmillError("USAGE", lines or f"exit code {code}")
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return ProcessDied(GristmillError("PROCESS_ENDED", f"gristmill ended ({how}): {lines or 'it said nothing'}"))

    def _listen(self, descriptor: int) -> None:
        with os.fdopen(descriptor, encoding="utf-8") as lines:
            for line in lines:
                try:
                    event = json.loads(line)
                except ValueError:
                    # The process was killed inside a line.
                    continue
                if event.get("event") == "error":
                    self._error = event
                if self._on_event is not None:
                    self._on_event(event)

    def _keep_lines(self) -> None:
        stream = self._child.stderr
        assert stream is not None
        with stream:
            for line in stream:
                self._last_lines.append(line.decode("utf-8", "replace").rstrip())
