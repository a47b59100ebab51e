#!/usr/bin/env bash
# A continued pre-training with and without replay: plan, then run. From the repository's root (a minute on two cores):
#
#     bash examples/continual/run.sh
#
# OUT is the folder of everything that comes out. Interrupt it and run it again: it goes on.
set -euo pipefail
OUT=${OUT:-continual}
GRISTMILL=${GRISTMILL:-npx gristmill}
mkdir -p "$OUT"

echo '== plan: counts, learning rates and data of every stage, nothing is trained'
$GRISTMILL continue plan examples/continual/plan.yaml --svg "$OUT/plan.svg" --png "$OUT/plan.png"

echo '== run: tokens, then stage after stage'
$GRISTMILL continue run examples/continual/plan.yaml --out "$OUT/run"
