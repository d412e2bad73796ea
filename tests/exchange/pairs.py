"""What the scripts that compare share: the images and outputs that the test wrote."""

import json
import sys
from pathlib import Path

import numpy as np

TOLERANCE = 1e-5


def read(path):
    """The arrays of a safetensors file of float32 numbers."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    arrays = {}
    for name, tensor in header.items():
        first, last = tensor["data_offsets"]
        arrays[name] = np.frombuffer(data[start + first : start + last], np.float32).reshape(tensor["shape"])
    return arrays


def compare(run):
    """run(folder, case's images): outputs. Compares them with what the program gave, and fails beyond the tolerance."""
    count, worst = 0, 0.0
    for folder in sorted(Path(sys.argv[1]).glob("case*")):
        pairs = [(path.stem, read(path)) for path in sorted(folder.glob("*.pair"))]
        for (name, pair), output in zip(pairs, run(folder, [pair["image"] for _, pair in pairs])):
            wanted = pair["output"]
            assert output.shape == wanted.shape, f"{folder.name} {name}: {output.shape} for {wanted.shape}"
            apart = np.abs(output - wanted).max() / np.abs(wanted).max()
            assert apart < TOLERANCE, f"{folder.name} {name}: {apart:.1e} apart"
            count, worst = count + 1, max(worst, apart)
    print(f"{count} comparisons, at most {worst:.1e} apart")
