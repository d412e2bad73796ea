"""Learns to segment a stack from a few of its slices, and applies that to all of them."""

import msd_gpu
import numpy as np

stack = np.load("stack.npy")  # (n, y, x), integers or floating-point numbers
labels = np.load("labels.npy")  # (k, y, x): labels of the first k slices, 255 where nobody labelled

model = msd_gpu.train(
    stack[: len(labels)], labels, task="segment", ignore=255, val_fraction=0.2, max_minutes=10, verbose=True
)
model.save("model.safetensors")
np.save("segmented.npy", model.predict(stack))  # (n, y, x), in the labels' values
