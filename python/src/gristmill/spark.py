"""Spark: a DataFrame through ``mapInArrow``.

    import gristmill.spark

    refined = gristmill.spark.refine(spark.read.parquet("corpus/"))

Each Python worker keeps one gristmill process for the tasks that it is given; the batches of a partition go through one after
another. A task whose worker dies is Spark's to run again (``spark.task.maxFailures``; in local mode the second number of
``local[3,4]``).
"""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, Optional

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import DoubleType, StringType, StructField, StructType

from ._columns import added_columns
from ._refiner import Refiner

#: Refiners of this worker, by what they were asked for.
_kept: Dict[str, Refiner] = {}


def refine(df: DataFrame, **options: Any) -> DataFrame:
    """The refined rows of a DataFrame, with the columns that gristmill adds; takes the arguments of Refiner."""
    text_column = str(options.get("text_column", "text"))
    replaces = bool(options.get("replace_status", False))
    added = added_columns(options)
    names = {name for name, _ in added}
    fields = [
        StructField(field.name, field.dataType, True, field.metadata)
        if field.name == text_column
        else field
        for field in df.schema.fields
        if not (replaces and field.name in names)
    ]
    types = {"string": StringType(), "double": DoubleType()}
    fields.extend(StructField(name, types[kind], True) for name, kind in added)

    def refined(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from _refiner_of(options).stream(batches)

    return df.mapInArrow(refined, StructType(fields))


def _refiner_of(options: Dict[str, Any]) -> Refiner:
    environment = dict(os.environ if options.get("env") is None else options["env"])
    devices = _devices_of_task()
    if devices is not None:
        environment["CUDA_VISIBLE_DEVICES"] = devices
    key = repr((sorted(options.items(), key=lambda item: item[0]), devices))
    refiner = _kept.get(key)
    if refiner is None:
        refiner = _kept[key] = Refiner(**{**options, "env": environment})
    return refiner


def _devices_of_task() -> Optional[str]:
    """The GPUs that Spark gave the task, where it gives any."""
    from pyspark import TaskContext

    context = TaskContext.get()
    gpus = None if context is None else context.resources().get("gpu")
    return None if gpus is None else ",".join(gpus.addresses)
