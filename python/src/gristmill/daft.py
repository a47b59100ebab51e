"""Daft: a DataFrame through a class UDF.

    import gristmill.daft

    refined = gristmill.daft.refine(daft.read_parquet("corpus/"), max_concurrency=3)

Only the texts go through gristmill; every other column stays with Daft, as it is. Each instance of the class keeps one process,
which is started again where it dies.
"""

from __future__ import annotations

from typing import Any, Dict, Optional, Union

import pyarrow as pa

import daft
from daft import DataFrame, DataType, col

from ._columns import added_columns
from ._refiner import Refiner

#: Name of the column in between.
_ANSWER = "__gristmill_answer"
#: Name of the texts on the way.
_TEXT = "text"


class Texts:
    """Texts to structs of the refined text and the added columns; ``daft.cls`` makes it a UDF."""

    def __init__(self, options: Dict[str, Any]) -> None:
        self._options = {**options, "keep_dropped": True, "text_column": _TEXT}
        self._refiner: Optional[Refiner] = None

    def refine(self, texts: daft.Series) -> pa.Array:
        # Made where it is used: an instance may be sent to another process.
        if self._refiner is None:
            self._refiner = Refiner(**self._options)
        array = texts.to_arrow()
        answer = self._refiner.refine(pa.table({_TEXT: array})).combine_chunks()
        columns = [column.chunk(0) if column.num_chunks else pa.array([], column.type) for column in answer.columns]
        return pa.StructArray.from_arrays(columns, names=answer.column_names)


def refine(
    df: DataFrame,
    *,
    text_column: str = "text",
    keep_dropped: bool = False,
    cpus: Optional[float] = None,
    gpus: float = 0,
    max_concurrency: Optional[int] = None,
    use_process: Optional[bool] = None,
    batch_size: Optional[int] = 2048,
    ray_options: Optional[Dict[str, Any]] = None,
    **options: Any,
) -> DataFrame:
    """The refined rows of a DataFrame, with the columns that gristmill adds.

    Dropped rows are left out, unless ``keep_dropped`` is set. ``cpus`` to ``ray_options`` are Daft's; the rest are the arguments of
    Refiner.
    """
    replaces = bool(options.pop("replace_status", False))
    added = added_columns(options)
    names = [name for name, _ in added]
    taken = [name for name in names if name in df.column_names]
    if taken and not replaces:
        from ._errors import GristmillError

        raise GristmillError(
            "CORPUS_COLUMN_RESERVED",
            f"column {taken[0]} is called like one that is added; give status_prefix to call those otherwise, or replace_status",
        )
    types = {"string": DataType.string(), "double": DataType.float64()}
    answer = DataType.struct({_TEXT: types["string"], **{name: types[kind] for name, kind in added}})
    method = daft.method.batch(return_dtype=answer, batch_size=batch_size)(Texts.refine)
    kind = type("GristmillTexts", (Texts,), {"refine": method})
    refiner = daft.cls(
        kind,
        cpus=cpus,
        gpus=gpus,
        max_concurrency=max_concurrency,
        use_process=use_process,
        ray_options=ray_options,
    )(options)
    refined = df.with_column(_ANSWER, refiner.refine(col(text_column)))
    fields: Dict[str, Union[daft.Expression]] = {text_column: col(_ANSWER).get(_TEXT)}
    fields.update({name: col(_ANSWER).get(name) for name in names})
    refined = refined.with_columns(fields).exclude(_ANSWER)
    return refined if keep_dropped else refined.where(col(names[0]) != "dropped")
