"""Fits the targets of a job file with xgboost or LightGBM: contender for speed, independent implementation for accuracy.

    gbdt_reference.py JOB xgboost|lightgbm THREADS

Reads JOB.json and JOB.bin (float64: weights [runs x domains], losses [targets x runs], unseen weights, little-endian);
prints one JSON object with wall and CPU seconds of all fits and the predictions for the unseen mixtures. Both grow leaf
by leaf over histograms under the settings of the job; a bin holds as few runs as one, as ours do.
"""

import json
import sys
import time

import numpy as np


def with_xgboost(job, threads):
    import xgboost

    def fit(weights, target):
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
            "nthread": threads,
            "verbosity": 0,
        }
        data = xgboost.DMatrix(weights, label=target, nthread=threads)
        booster = xgboost.train(options, data, job["nRounds"])
        return lambda unseen: booster.predict(xgboost.DMatrix(unseen))

    return xgboost.__version__, fit


def with_lightgbm(job, threads):
    import lightgbm

    def fit(weights, target):
        options = {
            "objective": "regression",
            "num_leaves": job["nLeaves"],
            "min_data_in_leaf": job["minLeaf"],
            "max_bin": job["maxBins"],
            "learning_rate": job["learningRate"],
            "min_data_in_bin": 1,
            "min_sum_hessian_in_leaf": 0,
            "lambda_l2": 0,
            # The faster layout at these sizes; otherwise it tries both at every fit.
            "force_row_wise": True,
            "num_threads": threads,
            "verbosity": -1,
        }
        data = lightgbm.Dataset(weights, label=target, params=options)
        return lightgbm.train(options, data, job["nRounds"]).predict

    return lightgbm.__version__, fit


def main():
    base, contender, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    with open(base + ".json", encoding="utf-8") as file:
        job = json.load(file)
    version, fit = {"xgboost": with_xgboost, "lightgbm": with_lightgbm}[contender](job, threads)
    values = np.fromfile(base + ".bin", dtype="<f8")
    n_runs, n_domains, n_targets = job["nRuns"], job["nDomains"], job["nTargets"]
    weights = values[: n_runs * n_domains].reshape(n_runs, n_domains)
    losses = values[n_runs * n_domains :][: n_runs * n_targets].reshape(n_targets, n_runs)
    unseen = values[n_runs * (n_domains + n_targets) :].reshape(-1, n_domains)
    wall, cpu = time.perf_counter(), time.process_time()
    fits = [fit(weights, target) for target in losses]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    predictions = [predict(unseen).tolist() for predict in fits]
    json.dump({"version": version, "wall": wall, "cpu": cpu, "predictions": predictions}, sys.stdout)


main()
