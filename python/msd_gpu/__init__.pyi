import os
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypedDict, final

import numpy as np
from numpy.typing import NDArray

__version__: str

Array = NDArray[np.integer[Any] | np.floating[Any] | np.bool_]
Arrays = Iterable[Array] | Array
Progress = Callable[[int, float, float, dict[str, float]], object]
Path = str | os.PathLike[str]

@final
class Model:
    @staticmethod
    def load(path: Path, *, device: str = "auto", tile: int | None = None) -> Model: ...
    def save(self, path: Path) -> None: ...
    def export(self, path: Path, format: Literal["onnx", "torch"]) -> None: ...
    def predict(self, array: Array, *, probabilities: bool = False, rescale: str | None = None) -> NDArray[Any]: ...
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
        rescale: str | None = None,
    ) -> dict[str, Any]: ...
    @property
    def task(self) -> Literal["segment", "regress"]: ...
    @property
    def inputs(self) -> int: ...
    @property
    def outputs(self) -> int: ...
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
    def predict(self, array: Array, *, probabilities: bool = False, rescale: str | None = None) -> NDArray[Any]: ...
    def uncertainty(self, array: Array, *, rescale: str | None = None) -> dict[str, NDArray[np.float32]]: ...
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
        rescale: str | None = None,
    ) -> dict[str, Any]: ...
    @property
    def task(self) -> Literal["segment", "regress"]: ...
    @property
    def inputs(self) -> int: ...
    @property
    def outputs(self) -> int: ...
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
    depth: int = ...,
    width: int = ...,
    dilations: str = ...,
    boundary: Literal["reflect", "symmetric", "zeros"] = ...,
    batch: int = ...,
    crop: int = ...,
    symmetries: Literal["all", "horizontal", "vertical", "rotations", "none"] = ...,
    favour_rare: float = ...,
    lr: float = ...,
    max_epochs: int = ...,
    max_minutes: float = ...,
    max_steps: int = ...,
    patience: int = ...,
    validate_every: int = ...,
    seed: int = ...,
    device: str = ...,
    tensorboard: bool = ...,
    monitor: Literal["loss", "iou", "dice", "accuracy", "psnr", "ssim"] = ...,
    optimisation: _Optimisation = ...,
    augmentation: _Augmentation = ...,
    # End of the settings.
) -> Model: ...
