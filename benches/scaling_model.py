#!/usr/bin/env python3
"""What many GPUs would take, on paper: a training step against the number of ranks, and the prediction of a large volume.

    python3 benches/scaling_model.py
    python3 benches/scaling_model.py --batch 256 --storage-gb 20 --node-storage-gb 1
    python3 benches/scaling_model.py --json --measured cluster.json
    python3 benches/scaling_model.py --steps-to-score steps.csv

The arithmetic is that of the program: the pieces of a batch are shared out, each rank computes its own one after the other, every rank gathers
the gradients of all pieces and adds them in their order. So what is gathered and added grows with the batch, not with the ranks.
A GPU by itself takes a batch at once, which is faster than piece by piece (2026-11-27-h100.md: 8 pieces of 256x256 at depth 50 in 8.48 ms, one in
2.41): the line of one rank is for pieces one by one. Judging and saving are left out, and so is taking gradients out of the GPU's memory.

Of the defaults, some were measured, and `--help` names the file in benches/results/; the others are assumptions, and it says so.
Nothing here was measured on several GPUs: put in what your cluster says. `--measured` reads a JSON object with the names of the flags,
such as {"piece_ms": 11.1}. `--steps-to-score` takes the table that benches/peers/steps_to_score.py makes. It needs Python 3.9 alone.
"""

import argparse
import csv
import json
import math
import sys

H100 = "2026-11-27-h100.md"
XEON = "2026-11-23-xeon-2-cores.md"
# Name, default, what it is, and where the default comes from.
NUMBERS = [
    ("piece-ms", 11.13, "forward and backward pass of one piece on one GPU, ms", f"measured: {H100}, 512x512, depth 100"),
    ("piece-mb", 512 * 512 * 3 / 1e6, "a piece of image and labels in its file, MB", "512x512, uint16 and a byte of label, not compressed"),
    ("latency-us", 5.0, "one message between two ranks, microseconds", "an assumption"),
    ("network-gb", 12.5, "what a node's network carries, GB/s; its ranks share it", "an assumption: 100 Gbit/s"),
    ("add-gb", 14 / 5, "gradients that a rank's processor takes out of a message and adds, GB/s",
     f"an assumption: five passes over memory at the 14 GB/s of a core in {XEON}"),
    ("slice-ms", 19.2, "prediction of one slice on one GPU, with its way to the host and back, ms",
     f"measured: {H100}, 7.0 + 6.1 + as long again, 1024x1024, depth 100"),
    ("slice-mp", 1024 * 1024 / 1e6, "that slice, megapixels", "of the same measurement"),
    ("volume-tb", 10.0, "the volume, TB", "a task"),
    ("pixel-bytes", 2.0, "bytes that are read for each pixel", "uint16, not compressed"),
    ("result-bytes", 1.0, "bytes that are written for each pixel", "labels, not compressed"),
    ("node-storage-gb", 2.0, "what one node reads or writes, GB/s", "an assumption"),
    ("storage-gb", 100.0, "what the storage gives to all nodes together, GB/s", "an assumption"),
]  # fmt: skip
# What a message of MPI can count: src/peers/mpi/mod.rs refuses more.
MOST_GATHERED = 2**31 - 1


def parameters(depth, inputs=1, outputs=2):
    """Weights of a network of width 1: a filter for each earlier channel of each layer, and the layer's bias; then the mixing of all.

    >>> parameters(1)
    16
    >>> 4 * parameters(100) / 1e6  # MB of gradients a piece
    0.183016
    """
    filters = sum(9 * (inputs + layer) for layer in range(depth))
    return filters + depth + outputs * (inputs + depth) + outputs


def shared(count, ranks):
    """How many of `count` things the rank with most of them has.

    >>> [shared(16, ranks) for ranks in (1, 3, 16, 64)]
    [16, 6, 1, 1]
    """
    return math.ceil(count / ranks)


def storage_rate(m, nodes):
    """GB/s that so many nodes get from the storage together.

    >>> [storage_rate({"node_storage_gb": 2, "storage_gb": 100}, nodes) for nodes in (1, 50, 256)]
    [2, 100, 100]
    """
    return min(nodes * m["node_storage_gb"], m["storage_gb"])


