"""Networks over dask arrays, block by block: on one machine, or on the workers of a cluster.

    import dask.array as da
    import msd_gpu.dask

    stack = da.from_zarr("stack.zarr")
    msd_gpu.dask.predict(stack, "model.safetensors").to_zarr("segmented.zarr")

It needs dask (pip install "dask[array]"), which ``import msd_gpu`` alone does not.
"""

from __future__ import annotations

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

try:
    import dask.array as da
    from dask.array.overlap import overlap, trim_overlap
    from dask.base import tokenize
    from dask.delayed import delayed
except ImportError as error:
    raise ImportError(f'msd_gpu.dask needs dask, which is not here ({error}); pip install "dask[array]"') from error

from . import Ensemble, Model

__all__ = ["predict"]


def predict(
    array: da.Array,
    model: Model | Ensemble | str | os.PathLike[str],
    *,
    probabilities: bool = False,
    rescale: str | None = None,
    device: str | Callable[[], str] | None = None,
    halo: int | Literal["exact"] = "exact",
) -> da.Array:
    """Applies a network to a dask array. Gives a dask array of what model.predict gives for the whole, in the same chunks of images, rows
    and columns; nothing is computed yet.

    Each block is computed together with the pixels around it that count. Each process that computes blocks opens the model once for all of
    them. On the CPU the result is that of model.predict to the last bit.

    array: integers, floating-point numbers or booleans, with the axes of Model.predict: (y, x) or (n, y, x) for models of one channel,
    (c, y, x) or (n, c, y, x) for others. Blocks of fewer rows or columns than count around each (see Model.halo) are joined while they are computed;
    blocks of several times as many are best. So are those of different channels.
    model: a Model, an Ensemble, or the path of a model, which is read here and sent to the workers.
    probabilities, rescale: as in Model.predict. With rescale, and for a model that normalises each image by itself, something is measured
    over each image, so all blocks of an image are joined.
    device: where the workers compute, as in Model.load; or a function without arguments that gives it, which is called in each worker. On
    a machine with four GPUs, device=lambda: f"gpu:{distributed.get_worker().name % 4}" gives each of four workers its own, where their names are
    numbers. By default a path is opened on "auto", and a Model or an Ensemble where it was asked to be when it was opened.
    halo: pixels around each block that it is computed with: "exact" for all that count, or a number. Fewer are quicker, and change what is near
    the edges of blocks; Model.apply logs how many are enough for an image.

    Processes that compute on the CPU of the same machine should share its cores: with distributed, set RAYON_NUM_THREADS in the configuration
    "distributed.nanny.pre-spawn-environ" before the workers start.

    Raises TypeError and ValueError as Model.predict does, where that can be known without computing; ValueError for chunks of unknown
    sizes and for masked arrays. What goes wrong in a block is raised when it is computed.
    """
    if not isinstance(array, da.Array):
        way_out = "make one of it with dask.array.from_array, or give it to model.predict"
        raise TypeError(f"array is {_type_of(array)}; wanted a dask array, {way_out}")
    if not (device is None or isinstance(device, str) or callable(device)):
        raise TypeError(f"device is {device!r}, {_type_of(device)}; wanted a str, or a function that gives one")
    if isinstance(model, (str, os.PathLike)):
        # Here it is only asked what it gives: this machine may lack the devices that workers have.
        opened: Model | Ensemble = Model.load(model, device="cpu")
        device = "auto" if device is None else device
    elif isinstance(model, (Model, Ensemble)):
        opened = model
    else:
        raise TypeError(f"model is {_type_of(model)}; wanted a Model, an Ensemble, or a path as str or os.PathLike")
    _check_numbers(array)
    options: dict[str, Any] = {"probabilities": probabilities, **({} if rescale is None else {"rescale": rescale})}
    sent = _Sent(opened, device, options)
    if sent.is_of_volumes:
        way_out = "apply it to files with Model.apply, or to a volume in memory with Model.predict"
        raise ValueError(f"model is a network of volumes, whose slices see those of other blocks; wanted one of images, {way_out}")
    example = _example(array, opened, sent.normalisations[0], options)

    # Axes in front of rows and columns: images, and then channels, which may be others in the result.
    images = array.chunks[: 1 if array.ndim == 4 or (array.ndim == 3 and opened.inputs == 1) else 0]
    channels = tuple((size,) for size in array.shape[len(images) : -2])
    found_channels = tuple((size,) for size in example.shape[len(images) : -2])
    rows_and_columns = array.chunks[-2:]

    pixels = _pixels_around(halo, opened.halo)
    whole_images = rescale is not None or any("per_image" in normalisation for normalisation in sent.normalisations)
    joined: list[tuple[int, ...]] = [(sum(s),) if whole_images else _joined(s, pixels) for s in rows_and_columns]
    blocks = overlap(array.rechunk((*images, *channels, *joined)), _depth(array.ndim, joined, pixels), "none", allow_rechunk=False)
    found = da.map_blocks(
        _predict_block,
        blocks,
        # A value of its own in the graph: a worker is sent it once, not with each block.
        sent=delayed(sent, name=f"msd_gpu-model-{tokenize(sent)}", traverse=False),
        chunks=images + found_channels + blocks.chunks[-2:],
        drop_axis=[len(images) + axis for axis in range(len(channels))],
        new_axis=[len(images) + axis for axis in range(len(found_channels))],
        dtype=example.dtype,
        meta=np.empty((0,) * example.ndim, example.dtype),
        token="msd_gpu-predict",
    )
    found = trim_overlap(found, _depth(example.ndim, joined, pixels), "none")
    return cast(da.Array, found.rechunk(images + found_channels + rows_and_columns))


