"""Checks of the Python package with pyarrow alone; package.test.ts runs each by its name."""

import datetime
import decimal
import os
import pickle
import signal
import sys
import threading
import uuid

import pyarrow as pa

import gristmill
from gristmill import GristmillError, Refiner, _command, _refiner

GOOD = (
    "The beekeeper opens the hive in the morning, when most of the foragers are out, and looks at every frame in turn. "
    "What she wants to see is brood in all its stages, stores of honey above it, and a queen that moves calmly. "
)
CHROME = "Home | About | Contact\nShare on Facebook\nAccept all cookies\nLog in | Sign up"


def texts(n_rows, start=0):
    """Pages, every third of which is no more than chrome."""
    return [CHROME if row % 3 == 0 else f"{GOOD * 2}Hive {row}." for row in range(start, start + n_rows)]


def small(n_rows, start=0):
    return pa.table({"text": texts(n_rows, start), "n": range(start, start + n_rows)})


class UuidType(pa.ExtensionType):
    def __init__(self):
        super().__init__(pa.binary(16), "test.uuid")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage, serialized):
        return cls()


def fails(code, call):
    try:
        call()
    except GristmillError as error:
        assert error.code == code, f"{error.code}, not {code}: {error.message}"
        assert error.message
        return error
    raise AssertionError(f"no {code}")


def columns_come_back_in_their_types():
    pa.register_extension_type(UuidType())
    n_rows = 7
    at = datetime.datetime(2026, 3, 29, 1, 59, 59, 123456, tzinfo=datetime.timezone.utc)
    rows = range(n_rows)
    ids = pa.array([uuid.UUID(int=row).bytes if row != 4 else None for row in rows], pa.binary(16))
    columns = {
        "text": pa.array([f"{GOOD}{row}" for row in rows], pa.large_string()),
        "kind": pa.array(["a", "b", None, "a", "b", "c", "a"]).dictionary_encode().cast(
            pa.dictionary(pa.int8(), pa.string())
        ),
        "seen": pa.array([at] * n_rows, pa.timestamp("us", tz="Europe/Berlin")),
        "day": pa.array([at.date()] * n_rows, pa.date32()),
        "price": pa.array([decimal.Decimal(f"{row}.25") for row in rows], pa.decimal128(20, 2)),
        "half": pa.array([0.5] * n_rows, pa.float32()),
        "small": pa.array([row - 3 for row in rows], pa.int8()),
        "large": pa.array([2**64 - 1 - row for row in rows], pa.uint64()),
        "flags": pa.array([[True, None], [], None, [False], [], [], []], pa.list_(pa.bool_())),
        "nested": pa.array(
            [{"a": row, "b": [{"c": "x", "d": b"\xff"}]} if row % 2 else None for row in rows],
            pa.struct([("a", pa.int16()), ("b", pa.list_(pa.struct([("c", pa.string()), ("d", pa.binary())])))]),
        ),
        "pairs": pa.array([[("k", row)] for row in rows], pa.map_(pa.string(), pa.int64())),
        "fixed": pa.array([[row, 1] for row in rows], pa.list_(pa.int32(), 2)),
        "nothing": pa.nulls(n_rows),
        "id": pa.ExtensionArray.from_storage(UuidType(), ids),
    }
    fields = [pa.field(name, array.type, metadata={"of": name}) for name, array in columns.items()]
    schema = pa.schema(fields, metadata={"corpus": "bees", "empty": ""})
    table = pa.Table.from_arrays(list(columns.values()), schema=schema)
    table.validate(full=True)
    with Refiner(keep_dropped=True, stages="document") as refiner:
        refined = refiner.refine(table)
    refined.validate(full=True)
    added = ["gristmill_status", "gristmill_reason", "gristmill_program", "gristmill_doc_score"]
    assert refined.column_names == [*table.column_names, *added]
    assert refined.schema.metadata == schema.metadata
    for name in table.column_names:
        if name == "text":
            continue
        field = refined.schema.field(name)
        assert field.equals(schema.field(name), check_metadata=True), field
        assert refined.column(name).to_pylist() == table.column(name).to_pylist(), name
    assert refined.schema.field("text").type == pa.large_string()


def rows_are_answered_in_order():
    table = pa.concat_tables([small(400), small(30, 400)])
    with Refiner() as refiner, Refiner(keep_dropped=True) as keeping:
        refined = refiner.refine(table)
        kept = keeping.refine(table)
        assert kept.column("n").to_pylist() == list(range(430))
        dropped = [status == "dropped" for status in kept.column("gristmill_status").to_pylist()]
        assert any(dropped) and not all(dropped)
        assert [text is None for text in kept.column("text").to_pylist()] == dropped
        assert kept.filter(pa.array([not was for was in dropped])).equals(refined)
        # One batch, or none of its rows.
        one = refiner.refine(table.slice(1, 1).to_batches()[0])
        assert one.equals(refined.slice(0, 1)), one
        none = refiner.refine(table.slice(0, 0))
        assert none.num_rows == 0 and none.schema == refined.schema
        assert refiner.refine(table.slice(0, 1)).num_rows == 0
        # Batches that are too large for one are cut, and joined again.
        _refiner.BATCH_BYTES, before = 20_000, _refiner.BATCH_BYTES
        try:
            cut = refiner.refine(table.combine_chunks())
        finally:
            _refiner.BATCH_BYTES = before
        assert cut.equals(refined)
        assert cut.column("n").num_chunks > 4
        assert refiner.restarts == 0