def step(m, ranks, batch):
    """Milliseconds of the parts of a training step, and of the whole.

    Pieces are read ahead, so reading counts only where it takes longer than all else. Sizes and weights are gathered before the gradients,
    each with the lengths of what is sent: three short gathers, whose messages double on their way, and a long one, for which a ring is assumed.

    >>> m = {"piece_ms": 10, "piece_mb": 1, "latency_us": 0, "network_gb": 0.75, "add_gb": 2, "gradient_mb": 0.2,
    ...      "node_storage_gb": 1, "storage_gb": 1, "gpus_a_node": 1}
    >>> step(m, 1, 8)  # alone on a GPU, pieces are not gathered
    {'compute': 80, 'gather': 0.0, 'add': 0.0, 'read': 8.0, 'step': 80.0}
    >>> {name: round(ms, 6) for name, ms in step(m, 4, 8).items()}  # each gets six pieces of the three others: 1.2 MB
    {'compute': 20, 'gather': 1.6, 'add': 0.8, 'read': 8.0, 'step': 22.4}
    >>> step({**m, "storage_gb": 0.1}, 4, 8)["step"]  # reading, where it takes longer than the rest
    80.0
    """
    compute = m["piece_ms"] * shared(batch, ranks)
    gather = add = 0.0
    if ranks > 1:
        megabytes = batch * m["gradient_mb"]
        messages = 3 * math.ceil(math.log2(ranks)) + ranks - 1
        # In a ring each rank receives from one other, and a node from one other node, whatever the number of its ranks.
        gather = messages * m["latency_us"] / 1e3 + megabytes * (ranks - 1) / ranks / m["network_gb"]
        add = megabytes / m["add_gb"]
    read = batch * m["piece_mb"] / storage_rate(m, nodes_of(m, ranks))
    return {"compute": compute, "gather": gather, "add": add, "read": read, "step": max(compute + gather + add, read)}


def nodes_of(m, ranks):
    return math.ceil(ranks / m["gpus_a_node"])


def bound(parts):
    """The part that takes longest.

    >>> bound({"compute": 2.0, "gather": 3.0, "step": 5.0})
    'gather'
    """
    return max((name for name in parts if name not in ("step", "seconds")), key=lambda name: parts[name])


def prediction(m, gpus):
    """Seconds of reading, computing and writing a volume, which go on at the same time: the longest counts, where storage reads and writes at
    one rate.

    >>> m = {"volume_tb": 1, "pixel_bytes": 2, "result_bytes": 1, "slice_ms": 10, "slice_mp": 1, "node_storage_gb": 2,
    ...      "storage_gb": 100, "gpus_a_node": 4}
    >>> prediction(m, 4)  # 500000 megapixels
    {'read': 500.0, 'compute': 1250.0, 'write': 250.0, 'seconds': 1250.0}
    >>> prediction(m, 1024)["seconds"]  # 10 s of reading and 5 of writing
    15.0
    """
    megapixels = m["volume_tb"] * 1e6 / m["pixel_bytes"]
    rate = storage_rate(m, nodes_of(m, gpus)) * 1e3
    read, write = megapixels * m["pixel_bytes"] / rate, megapixels * m["result_bytes"] / rate
    compute = megapixels / m["slice_mp"] * m["slice_ms"] / 1e3 / gpus
    return {"read": read, "compute": compute, "write": write, "seconds": max(compute, read + write)}


def efficiencies(table):
    """Of {batch: steps to a score}: the share of the images of each batch that were of use, against the smallest batch.

    >>> efficiencies({1: 1000, 4: 250, 16: 125, 64: 125})
    {1: 1.0, 4: 1.0, 16: 0.5, 64: 0.125}
    """
    first = min(table)
    return {batch: table[first] * first / (table[batch] * batch) for batch in sorted(table)}


def largest_useful(table, least=0.5):
    """The largest batch before which twice the images still saved steps: up to it, `least` of all images were of use.

    >>> largest_useful({1: 1000, 4: 250, 16: 125, 64: 125})
    16
    """
    useful = 0
    for batch, share in efficiencies(table).items():
        if share < least:
            break
        useful = batch
    return useful


def read_table(path):
    """{batch: mean of the steps}, without batches that did not come to the score."""
    steps = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            steps.setdefault(int(row["batch"]), []).append(float(row["steps"]) if row["steps"] else None)
    return {batch: sum(found) / len(found) for batch, found in steps.items() if None not in found}


