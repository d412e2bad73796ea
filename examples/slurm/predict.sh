#!/usr/bin/env bash
# Applies a model to a volume by sixteen jobs: sbatch predict.sh
#
# Each job has one share of the slices, which are files of their own in OME-Zarr; the last one to end gives the result its name. A job that was
# stopped, or is started again, goes on with its share.
# When all have ended, say what is missing: msd-gpu predict --model run VOLUME --out RESULT --verify
#SBATCH --job-name=msd-predict
#SBATCH --array=0-15
#SBATCH --gpus=1
#SBATCH --cpus-per-task=8
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --output=%x-%A-%a.log
set -eu

# Whether the GPU works, and what is missing where it does not.
msd-gpu doctor --seconds 10

exec msd-gpu predict --model "${RUN:-run}" "${VOLUME:-volume.ome.zarr}" --out "${RESULT:-result.ome.zarr}" --resume
