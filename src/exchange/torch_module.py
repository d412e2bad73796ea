"""A Mixed-Scale Dense network (Pelt & Sethian 2018) in PyTorch, as msd-gpu exported it. Needs only torch.

    network = MixedScaleDense()      # the weights lie beside this file
    values = network(images)         # [images, channels, y, x] in the images' own units; of volumes [images, channels, z, y, x]
    network.save("new.safetensors")  # after training: msd-gpu predict --model new.safetensors ...

A regression gives values in the units of its targets. A segmentation gives one output for each class, for
torch.nn.functional.cross_entropy; `probabilities` gives their softmax. Dilations may be larger than the image. `dimensions` is 2 for
networks of images and 3 for those of volumes.
"""

import json
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

WEIGHTS = Path(__file__).parent / WEIGHTS_FILE_NAME


class MixedScaleDense(nn.Module):
    def __init__(self, path=WEIGHTS):
        super().__init__()
        self.metadata, tensors = read(path)
        a = json.loads(self.metadata["architecture"])
        self.width, self.depth, self.boundary = a["width"], a["depth"], a["boundary"]
        self.dimensions = a.get("dimensions", 2)
        self.convolve = F.conv3d if self.dimensions == 3 else F.conv2d
        # The distances of a filter's taps along each axis: y and x, or z, y and x.
        along_x = self.cycle(a["dilations"], a["dilation_mode"])
        along_z = self.cycle(a.get("dilations_z") or a["dilations"], a["dilation_mode"])
        self.dilations = [(z, x, x)[-self.dimensions :] for z, x in zip(along_z, along_x)]
        self.margin = [max(distances) for distances in zip(*self.dilations)]
        self.scales = a.get("stem", [])
        before = a["inputs"] * (1 + 4 * len(self.scales))
        reads = [before + i * self.width for i in range(self.depth)]
        filters = tensors["filters"].split([self.width * n for n in reads])
        taps = [3] * self.dimensions
        self.filters = nn.ParameterList(f.reshape(self.width, n, *taps) for f, n in zip(filters, reads))
        self.biases = nn.Parameter(tensors["biases"])
        self.mix = nn.Parameter(tensors["mix"])
        self.output_biases = nn.Parameter(tensors["output_biases"])
        if self.scales:
            self.register_buffer("stem_changes", tensors["stem"])
        for side in ("input", "target"):
            scale = json.loads(self.metadata[side]) or {"mean": [0.0], "deviation": [1.0]}
            for name, numbers in scale.items():
                self.register_buffer(f"{side}_{name}", torch.tensor(numbers).reshape(-1, *[1] * self.dimensions))

    def cycle(self, numbers, mode):
        """One of the numbers for each channel that layers compute."""
        places = (h // self.width if mode == "layer" else h for h in range(self.width * self.depth))
        return [numbers[place % len(numbers)] for place in places]

    def forward(self, images):
        maps = (images - self.input_mean) * (1 / self.input_deviation)
        if self.scales:
            maps = torch.cat([maps, self.responses(maps)], 1)
        stack = self.pad(maps, self.margin)
        for i, filters in enumerate(self.filters):
            sums = [self.sums(stack, taps[None], i * self.width + j) for j, taps in enumerate(filters)]
            stack = torch.cat([stack, self.pad(F.relu(torch.cat(sums, 1)), self.margin)], 1)
        mix = self.mix.reshape(*self.mix.shape, *[1] * self.dimensions)
        outputs = self.convolve(self.cut(stack, [0] * self.dimensions), mix, self.output_biases)
        return outputs * self.target_deviation + self.target_mean

    def sums(self, stack, taps, hidden):
        """What the filters `taps` of one channel make of the maps before it, without margins."""
        distances = self.dilations[hidden]
        if distances[0] == 0:  # nothing is seen in the slices beside: the taps in the middle are all there are
            taps = taps[:, :, 1:2]
        dilation = [max(distance, 1) for distance in distances]
        return self.cut(self.convolve(stack, taps, self.biases[hidden, None], dilation=dilation), distances)

    def probabilities(self, images):
        return self(images).softmax(1)

    def responses(self, maps):
        """The fixed filters in front of the layers: of each channel and scale the smoothed image, the strength of the edge, and
        the eigenvalues of the Hessian."""
        found = []
        for plane in maps.split(1, 1):
            for s in self.scales:
                radius = -(-3 * round(100 * s) // 100)
                line = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / s) ** 2)
                line = (line / line.sum()).to(maps)
                rows = F.conv2d(self.pad(plane, [radius] * 2), line.reshape(1, 1, 1, -1))
                g = F.conv2d(rows, line.reshape(1, 1, -1, 1))
                p = self.pad(g, [1] * 2)
                at = lambda y, x: p[:, :, 1 + y : p.shape[2] - 1 + y, 1 + x : p.shape[3] - 1 + x]
                gx, gy = (at(0, 1) - at(0, -1)) / 2, (at(1, 0) - at(-1, 0)) / 2
                gxx, gyy = at(0, 1) - 2 * g + at(0, -1), at(1, 0) - 2 * g + at(-1, 0)
                gxy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
                mean, half = s * s * (gxx + gyy) / 2, s * s * torch.hypot((gxx - gyy) / 2, gxy)
                found += [g, s * torch.hypot(gx, gy), mean + half, mean - half]
        changes = self.stem_changes[:, :, None, None]
        return (torch.cat(found, 1) - changes[:, 0]) * changes[:, 1]

    def seen(self, n, margin, device):
        """The indices that are seen along an axis of n pixels with its margins."""
        places = torch.arange(-margin, n + margin, device=device)
        if self.boundary == "symmetric":
            return torch.minimum(places % (2 * n), 2 * n - 1 - places % (2 * n))
        period = max(2 * n - 2, 1)
        return torch.minimum(places % period, period - places % period)

    def pad(self, maps, margin):
        """The maps with margins, whose widths are one for each axis."""
        if self.boundary == "zeros":
            return F.pad(maps, [width for width in reversed(margin) for _ in range(2)])
        for axis, width in enumerate(margin, 2):
            maps = maps.index_select(axis, self.seen(maps.shape[axis], width, maps.device))
        return maps

    def cut(self, maps, distances):
        """The part without margins of what a convolution with taps at these distances made of padded maps."""
        for axis, (width, distance) in enumerate(zip(self.margin, distances), 2):
            maps = maps.narrow(axis, width - distance, maps.shape[axis] - 2 * (width - distance))
        return maps

    def save(self, path):
        """Writes a model file for msd-gpu."""
        filters = torch.cat([f.flatten(0, 1) for f in self.filters])
        parts = {"filters": filters, "biases": self.biases, "mix": self.mix, "output_biases": self.output_biases}
        if self.scales:
            parts["stem"] = self.stem_changes
        provenance = json.dumps(json.loads(self.metadata["provenance"]) | {"changed_in": "PyTorch"})
        header, data = {"__metadata__": self.metadata | {"provenance": provenance}}, b""
        for name, tensor in parts.items():
            numbers = tensor.detach().float().cpu()
            offsets = [len(data), len(data) + 4 * numbers.numel()]
            header[name] = {"dtype": "F32", "shape": list(numbers.shape), "data_offsets": offsets}
            data += bytes(numbers.contiguous().view(torch.uint8).flatten().tolist())
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        Path(path).write_bytes(len(text).to_bytes(8, "little") + text + data)


def read(path):
    """The metadata and the tensors of a safetensors file of float32 numbers."""
    data = bytearray(Path(path).read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    metadata, tensors = header.pop("__metadata__"), {}
    for name, tensor in header.items():
        first, last = tensor["data_offsets"]
        numbers = torch.frombuffer(data, dtype=torch.float32, offset=start + first, count=(last - first) // 4)
        tensors[name] = numbers.reshape(tensor["shape"]).clone()
    return metadata, tensors
