"""What refining a Parquet file costs inside of Python: shim.py IN OUT [--refine] [--rows N]. Without --refine the file is copied."""

import argparse

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill import Refiner

parser = argparse.ArgumentParser()
parser.add_argument("input")
parser.add_argument("out")
parser.add_argument("--refine", action="store_true")
parser.add_argument("--rows", type=int, default=2048)
arguments = parser.parse_args()
pa.set_cpu_count(1)


file = pq.ParquetFile(arguments.input)
batches = file.iter_batches(batch_size=arguments.rows)
if arguments.refine:
    refiner = Refiner(threads=1, workers=1)
    batches = refiner.stream(batches)
writer = None
for batch in batches:
    if writer is None:
        writer = pq.ParquetWriter(arguments.out, batch.schema, compression="zstd")
    writer.write_batch(batch)
writer.close()
if arguments.refine:
    refiner.close()
