"""Mixed-Scale Dense networks (Pelt & Sethian 2018) for images in NumPy arrays, on any GPU or a plain CPU.

    import msd_gpu

    model = msd_gpu.train(images, labels, task="segment", max_minutes=5)
    model.save("model.safetensors")
    classes = msd_gpu.Model.load("model.safetensors").predict(stack)

Images are arrays (y, x) or (c, y, x) of numbers of any type, in their own units: normalisation is part of the model.
``predict`` reads what has a shape, a dtype and slicing, such as datasets of h5py and arrays of zarr and dask, slice by slice, and
writes into such an array with ``out``; ``apply`` goes from files to files.
``evaluate`` scores models against targets, and ``Ensemble`` takes the mean of several, or of all flips and rotations.

What cannot be used is a ValueError, a value of another type or an unknown keyword a TypeError, a file that cannot be read or
written a FileNotFoundError or another OSError, and a device that fails or training that goes astray a RuntimeError, each with
one sentence that says what to do. Messages of a run, and a line for each epoch, go to the logger ``msd_gpu`` of the standard
library.

Threads may share models. Models can be pickled, so processes may have copies of them; processes that are started by a fork
must be the only ones that use msd_gpu: with multiprocessing, take ``multiprocessing.get_context("spawn")``.
"""

from ._native import Ensemble, Model, TrainingInterrupted, __version__, devices, evaluate, train

__all__ = ["Ensemble", "Model", "TrainingInterrupted", "__version__", "devices", "evaluate", "train"]


# What pickle calls: it finds functions by the name of their module.
def _restore_model(*parts):
    return Model._restore(*parts)


def _restore_ensemble(*parts):
    return Ensemble._restore(*parts)
