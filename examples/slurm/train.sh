#!/usr/bin/env bash
# Trains on all GPUs of two nodes, for longer than one job may take: sbatch train.sh
#
# Slurm sends SIGUSR1 two minutes before the time is over; msd-gpu then saves the run and ends with 138 (143 after SIGTERM). The job is
# put back into the queue, and the next one goes on where this one ended.
#SBATCH --job-name=msd-train
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -u

# Whether the GPU works, and what is missing where it does not.
srun --ntasks-per-node=1 msd-gpu doctor --seconds 10 || exit 1

# Which interface for MPI there is says: srun --mpi=list
srun --mpi="${MPI_INTERFACE:-pmix}" msd-gpu train segment --images "${IMAGES:-images}" --targets "${TARGETS:-labels}" \
  --val-fraction 0.2 --batch "${BATCH:-16}" --max-minutes "${MINUTES:-600}" --out "${RUN:-run}" --resume auto
code=$?
case $code in
  138 | 143) scontrol requeue "$SLURM_JOB_ID" ;;
esac
exit $code
