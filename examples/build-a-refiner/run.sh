#!/usr/bin/env bash
# A refiner from labelled pages, end to end: annotate, train, evaluate, refine. From the repository's root:
#
#     bash examples/build-a-refiner/run.sh
#
# OUT is the folder of everything that comes out, CONFIG the training configuration; train.yaml reads from refiner/.
set -euo pipefail
OUT=${OUT:-refiner}
CONFIG=${CONFIG:-examples/build-a-refiner/train.yaml}
mkdir -p "$OUT"

echo '== labelled pages'
node examples/build-a-refiner/gold.mjs > "$OUT/gold.jsonl"

echo '== annotate: windows and their programs, every one executed'
npx gristmill annotate chunks "$OUT/gold.jsonl" --way gold --validation 0.25 --out "$OUT/set"

echo '== evaluate: the model that the training starts from'
npx gristmill eval refiner --refiner models/default-programs.gguf --data "$OUT/set/chunks.parquet"

echo '== train: fine-tune it on the programs'
npx gristmill train "$CONFIG" --out "$OUT/model"

echo '== evaluate: the same windows, after training'
npx gristmill eval refiner --refiner "$OUT/model/model.gguf" --data "$OUT/set/chunks.parquet"

echo '== refine a corpus with it'
npx gristmill refine examples/corpus.parquet --stages chunk --chunk-model "$OUT/model/model.gguf" \
  --out "$OUT/refined" --id-column id --show 2
