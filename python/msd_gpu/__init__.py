"""Mixed-Scale Dense networks (Pelt & Sethian 2018) for images in NumPy arrays, on any GPU or a plain CPU.

    import msd_gpu

    model = msd_gpu.train(images, labels, task="segment", max_minutes=5)
    model.save("model.safetensors")
    classes = msd_gpu.Model.load("model.safetensors").predict(stack)

Images are arrays (y, x) or (c, y, x) of float32, float64, uint8 or uint16, in their own units: normalisation is part of
the model. What the program cannot use is a ValueError, a device that fails or training that goes astray a RuntimeError,
and an array of another kind a TypeError, each with one sentence that says what to do. Messages of a run go to the logger
``msd_gpu`` of the standard library.
"""

from ._native import Model, __version__, devices, train

__all__ = ["Model", "__version__", "devices", "train"]