def main():
    m, arguments = parse()
    ranks = [2**power for power in range(int(math.log2(arguments.most)) + 1)]
    said = {"numbers": m, "training": [], "prediction": []}
    for count in ranks:
        said["training"].append({"ranks": count, "batch": arguments.batch, **step(m, count, arguments.batch)})
        # With a piece for each rank no rank waits for work, and what is gathered grows with the ranks.
        said["training"].append({"ranks": count, "batch": count, **step(m, count, count)})
        said["prediction"].append({"gpus": count, **prediction(m, count)})
    said["largest_batch_by_mpi"] = int(MOST_GATHERED / (m["gradient_mb"] * 1e6))
    try:
        table = read_table(arguments.steps_to_score) if arguments.steps_to_score else {}
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"{arguments.steps_to_score} is no table with the columns batch and steps: {error}")
    if table:
        said["batches"] = [
            {"batch": batch, "steps": table[batch], "of_use": share,
             "hours": {r: table[batch] * step(m, r, batch)["step"] / 3.6e6 for r in ranks if r <= batch}}
            for batch, share in efficiencies(table).items()
        ]  # fmt: skip
        said["largest_useful_batch"] = largest_useful(table)
    print(json.dumps(said, indent=1)) if arguments.json else show(said, arguments.batch)


def show(said, batch):
    for title, rows in [
        (f"A training step of {batch} pieces, ms", [row for row in said["training"] if row["batch"] == batch]),
        ("A training step of a piece for each rank, ms", [row for row in said["training"] if row["batch"] == row["ranks"]]),
    ]:
        print(f"{title}\n{'ranks':>7}{'compute':>10}{'gather':>10}{'add':>10}{'read':>10}{'step':>10}{'pieces/s':>11}  longest")
        for row in {row["ranks"]: row for row in rows}.values():
            parts = {name: row[name] for name in ("compute", "gather", "add", "read")}
            numbers = "".join(f"{value:10.2f}" for value in (*parts.values(), row["step"]))
            print(f"{row['ranks']:7}{numbers}{row['batch'] / row['step'] * 1e3:11.0f}  {bound(parts)}")
        print()
    print(f"MPI counts at most {said['largest_batch_by_mpi']} pieces of gradients in a step.\n")
    print(f"Prediction of {said['numbers']['volume_tb']:g} TB, s\n{'GPUs':>7}{'read':>10}{'compute':>10}{'write':>10}{'in all':>10}  longest")
    for row in said["prediction"]:
        parts = {name: row[name] for name in ("read", "compute", "write")}
        print(f"{row['gpus']:7}" + "".join(f"{v:10.0f}" for v in (*parts.values(), row["seconds"])) + f"  {bound(parts)}")
    for row in said.get("batches", []):
        best = min(row["hours"], key=row["hours"].get)
        print(f"batch {row['batch']}: {row['steps']:.0f} steps, {row['of_use']:.0%} of the images of use, {row['hours'][best]:.3f} h with {best} ranks")
    if "largest_useful_batch" in said:
        print(f"Up to a batch of {said['largest_useful_batch']}, at least half of the images were of use.")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, what, source in NUMBERS:
        parser.add_argument(f"--{name}", type=float, metavar="N", help=f"{what} [{default:g}; {source}]")
    parser.add_argument("--depth", type=int, default=100, help="layers, for the size of gradients [100]")
    parser.add_argument("--gpus-a-node", type=int, default=4, help="each has a rank [4]")
    parser.add_argument("--batch", type=int, default=64, help="pieces of a step, in the first table [64]")
    parser.add_argument("--most", type=int, default=1024, help="the largest number of GPUs [1024]")
    parser.add_argument("--measured", metavar="FILE", help="JSON with numbers by the names of flags, such as piece_ms")
    parser.add_argument("--steps-to-score", metavar="FILE", help="CSV with columns batch and steps; says where larger batches stop helping")
    parser.add_argument("--json", action="store_true", help="print an object instead of tables")
    arguments = parser.parse_args()
    m = {name.replace("-", "_"): default for name, default, _, _ in NUMBERS}
    if arguments.measured:
        try:
            with open(arguments.measured) as file:
                measured = dict(json.load(file))
        except (OSError, ValueError, TypeError) as error:
            sys.exit(f"{arguments.measured} is no JSON object: {error}")
        unknown = sorted(set(measured) - set(m))
        if unknown:
            sys.exit(f"{arguments.measured} has {unknown[0]}; wanted some of {', '.join(m)}")
        m.update(measured)
    m.update({name: getattr(arguments, name) for name in m if getattr(arguments, name) is not None})
    for name, value in {**m, "depth": arguments.depth, "batch": arguments.batch, "most": arguments.most, "gpus_a_node": arguments.gpus_a_node}.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            sys.exit(f"{name} is {value}; wanted a number above 0")
    return {**m, "gradient_mb": 4 * parameters(arguments.depth) / 1e6, "gpus_a_node": arguments.gpus_a_node}, arguments


if __name__ == "__main__":
    main()
