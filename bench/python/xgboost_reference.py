"""Fits the targets of a job file with xgboost: contender for speed, independent implementation for accuracy.

Reads JOB.json and JOB.bin (float64: weights [runs x domains], losses [targets x runs], unseen weights, little-endian);
prints one JSON object with wall and CPU seconds of all fits and the predictions for the unseen mixtures. Grows leaf by
leaf over histograms under the settings of the job, on one thread: with more its barriers spin.
"""

import json
import sys
import time

import numpy as np
import xgboost


def main():
    base = sys.argv[1]
    with open(base + ".json", encoding="utf-8") as file:
        job = json.load(file)
    values = np.fromfile(base + ".bin", dtype="<f8")
    n_runs, n_domains, n_targets = job["nRuns"], job["nDomains"], job["nTargets"]
    weights = values[: n_runs * n_domains].reshape(n_runs, n_domains)
    losses = values[n_runs * n_domains :][: n_runs * n_targets].reshape(n_targets, n_runs)
    unseen = xgboost.DMatrix(values[n_runs * (n_domains + n_targets) :].reshape(-1, n_domains))
    boosters = []
    wall, cpu = time.perf_counter(), time.process_time()
    for target in losses:
        options = {
            "objective": "reg:squarederror",
            "tree_method": "hist",
            "grow_policy": "lossguide",
            "max_depth": 0,
            "max_leaves": job["nLeaves"],
            "min_child_weight": job["minLeaf"],
            "max_bin": job["maxBins"],
            "eta": job["learningRate"],
            "reg_lambda": 0,
            "base_score": float(target.mean()),
            "nthread": 1,
            "verbosity": 0,
        }
        data = xgboost.DMatrix(weights, label=target, nthread=1)
        boosters.append(xgboost.train(options, data, job["nRounds"]))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    predictions = [booster.predict(unseen).tolist() for booster in boosters]
    result = {"version": xgboost.__version__, "wall": wall, "cpu": cpu, "predictions": predictions}
    json.dump(result, sys.stdout)


main()
