"""Refines a corpus with Ray Data: python refine_with_ray.py INPUT.parquet OUT_DIR [--actors N]

INPUT may be a folder, or anything that Ray reads Parquet from. With devices, give each actor one: num_gpus=1.
"""

import argparse

import ray

import gristmill.ray

parser = argparse.ArgumentParser()
parser.add_argument("input")
parser.add_argument("out")
parser.add_argument("--actors", type=int, default=3)
arguments = parser.parse_args()

# Actors keep a core each; what reads and writes needs some too.
ray.init(num_cpus=2 * arguments.actors, include_dashboard=False)
(
    ray.data.read_parquet(arguments.input)
    .repartition(arguments.actors)
    .map_batches(
        gristmill.ray.Refine,
        batch_format="pyarrow",
        batch_size=2048,
        concurrency=arguments.actors,
    )
    .write_parquet(arguments.out)
)
