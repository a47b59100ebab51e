#!/usr/bin/env bash
# A mixture of domains from proxies, end to end: tokenize, sample, train, fit, optimize, report, apply. From the repository's
# root (about a minute on two idle cores):
#
#     bash examples/mix/run.sh
#
# OUT is the folder of everything that comes out. Toy sizes: 32 proxies of 60 steps show the way, not the best mixture.
# Run it again and it goes on: a store that is whole and proxies that are finished are not made again.
set -euo pipefail
OUT=${OUT:-mix}
N=${N:-32}
STEPS=${STEPS:-60}
GRISTMILL=${GRISTMILL:-npx gristmill}
mkdir -p "$OUT"

echo '== tokenize: a domain for every kind of page, and a vocabulary of their own'
$GRISTMILL mix tokenize --domains examples/mix/domains.yaml --train-tokenizer 2048 --validation 0.2 --out "$OUT/store"

echo '== sample: the mixtures that proxies are trained on'
[ -e "$OUT/mixtures.csv" ] ||
  $GRISTMILL mix sample --domains "$OUT/store/domains.json" --preset space-filling --n "$N" --seed 1 --out "$OUT/mixtures.csv"

echo '== train: a proxy for each'
$GRISTMILL mix train --mixtures "$OUT/mixtures.csv" --store "$OUT/store" --preset tiny --steps "$STEPS" --eval-every 0 --out "$OUT/sweep"

echo '== fit: losses by mixture'
$GRISTMILL mix fit --mixtures "$OUT/mixtures.csv" --losses "$OUT/sweep/losses.csv" --out "$OUT/fit.json"

echo '== optimize: articles and maths are what shall be predicted well'
$GRISTMILL mix optimize "$OUT/fit.json" --targets article=1,maths=1 --inside --out "$OUT/mixture.json"

echo '== report'
$GRISTMILL mix report "$OUT/fit.json" --proposal "$OUT/mixture.json" --out "$OUT/report"

echo '== apply: a corpus with these shares, and the weights for a trainer'
rm -rf "$OUT/corpus"
$GRISTMILL mix apply "$OUT/mixture.json" --domains examples/mix/domains.yaml --rows 300 --max-epochs 20 --out "$OUT/corpus"
$GRISTMILL mix apply "$OUT/mixture.json" --export megatron --paths 'data/{domain}_text_document'
