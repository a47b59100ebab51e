#!/bin/bash
#SBATCH --job-name=gristmill-finish
#SBATCH --output=gristmill-finish-%j.log
# After the array (--dependency=afterany): 0 when every unit is there, 3 when units are missing.
set -euo pipefail
exec ${GRISTMILL:-npx gristmill} cluster finish "$OUT"
