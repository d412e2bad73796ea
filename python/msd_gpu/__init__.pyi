import os
import pathlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, Protocol, TypedDict, TypeVar, final, overload

import numpy as np
from numpy.typing import NDArray

__version__: str

Array = NDArray[np.integer[Any] | np.floating[Any] | np.bool_]
Arrays = Iterable[Array] | Array
Progress = Callable[[int, float, float, dict[str, float]], object]
FileProgress = Callable[[int, int, float, str], object]
Path = str | os.PathLike[str]

class _ArrayLike(Protocol):
    """What is read slice by slice, such as a dataset of h5py or an array of zarr or dask."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __getitem__(self, key: Any, /) -> Any: ...

class _WritableArrayLike(_ArrayLike, Protocol):
    """What results can be written into, slice by slice."""

    def __setitem__(self, key: Any, value: Any, /) -> None: ...

_Out = TypeVar("_Out", bound=_WritableArrayLike)

@final
class Model:
    @staticmethod
    def load(path: Path, *, device: str = "auto", tile: int | None = None) -> Model: ...
    def save(self, path: Path) -> None: ...
    def export(self, path: Path, format: Literal["onnx", "torch"]) -> None: ...
    @overload
    def predict(
        self, array: Array | _ArrayLike, *, probabilities: bool = False, rescale: str | None = None, out: _Out
    ) -> _Out: ...
    @overload
    def predict(
        self, array: Array | _ArrayLike, *, probabilities: bool = False, rescale: str | None = None, out: None = None
    ) -> NDArray[Any]: ...
    def apply(
        self,
        input: Path | Sequence[Path],
        out: Path,
        *,
        probabilities: bool = False,
        overlay: bool = False,
        uncertainty: bool = False,
        pages: bool = False,
        format: Literal["tiff", "zarr", "hdf5", "npy", "mrc", "nifti"] | None = None,
        ome: Literal["0.5", "0.4"] = "0.5",
        halo: int | Literal["exact", "auto"] | None = None,
        memory: int | str | None = None,
        resume: bool = False,
        part: str | None = None,
        keep_going: bool = False,
        axes: str | None = None,
        channel: int | None = None,
        slices: str | None = None,
        level: int = 0,
        raw: str | None = None,
        rescale: str | None = None,
        progress: FileProgress | None = None,
    ) -> list[pathlib.Path]: ...
    def evaluate(
        self,
        images: Arrays,
        targets: Arrays,
        *,
        weights: Arrays | None = None,
        ignore: int | None = None,
        threshold: int | None = None,
        classes: str | None = None,
        data_range: float | None = None,
        ssim_window: Literal["uniform", "gaussian"] | None = None,
        circle: bool = False,
        rescale: str | None = None,
    ) -> dict[str, Any]: ...
    @property
    def task(self) -> Literal["segment", "regress"]: ...
    @property
    def inputs(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    @property
    def halo(self) -> int: ...
    @property
    def classes(self) -> list[tuple[int, str]]: ...
    @property
    def provenance(self) -> dict[str, str]: ...
    @property
    def history(self) -> list[dict[str, float]]: ...
    @property
    def device(self) -> str: ...

@final
class Ensemble:
    def __init__(
        self,
        models: Iterable[Model | Path],
        *,
        tta: bool = False,
        device: str | None = None,
        tile: int | None = None,
    ) -> None: ...
    @overload
    def predict(
        self, array: Array | _ArrayLike, *, probabilities: bool = False, rescale: str | None = None, out: _Out
    ) -> _Out: ...
    @overload
    def predict(
        self, array: Array | _ArrayLike, *, probabilities: bool = False, rescale: str | None = None, out: None = None
    ) -> NDArray[Any]: ...
    def apply(
        self,
        input: Path | Sequence[Path],
        out: Path,
        *,
        probabilities: bool = False,
        overlay: bool = False,
        uncertainty: bool = False,
        pages: bool = False,
        format: Literal["tiff", "zarr", "hdf5", "npy", "mrc", "nifti"] | None = None,
        ome: Literal["0.5", "0.4"] = "0.5",
        halo: int | Literal["exact", "auto"] | None = None,
        memory: int | str | None = None,
        resume: bool = False,
        part: str | None = None,
        keep_going: bool = False,
        axes: str | None = None,
        channel: int | None = None,
        slices: str | None = None,
        level: int = 0,
        raw: str | None = None,
        rescale: str | None = None,
        progress: FileProgress | None = None,
    ) -> list[pathlib.Path]: ...
    def uncertainty(self, array: Array | _ArrayLike, *, rescale: str | None = None) -> dict[str, NDArray[np.float32]]: ...
    def evaluate(
        self,
        images: Arrays,
        targets: Arrays,
        *,
        weights: Arrays | None = None,
        ignore: int | None = None,
        threshold: int | None = None,
        classes: str | None = None,
        data_range: float | None = None,
        ssim_window: Literal["uniform", "gaussian"] | None = None,
        circle: bool = False,
        rescale: str | None = None,
    ) -> dict[str, Any]: ...
    @property
    def task(self) -> Literal["segment", "regress"]: ...
    @property
    def inputs(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    @property
    def halo(self) -> int: ...
    @property
    def classes(self) -> list[tuple[int, str]]: ...
    @property
    def tta(self) -> bool: ...
    @property
    def device(self) -> str: ...
    def __len__(self) -> int: ...

class TrainingInterrupted(KeyboardInterrupt):
    model: Model | None

# Parts of the settings, from the library's list.
class _Optimisation(TypedDict, total=False):
    loss: str
    optimizer: Literal["adam", "adamw"]
    weight_decay: float
    clip_norm: float
    ema: float
    schedule: Literal["constant", "cosine", "step", "plateau"]
    warmup_steps: int
    lr_steps: int
    lr_factor: float
    lr_patience: int

class _Augmentation(TypedDict, total=False):
    rotate: float
    scale: float
    elastic: float
    blur: float
    contrast: float
    brightness: float
    gamma: float
    poisson: float
    noise: float

# End of the parts.

def devices() -> list[str]: ...
def evaluate(
    models: Model | Ensemble | Iterable[Model | Path],
    images: Arrays,
    targets: Arrays,
    *,
    weights: Arrays | None = None,
    ignore: int | None = None,
    threshold: int | None = None,
    classes: str | None = None,
    data_range: float | None = None,
    ssim_window: Literal["uniform", "gaussian"] | None = None,
    circle: bool = False,
    rescale: str | None = None,
) -> dict[str, Any]: ...
def train(
    images: Arrays,
    targets: Arrays,
    *,
    task: Literal["segment", "regress"] | None = None,
    weights: Arrays | None = None,
    val_images: Arrays | None = None,
    val_targets: Arrays | None = None,
    val_weights: Arrays | None = None,
    out: Path | None = None,
    resume: Path | None = None,
    progress: Progress | None = None,
    verbose: bool = False,
    # Settings, from the library's list.
    val_fraction: float = ...,
    ignore: int = ...,
    threshold: int = ...,
    classes: str = ...,
    colours: str = ...,
    class_names: str = ...,
    class_weights: str = ...,
    init: Path = ...,
    freeze: int = ...,
    normalise: str = ...,
    normalise_per_image: bool = ...,
    dimensions: int = ...,
    depth: int = ...,
    width: int = ...,
    dilations: str = ...,
    dilations_z: str = ...,
    voxel_size: str = ...,
    boundary: Literal["reflect", "symmetric", "zeros"] = ...,
    stem: str = ...,
    mixing_start: Literal["auto", "fitted", "zero"] = ...,
    class_shares: Literal["auto", "images", "labels"] = ...,
    batch: int = ...,
    crop: int = ...,
    symmetries: Literal["all", "keep-z", "horizontal", "vertical", "rotations", "none"] = ...,
    favour_rare: float = ...,
    favour_labelled: float = ...,
    lr: float = ...,
    max_epochs: int = ...,
    max_minutes: float = ...,
    max_steps: int = ...,
    patience: int = ...,
    validate_every: int = ...,
    seed: int = ...,
    device: str = ...,
    precision: Literal["full", "half"] = ...,
    tensorboard: bool = ...,
    monitor: Literal["loss", "iou", "dice", "accuracy", "psnr", "ssim"] = ...,
    optimisation: _Optimisation = ...,
    augmentation: _Augmentation = ...,
    # End of the settings.
) -> Model: ...
