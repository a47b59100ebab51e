#!/bin/bash
#SBATCH --job-name=gristmill
#SBATCH --array=0-2
#SBATCH --cpus-per-task=1
#SBATCH --requeue
#SBATCH --output=gristmill-%A-%a.log
# One worker of the array: its share follows from SLURM_ARRAY_TASK_ID and SLURM_ARRAY_TASK_COUNT.
# Arguments are more flags of refine. INPUT and OUT lie where every node sees them; GRISTMILL is the command (default: npx gristmill).
set -euo pipefail
exec ${GRISTMILL:-npx gristmill} refine "$INPUT" --out "$OUT" --worker env --threads "${SLURM_CPUS_PER_TASK:-1}" "$@"
