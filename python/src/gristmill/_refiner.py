"""Tables through a process that is kept, and started again when it dies."""

from __future__ import annotations

import os
import threading
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Union

import pyarrow as pa

from ._command import Command, device_flag, find_command, flags_of
from ._errors import GristmillError
from ._process import Event, Process, ProcessDied

#: Bytes of a batch that go to the process at a time; a larger one is cut, and its answer is one table again.
BATCH_BYTES = 256 << 20


class Refiner:
    """Refines Arrow tables. One process, started with the first table and kept for the next ones; a context manager.

    Rows come back in their order with all their columns in their types, and with the columns that gristmill adds (status,
    reason, program, score). Dropped rows are left out, unless ``keep_dropped`` is set: then they are there with a null text.

    A process that dies is started again, and is given the batch that it had once more; after ``max_restarts`` deaths in a row
    without an answer the error is raised (``RUN_STREAM_CUT``, ``PROCESS_ENDED``). What is wrong with the data or the options is raised at
    once. Safe to be used by several threads, one batch at a time; not to be used on both sides of a fork.

    Keyword arguments that are not listed are flags of ``gristmill refine``: ``text_column="content"``, ``stages="chunk"``,
    ``doc_threshold=0.2``, ``keep_original=True``.

    :param command: the command, as words or as a shell would split it; else GRISTMILL_COMMAND, ``gristmill`` on PATH, or ``npx``
    :param device: ``cpu``, ``cuda``, ``cuda:0`` …; ``auto`` is ``cuda`` where CUDA_VISIBLE_DEVICES names a device, as schedulers do
    :param keep_dropped: leave dropped rows in, so that rows are those of the input one for one
    :param max_restarts: deaths in a row, without an answer between them, that are made up for
    :param on_event: told what the process says (``begin``, ``batch``, ``notice``, ``error``, ``end``), on a thread of its own
    :param env: environment of the process; default: this one's
    """

    def __init__(
        self,
        *,
        command: Optional[Command] = None,
        device: str = "auto",
        keep_dropped: bool = False,
        max_restarts: int = 3,
        on_event: Optional[Callable[[Event], None]] = None,
        env: Optional[Mapping[str, str]] = None,
        **options: object,
    ) -> None:
        self._environment: Dict[str, str] = dict(os.environ if env is None else env)
        self._command: List[str] = [
            *find_command(command),
            "refine",
            "-",
            "--out",
            "-",
            "--json",
            "--device",
            device_flag(device, self._environment),
            *(["--keep-dropped"] if keep_dropped else []),
            *flags_of(options),
        ]
        self._max_restarts = max_restarts
        self._on_event = on_event
        self._lock = threading.Lock()
        self._process: Optional[Process] = None
        #: Deaths of its processes that were made up for.
        self.restarts = 0

    def __enter__(self) -> "Refiner":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> Optional[int]:
        """Process id of the command; None before the first table and after :meth:`close`."""
        return None if self._process is None else self._process.pid

    def refine(self, data: Union[pa.Table, pa.RecordBatch]) -> pa.Table:
        """The refined rows of a table or a batch. Raises GristmillError."""
        schema = data.schema
        batches = [data] if isinstance(data, pa.RecordBatch) else data.to_batches()
        # A table of no rows has a schema to answer with.
        batches = batches or [pa.RecordBatch.from_pylist([], schema=schema)]
        answers = [part for batch in batches for part in self._answer(batch)]
        return pa.Table.from_batches(answers).replace_schema_metadata(schema.metadata)

    def stream(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Refines batches as they come; each is answered before the next one is asked for. Raises GristmillError."""
        for batch in batches:
            for part in self._answer(batch):
                yield part.replace_schema_metadata(batch.schema.metadata)

    def close(self) -> None:
        """Ends the process; the next table starts another one."""
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                process.close()

    def _answer(self, batch: pa.RecordBatch) -> List[pa.RecordBatch]:
        parts = -(-batch.nbytes // BATCH_BYTES)
        if parts <= 1 or batch.num_rows <= 1:
            return self._tries(batch)
        rows = -(-batch.num_rows // parts)
        return [
            answer
            for start in range(0, batch.num_rows, rows)
            for answer in self._answer(batch.slice(start, rows))
        ]

    def _tries(self, batch: pa.RecordBatch) -> List[pa.RecordBatch]:
        with self._lock:
            deaths = 0
            while True:
                process = self._process_for(batch.schema)
                try:
                    return process.refine(batch)
                except ProcessDied as died:
                    self._process = None
                    process.kill()
                    deaths += 1
                    if deaths > self._max_restarts:
                        raise died.error from died
                    self.restarts += 1
                except BaseException:
                    # Its pipes may stand anywhere.
                    self._process = None
                    process.kill()
                    raise

    def _process_for(self, schema: pa.Schema) -> Process:
        """The process that is there; a stream has one schema, so that another schema is another process."""
        if self._process is not None and not _is_same(self._process.schema, schema):
            process, self._process = self._process, None
            process.close()
        if self._process is None:
            self._process = Process(self._command, schema, self._environment, self._on_event)
        return self._process


def _is_same(left: pa.Schema, right: pa.Schema) -> bool:
    """Whether columns are, metadata of fields included; that of the whole schema is put back by who asked."""
    return left.remove_metadata().equals(right.remove_metadata(), check_metadata=True)


__all__ = ["Refiner", "GristmillError"]
