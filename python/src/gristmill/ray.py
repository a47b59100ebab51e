"""Ray Data: an actor that keeps one gristmill process.

    import ray, gristmill.ray

    ray.data.read_parquet("corpus/").map_batches(
        gristmill.ray.Refine, batch_format="pyarrow", batch_size=2048, concurrency=3
    ).write_parquet("refined/")

With ``num_gpus=1`` Ray gives each actor a device of its own by CUDA_VISIBLE_DEVICES, which the process takes. Actors that die are
Ray's to start again, and so is the block that they had.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ._refiner import Refiner


class Refine:
    """For ``map_batches(Refine, batch_format="pyarrow", fn_constructor_kwargs={…})``; takes the arguments of Refiner."""

    def __init__(self, **options: Any) -> None:
        self._refiner = Refiner(**options)

    def __call__(self, table: pa.Table) -> pa.Table:
        return self._refiner.refine(table)

    def __del__(self) -> None:
        refiner = getattr(self, "_refiner", None)
        if refiner is not None:
            refiner.close()
