#!/usr/bin/env python3
"""Writes the files in tests/exchange/files: small networks as msdnet, msd_pytorch and dlsia save theirs, and in
expected.safetensors an image for each and what the network makes of it, computed here in float64.

The tensors' names, shapes and meaning are those of the tools; their code is not used. Needs torch, numpy, h5py and
safetensors; only whoever changes the files has to run it.
"""
import collections
import os
from pathlib import Path

import h5py
import numpy as np
import safetensors.numpy
import torch

FILES = Path(__file__).parent / "files"
random = np.random.default_rng(7)
expected = {}


def normal(*shape):
    return random.normal(size=shape).astype(np.float32)


def forward(image, filters, biases, mix, output_biases, dilations, mode):
    """filters: one [width, channels read, 3, 3] for each layer; mode: numpy's name of the boundary."""
    maps = image.astype(np.float64)
    height, width = image.shape[1:]
    first = 0
    for layer, weights in enumerate(filters):
        s = dilations[layer % len(dilations)]
        padded = np.pad(maps, ((0, 0), (s, s), (s, s)), mode=mode)
        new = np.zeros((len(weights), height, width)) + biases[first : first + len(weights), None, None]
        for y in range(3):
            for x in range(3):
                part = padded[:, y * s : y * s + height, x * s : x * s + width]
                new += np.einsum("oc,cyx->oyx", weights[:, :, y, x].astype(np.float64), part)
        first += len(weights)
        maps = np.concatenate([maps, np.maximum(new, 0)])
    return np.einsum("oc,cyx->oyx", mix.astype(np.float64), maps) + output_biases[:, None, None]


def softmax(outputs):
    powers = np.exp(outputs - outputs.max(0))
    return powers / powers.sum(0)


def network(inputs, outputs, depth, width):
    filters = [0.3 * normal(width, inputs + i * width, 3, 3) for i in range(depth)]
    return filters, normal(width * depth), normal(outputs, inputs + width * depth), normal(outputs)


def keep(name, image, output):
    expected[f"{name}.image"] = image
    expected[f"{name}.output"] = output.astype(np.float32)


def msd_pytorch(before, filters, biases, mix, output_biases):
    """The state_dict of the network, under the names that start with `before`."""
    tensors = collections.OrderedDict()
    tensors[f"{before}msd_block.bias"] = torch.tensor(biases)
    for i, weights in enumerate(filters):
        tensors[f"{before}msd_block.weight{i}"] = torch.tensor(weights)
    tensors[f"{before}final_layer.linear.weight"] = torch.tensor(mix[:, :, None])
    tensors[f"{before}final_layer.linear.bias"] = torch.tensor(output_biases)
    return tensors


def scale(matrix, bias, name):
    matrix, bias = np.array(matrix, np.float32), np.array(bias, np.float32)
    return {f"{name}.weight": torch.tensor(matrix[:, :, None, None]), f"{name}.bias": torch.tensor(bias)}


def apply(matrix, bias, maps):
    return np.einsum("oc,cyx->oyx", np.array(matrix), maps.astype(np.float64)) + np.array(bias)[:, None, None]


def adam(tensors):
    parameters = [torch.nn.Parameter(tensor) for tensor in tensors.values()]
    optimizer = torch.optim.Adam(parameters)
    parameters[0].grad = torch.ones_like(parameters[0])
    optimizer.step()
    return optimizer.state_dict()


def save(tensors, name, **how):
    copies = collections.OrderedDict((key, tensor.clone()) for key, tensor in tensors.items())
    torch.save({"epoch": 3, "state_dict": copies, "optimizer": adam(tensors)}, FILES / name, **how)


