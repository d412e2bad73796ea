#!/usr/bin/env python3
"""Writes volumes_*.* in tests/exchange/files: small networks of three dimensions as msd_pytorch saves them, and in
volumes_expected.safetensors a volume for each and what the network makes of it, computed by PyTorch in float64.

The modules have the structure of msd_pytorch's, so that PyTorch itself gives the tensors their names and shapes, and are computed as
its kernels do: taps in the order z, y, x, all of one dilation, over volumes that are mirrored along all three axes with the voxel at the
edge repeated. Its code is not used. Needs torch, numpy and safetensors; only whoever changes the files has to run it.
"""
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from torch import nn
from torch.nn import functional as F

FILES = Path(__file__).parent / "files"


class Block(nn.Module):
    def __init__(self, inputs, dilations, width):
        super().__init__()
        self.dilations = dilations
        self.bias = nn.Parameter(torch.randn(width * len(dilations)))
        for i in range(len(dilations)):
            self.register_parameter(f"weight{i}", nn.Parameter(0.1 * torch.randn(width, inputs + i * width, 3, 3, 3)))

    def forward(self, maps):
        biases = self.bias.chunk(len(self.dilations))
        for i, (s, bias) in enumerate(zip(self.dilations, biases)):
            assert s <= min(maps.shape[2:]), "msd_pytorch refuses dilations beyond the volume"
            padded = np.pad(maps.detach().numpy(), ((0, 0), (0, 0), (s, s), (s, s), (s, s)), mode="symmetric")
            sums = F.conv3d(torch.tensor(padded), getattr(self, f"weight{i}"), bias, dilation=s)
            maps = torch.cat([maps, F.relu(sums)], 1)
        return maps


class FinalLayer(nn.Module):
    def __init__(self, channels, outputs):
        super().__init__()
        self.linear = nn.Conv1d(channels, outputs, 1)
        nn.init.normal_(self.linear.weight, std=0.5)
        nn.init.normal_(self.linear.bias)

    def forward(self, maps):
        return self.linear(maps.flatten(2)).unflatten(2, maps.shape[2:])


class Network(nn.Module):
    def __init__(self, inputs, outputs, dilations, width):
        super().__init__()
        self.msd_block = Block(inputs, dilations, width)
        self.final_layer = FinalLayer(inputs + width * len(dilations), outputs)

    def forward(self, maps):
        return self.final_layer(self.msd_block(maps))


def scaling(factors, biases):
    layer = nn.Conv3d(len(factors), len(factors), 1)
    layer.weight.data = torch.diag(torch.tensor(factors))[:, :, None, None, None]
    layer.bias.data = torch.tensor(biases)
    return layer.requires_grad_(False)


def write(name, network, volume, expected, **how):
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained).state_dict()
    torch.save({"epoch": 3, "state_dict": network.state_dict(), "optimizer": optimizer}, FILES / name, **how)
    volume = (75 + 50 * volume).float()
    output = network.double()(volume.double()[None])[0]
    expected[f"{name}.image"] = volume.numpy()
    expected[f"{name}.output"] = output.detach().float().numpy()


if __name__ == "__main__":
    torch.manual_seed(7)
    expected = {}
    # A regression, in a file as PyTorch before 1.6 wrote it.
    network = nn.Sequential(scaling([0.02], [-1.5]), Network(1, 1, [1, 2, 3, 4, 5], 1), scaling([40.0], [90.0]))
    write("volumes_regression.torch", network, torch.randn(1, 6, 5, 9), expected, _use_new_zipfile_serialization=False)
    # A segmentation of width 2 with its own dilations, in a zip archive; in use its log-softmax gives way to a softmax.
    network = nn.Sequential(scaling([0.02, 0.025], [-1.5, -1.875]), nn.Sequential(Network(2, 3, [1, 2, 4], 2), nn.Softmax(1)))
    write("volumes_segmentation.pt", network, torch.randn(2, 4, 7, 5), expected)
    safetensors.numpy.save_file(expected, FILES / "volumes_expected.safetensors")
