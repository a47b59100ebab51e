"""Refines a corpus with Spark: python refine_with_spark.py INPUT.parquet OUT_DIR [--partitions N]

Runs on this machine, where the second number of local[3,4] is how often a task may fail; spark-submit takes it to a cluster.
"""

import argparse

from pyspark.sql import SparkSession

import gristmill.spark

parser = argparse.ArgumentParser()
parser.add_argument("input")
parser.add_argument("out")
parser.add_argument("--partitions", type=int, default=3)
arguments = parser.parse_args()

spark = (
    SparkSession.builder.appName("gristmill")
    .master(f"local[{arguments.partitions},4]")
    .config("spark.ui.enabled", "false")
    .getOrCreate()
)
corpus = spark.read.parquet(arguments.input).repartition(arguments.partitions)
gristmill.spark.refine(corpus).write.mode("overwrite").parquet(arguments.out)
spark.stop()
