import os
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict, final

import numpy as np
from numpy.typing import NDArray

__version__: str

Image = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.uint8] | NDArray[np.uint16]
Labels = NDArray[np.integer[Any]] | NDArray[np.bool_]
Progress = Callable[[int, float, float, dict[str, float]], object]
Path = str | os.PathLike[str]

@final
class Model:
    @staticmethod
    def load(path: Path, *, device: str = "auto", tile: int | None = None) -> Model: ...
    def save(self, path: Path) -> None: ...
    def predict(self, array: Image, *, probabilities: bool = False) -> NDArray[Any]: ...
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
    def device(self) -> str: ...

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
def train(
    images: Sequence[Image] | Image,
    targets: Sequence[Image | Labels] | Image | Labels,
    *,
    task: Literal["segment", "regress"],
    weights: Sequence[Image] | Image | None = None,
    val_images: Sequence[Image] | Image | None = None,
    val_targets: Sequence[Image | Labels] | Image | Labels | None = None,
    val_weights: Sequence[Image] | Image | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
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
