"""The two ends of pipes as files that Arrow reads and writes, without a copy beyond the kernel's."""

from __future__ import annotations

import io
import os
import sys

#: Bytes that a pipe is asked to hold; 64 KiB, the default, cost a switch of processes each.
PIPE_BYTES = 1 << 20
#: Linux writes less than 2 GiB at a time.
MAX_CALL_BYTES = 1 << 30


def widen(descriptor: int) -> None:
    """Makes a pipe larger where the system has a word for that and allows it."""
    if not sys.platform.startswith("linux"):
        return
    import fcntl

    try:
        fcntl.fcntl(descriptor, getattr(fcntl, "F_SETPIPE_SZ", 1031), PIPE_BYTES)
    except OSError:
        pass


class ReadEnd(io.RawIOBase):
    """Reads exactly what is asked for, less only at the end: Arrow takes a short read for the end of a message."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:  # type: ignore[override]
        if size < 0:
            raise ValueError("a pipe is read by sizes")
        if size <= PIPE_BYTES:
            piece = os.read(self._descriptor, size)
            if len(piece) == size or not piece:
                return piece
            buffer = bytearray(size)
            buffer[: len(piece)] = piece
            done = len(piece)
        else:
            buffer = bytearray(size)
            done = 0
        view = memoryview(buffer)
        while done < size:
            count = os.readv(self._descriptor, [view[done : done + MAX_CALL_BYTES]])
            if count == 0:
                break
            done += count
        # Arrow takes whatever has bytes; none of them is copied.
        return view[:done]  # type: ignore[return-value]

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._descriptor)


class WriteEnd(io.RawIOBase):
    """Writes all that it is given."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:  # type: ignore[no-untyped-def, override]
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            done += os.write(self._descriptor, view[done : done + MAX_CALL_BYTES])
        return done

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.close(self._descriptor)
