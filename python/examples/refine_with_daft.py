"""Refines a corpus with Daft: python refine_with_daft.py INPUT.parquet OUT_DIR [--instances N]

With devices, give each instance one: gristmill.daft.refine(…, gpus=1).
"""

import argparse

import daft

import gristmill.daft

parser = argparse.ArgumentParser()
parser.add_argument("input")
parser.add_argument("out")
parser.add_argument("--instances", type=int, default=3)
arguments = parser.parse_args()

corpus = daft.read_parquet(arguments.input)
refined = gristmill.daft.refine(corpus, max_concurrency=arguments.instances)
refined.write_parquet(arguments.out)