def write_msd_pytorch():
    # A regression trained on several GPUs, in a file as PyTorch before 1.6 wrote it.
    net = network(1, 1, 4, 1)
    before, after = ([[0.02]], [-1.5]), ([[40.0]], [90.0])
    tensors = {**scale(*before, "module.0"), **msd_pytorch("module.1.", *net), **scale(*after, "module.2")}
    save(tensors, "regression.torch", _use_new_zipfile_serialization=False)
    image = 75 + 50 * normal(1, 9, 7)
    keep("regression.torch", image, apply(*after, forward(apply(*before, image), *net, range(1, 11), "symmetric")))

    # A segmentation of width 2 with its own dilations, in a zip archive.
    net = network(2, 3, 3, 2)
    before = ([[0.02, 0.0], [0.0, 0.02]], [-1.5, -1.5])
    tensors = {**scale(*before, "0"), **msd_pytorch("1.0.", *net)}
    save(tensors, "segmentation.pt")
    image = 75 + 50 * normal(2, 6, 11)
    output = forward(apply(*before, image), *net, [1, 2, 4, 8], "symmetric")
    keep("segmentation.pt", image, softmax(output))

    # Channels mixed by the scaling, as early versions did; float64; views that are not dense; a parameter.
    net = network(2, 2, 3, 1)
    before, after = ([[0.02, 0.02], [0.02, 0.02]], [-3.0, -3.0]), ([[40.0, 40.0], [40.0, 40.0]], [90.0, 90.0])
    tensors = {**scale(*before, "0"), **msd_pytorch("1.", *net), **scale(*after, "2")}
    for key, tensor in tensors.items():
        tensors[key] = tensor.double().transpose(0, -1).contiguous().transpose(0, -1)
    tensors["1.msd_block.bias"] = torch.nn.Parameter(tensors["1.msd_block.bias"])
    torch.save(tensors, FILES / "mixed.pt")
    image = 75 + 50 * normal(2, 8, 8)
    keep("mixed.pt", image, apply(*after, forward(apply(*before, image), *net, range(1, 11), "symmetric")))

    # Plain safetensors with the names of a module of one's own.
    net = network(1, 2, 3, 1)
    before, after = ([[0.02]], [-1.5]), ([[40.0, 0.0], [0.0, 20.0]], [90.0, 10.0])
    tensors = {**scale(*before, "scale_in"), **msd_pytorch("msd.", *net), **scale(*after, "scale_out")}
    safetensors.numpy.save_file({key: tensor.numpy() for key, tensor in tensors.items()}, FILES / "regression.safetensors")
    image = 75 + 50 * normal(1, 5, 13)
    keep("regression.safetensors", image, apply(*after, forward(apply(*before, image), *net, range(1, 11), "symmetric")))

    tensors["msd.msd_block.weight0"] = torch.zeros(1, 1, 3, 3, 3)
    torch.save(tensors, FILES / "volume.pt")


def write_msdnet():
    for name, outputs, task in [("regression.h5", 1, "regression"), ("segmentation.h5", 3, "segmentation")]:
        depth, inputs = 12, 2
        filters, biases, mix, output_biases = network(inputs, outputs, depth, 1)
        dilations = [i % 5 + 1 for i in range(depth)]
        gain_in, offset_in = np.array([0.02, 0.05], np.float32), np.array([-1.5, 2.0], np.float32)
        gain_out, offset_out = np.array([30.0], np.float32), np.array([100.0], np.float32)
        (FILES / name).unlink(missing_ok=True)
        with h5py.File(FILES / name, "a") as file:
            group = file.create_group("network")
            group.attrs["d"], group.attrs["nin"], group.attrs["nout"] = depth, inputs, outputs
            group.create_dataset("dl", data=np.array(dilations, np.int32))
            group.create_dataset("w", data=mix)
            group.create_dataset("o", data=biases)
            group.create_dataset("oo", data=output_biases)
            group.create_dataset("gam_in", data=gain_in)
            group.create_dataset("off_in", data=offset_in)
            if task == "regression":
                group.create_dataset("gam_out", data=gain_out)
                group.create_dataset("off_out", data=offset_out)
            group = group.create_group("f")
            for i, weights in enumerate(filters):
                group.create_dataset(f"{i:05d}", data=weights[0])
        image = 75 + 50 * normal(inputs, 7, 10)
        scaled = image * gain_in[:, None, None] + offset_in[:, None, None]
        output = forward(scaled, filters, biases, mix, output_biases, dilations, "reflect")
        keep(name, image, output * gain_out + offset_out if task == "regression" else softmax(output))


class Malicious:
    def __reduce__(self):
        return os.system, ("touch a-pickle-was-run",)


def write_refused():
    tensors = {"layer_0.conv_0.weight": torch.ones(1, 1, 3, 3), "normalization_0.weight": torch.ones(2)}
    topology = {"in_channels": 1, "activation": torch.nn.ReLU(), "normalization": torch.nn.BatchNorm2d}
    torch.save({"topo_dict": topology, "state_dict": tensors}, FILES / "dlsia.pt")
    torch.save(tensors, FILES / "dlsia_tensors.pt")
    torch.save({"state_dict": {}, "epoch": Malicious()}, FILES / "malicious.pt")
    torch.save(Malicious(), FILES / "malicious.torch", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    FILES.mkdir(exist_ok=True)
    write_msd_pytorch()
    write_msdnet()
    write_refused()
    safetensors.numpy.save_file(expected, FILES / "expected.safetensors")