class _Sent:
    """A model that is sent to workers, and what is wanted of it."""

    def __init__(self, model: Model | Ensemble, device: str | Callable[[], str] | None, options: dict[str, Any]) -> None:
        parts: Any = model.__reduce__()
        function, arguments = parts
        # The device is one of the arguments; what a training has seen, which may be long, is not needed.
        self.parts: Any
        if isinstance(model, Model):
            contents, own_device, tile, _ = arguments
            self.parts, models = (function, (contents,), (tile, "")), [contents]
        else:
            named, tta, own_device, tile = arguments
            self.parts, models = (function, (named, tta), (tile,)), [contents for _, contents in named]
        self.normalisations = [_said_of(contents, "input") for contents in models]
        self.is_of_volumes = any(_said_of(contents, "architecture").get("dimensions") == 3 for contents in models)
        self.device = own_device if device is None else device
        self.options = options
        self.key = tokenize(self.parts)
        # In this process it is open already.
        self.opened = model if self.device == own_device else None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "opened": None}

    def __dask_tokenize__(self) -> Any:
        return self.key, self.device, self.options

    def open(self) -> Model | Ensemble:
        """The model in this process, which opens it once for each device."""
        if self.opened is not None:
            return self.opened
        device = self.device() if callable(self.device) else self.device
        if not isinstance(device, str):
            raise TypeError(f"the function for device gives {device!r}, {_type_of(device)}; wanted a str")
        place = self.key, device
        # Other threads that want the same model wait until it is open.
        with _opening:
            if place not in _open:
                function, before, after = self.parts
                _open[place] = function(*before, device, *after)
            _open.move_to_end(place)
            while len(_open) > _MOST_OPEN:
                _open.popitem(last=False)
            return _open[place]


# The models that this process has opened for workers, the latest last. A worker may live for long: those that it has not used for the
# longest time give their memory back.
_open: OrderedDict[tuple[str, str], Model | Ensemble] = OrderedDict()
_opening = threading.Lock()
_MOST_OPEN = 4


def _forget_the_lock() -> None:
    """In a process that was forked while another thread had the lock, nobody would give it back."""
    global _opening
    _opening = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_the_lock)


def _predict_block(block: Any, sent: _Sent) -> NDArray[Any]:
    if isinstance(block, np.ma.MaskedArray):
        raise ValueError(_MASKED)
    return sent.open().predict(block, **sent.options)


_MASKED = (
    "array is masked, and masked pixels are filled with the mean of their whole image, which blocks do not know;"
    " fill them before, as dask.array.ma.filled does"
)


def _check_numbers(array: da.Array) -> None:
    if isinstance(array._meta, np.ma.MaskedArray):
        raise ValueError(_MASKED)
    if array.dtype.kind not in "biuf":
        wanted = "integers, floating-point numbers or booleans, convert it with .astype"
        raise TypeError(f"array is an array of {array.dtype}; wanted {wanted}")
    if any(np.isnan(size) for sizes in array.chunks for size in sizes):
        raise ValueError("array has chunks of unknown sizes; wanted known ones, call array.compute_chunk_sizes()")


def _example(array: da.Array, model: Model | Ensemble, normalisation: dict[str, Any], options: dict[str, Any]) -> NDArray[Any]:
    """What the model gives for a few pixels in the axes of `array`: so axes, types and refusals are those of predict."""
    if array.ndim not in (2, 3, 4) or 0 in array.shape:
        # It is refused before a number of it is read.
        return model.predict(np.broadcast_to(np.zeros((), array.dtype), array.shape), **options)
    *before, _, columns = array.shape
    if array.ndim == 4 or (array.ndim == 3 and model.inputs == 1):
        before[0] = 1
    # Columns that are as many as channels are taken for these: so they are here where they are there.
    pixels = np.zeros((*before, 1, min(columns, model.inputs + 1)), np.float32)
    # Pixels that are usual for the model, as it would warn of others.
    mean = np.reshape(normalisation.get("mean", [0.0] * model.inputs), (-1, 1, 1))
    if pixels[..., 0].size == len(mean):
        pixels.reshape(len(mean), 1, -1)[:] = mean
    return model.predict(pixels, **options)


def _said_of(contents: bytes, what: str) -> dict[str, Any]:
    """What a model file says of its "architecture", or of its "input": how it normalises images. It is a safetensors file: the length
    of its header, and the header as JSON."""
    end = 8 + int.from_bytes(contents[:8], "little")
    return cast("dict[str, Any]", json.loads(json.loads(contents[8:end])["__metadata__"][what]))


def _pixels_around(halo: int | str, all_that_count: int) -> int:
    if halo == "exact":
        return all_that_count
    if isinstance(halo, (str, bool)) or not isinstance(halo, (int, np.integer)) or halo < 0:
        kind = ValueError if isinstance(halo, (str, int, np.integer)) and not isinstance(halo, bool) else TypeError
        raise kind(f'halo is {halo!r}; wanted "exact", or a number of pixels from 0')
    return min(int(halo), all_that_count)


def _joined(sizes: tuple[int, ...], least: int) -> tuple[int, ...]:
    """Sizes of neighbouring chunks added up, until each is at least `least`, or all are one."""
    joined = [0]
    for size in sizes:
        if joined[-1] >= max(least, 1):
            joined.append(0)
        joined[-1] += size
    if len(joined) > 1 and joined[-1] < least:
        joined[-2:] = [sum(joined[-2:])]
    return tuple(joined)


def _depth(axes: int, chunks: list[tuple[int, ...]], pixels: int) -> dict[int, int]:
    """How far blocks reach into their neighbours along each axis, of which rows and columns are the last; a single block has none."""
    reach = [pixels if len(sizes) > 1 else 0 for sizes in chunks]
    return {axis: 0 for axis in range(axes)} | {axes - 2: reach[0], axes - 1: reach[1]}


def _type_of(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
