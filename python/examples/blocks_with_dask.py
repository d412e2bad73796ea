"""Segments a stack block by block with dask, as a part of a larger pipeline: each block comes with the pixels around it that count."""

import dask.array as da
import msd_gpu
import msd_gpu.dask
import numpy as np

stack = np.load("stack.npy", mmap_mode="r")  # (n, y, x); it is not read as a whole
labels = np.load("labels.npy")  # (k, y, x): labels of the first k slices

model = msd_gpu.train(stack[: len(labels)], labels, task="segment", max_minutes=10, verbose=True)

blocks = da.from_array(stack, chunks=(1, 512, 512))
found = msd_gpu.dask.predict(blocks, model)
np.save("segmented.npy", found.compute())  # what model.predict(stack) gives