def metadata_of_a_schema_costs_no_process():
    with Refiner() as refiner:
        refiner.refine(small(3))
        pid = refiner.pid
        named = small(3).replace_schema_metadata({"block": "2"})
        assert refiner.refine(named).schema.metadata == {b"block": b"2"}
        assert refiner.pid == pid
        # Other columns do.
        other = refiner.refine(small(3).append_column("more", pa.array([1, 2, 3])))
        assert other.column("more").to_pylist() == [2, 3]
        assert refiner.pid != pid
    assert refiner.pid is None
    # It can be used again.
    assert refiner.refine(small(3)).num_rows == 2
    refiner.close()


def a_stream_asks_for_a_batch_once_the_last_is_answered():
    asked = []

    def batches():
        for start in range(0, 40, 10):
            asked.append(start)
            yield from small(10, start).to_batches()

    with Refiner() as refiner:
        found = []
        for answered, part in enumerate(refiner.stream(batches())):
            assert len(asked) == answered + 1, (asked, answered)
            found.extend(part.column("n").to_pylist())
    assert found == [row for row in range(40) if row % 3]


def a_process_that_dies_is_started_again():
    events = []
    with Refiner(on_event=events.append) as refiner:
        wanted = refiner.refine(small(300))
        os.kill(refiner.pid, signal.SIGKILL)
        assert refiner.refine(small(300)).equals(wanted)
        assert refiner.restarts == 1
        # Its worker alone, in the middle of a batch: one that is stopped has answered nothing when it is killed.
        worker = worker_of(refiner.pid)
        os.kill(worker, signal.SIGSTOP)
        killer = threading.Timer(0.3, lambda: os.kill(worker, signal.SIGKILL))
        killer.start()
        assert refiner.refine(small(300)).equals(wanted)
        killer.join()
        assert refiner.restarts == 2, refiner.restarts
    names = [event["event"] for event in events]
    assert names.count("begin") == 3 and names[-1] == "end"
    assert any(event.get("code") == "RUN_STREAM_CUT" for event in events)


def worker_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return int(children.read().split()[0])


def deaths_are_made_up_for_so_many_times():
    # The shell's own death, with nothing said.
    refiner = Refiner(command=["sh", "-c", "echo last words >&2; kill -9 $$"], max_restarts=2)
    error = fails("PROCESS_ENDED", lambda: refiner.refine(small(3)))
    assert "SIGKILL" in error.message and "last words" in error.message, error.message
    assert refiner.restarts == 2
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.message) == (error.code, error.message)


def what_is_wrong_is_said_by_its_code():
    table = small(3)
    cases = [
        ("CORPUS_COLUMN_MISSING", {"text_column": "content"}, table),
        ("CORPUS_COLUMN_TYPE", {"text_column": "n"}, table),
        ("CORPUS_COLUMN_RESERVED", {}, table.append_column("gristmill_status", pa.array(["a", "b", "c"]))),
        ("USAGE", {"doc_threshold": 7}, table),
        ("USAGE", {"no_such_flag": True}, table),
        ("OPTION_INVALID", {"line_threshold": 0.5, "retention": 0.5}, table),
    ]
    for code, options, data in cases:
        with Refiner(**options) as refiner:
            fails(code, lambda: refiner.refine(data))
            assert refiner.restarts == 0
    fails("COMMAND_MISSING", lambda: Refiner(command=["/nowhere/gristmill"]).refine(table))
    fails("PROCESS_ENDED", lambda: Refiner(command=["true"], max_restarts=0).refine(table))


def commands_devices_and_flags():
    before = dict(os.environ)
    try:
        assert _command.find_command(["node", "main.js"]) == ["node", "main.js"]
        assert _command.find_command("node 'my main.js'") == ["node", "my main.js"]
        os.environ["GRISTMILL_COMMAND"] = "node main.js"
        assert _command.find_command() == ["node", "main.js"]
        del os.environ["GRISTMILL_COMMAND"]
        os.environ["PATH"] = "/nowhere"
        fails("COMMAND_MISSING", _command.find_command)
    finally:
        os.environ.clear()
        os.environ.update(before)
    for visible, device in [("0", "cuda"), ("1,2", "cuda"), ("GPU-8", "cuda"), ("", "cpu"), ("-1", "cpu")]:
        assert _command.device_flag("auto", {"CUDA_VISIBLE_DEVICES": visible}) == device
    assert _command.device_flag("auto", {}) == "cpu"
    assert _command.device_flag("cuda:1", {"CUDA_VISIBLE_DEVICES": ""}) == "cuda:1"
    flags = _command.flags_of({"doc_threshold": 0.5, "stages": ["document", "chunk"], "keep_original": True, "seed": None})
    assert flags == ["--doc-threshold=0.5", "--stages=document,chunk", "--keep-original"]
    for name in ("out", "json", "events_fd", "a b", "-x"):
        try:
            _command.flags_of({name: "x"})
        except TypeError:
            continue
        raise AssertionError(name)
    assert gristmill.__version__


if __name__ == "__main__":
    for name in sys.argv[1:]:
        globals()[name]()
