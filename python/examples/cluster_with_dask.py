"""Segments a stack on the workers of a dask cluster: here two processes of this machine, elsewhere those of a batch system.

Workers read their blocks and write their results themselves, each chunk of the result by one of them.
"""

import dask
import dask.array as da
import msd_gpu
import msd_gpu.dask
import numpy as np
from distributed import Client, LocalCluster


def main() -> None:
    stack = da.from_zarr("stack.zarr")  # (n, y, x), where all workers see it
    labels = np.load("labels.npy")  # (k, y, x): labels of the first k slices

    model = msd_gpu.train(stack[: len(labels)].compute(), labels, task="segment", max_minutes=10, verbose=True)
    found = msd_gpu.dask.predict(stack, model)  # on several GPUs: device=lambda: f"gpu:{get_worker().name}"

    # Workers on the processor share its cores; for workers with a GPU each this is not needed.
    dask.config.set({"distributed.nanny.pre-spawn-environ": {"RAYON_NUM_THREADS": 1}})
    # Of a cluster with Slurm it is dask_jobqueue.SLURMCluster.
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, Client(cluster):
        found.to_zarr("segmented.zarr")  # what model.predict(stack) gives


# Workers import this file, and must not start workers themselves.
if __name__ == "__main__":
    main()
