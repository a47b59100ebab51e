#!/usr/bin/env bash
# Refine, tokenize, mix and continue as one chain. From the repository's root (minutes on two idle cores):
#
#     bash examples/chain/run.sh
#
# Everything goes to chain/. Interrupt or kill it and run it again: it goes on, to the same bytes.
set -euo pipefail
GRISTMILL=${GRISTMILL:-npx gristmill}
[ -e chain/data/garden.jsonl ] || node examples/chain/make-corpora.mjs chain/data 400
$GRISTMILL run examples/chain/chain.yaml --out chain/out
