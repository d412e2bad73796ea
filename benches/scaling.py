#!/usr/bin/env python3
"""How the time of a pass grows with size, depth, width, batch and threads.

    cargo build --release
    python3 benches/scaling.py --out scaling

runs `msd-gpu bench` over one axis at a time around a base case and writes `scaling.md` (a table), `scaling.svg` (a
picture) and `scaling.jsonl` (what bench said) into the folder. The cost is in picoseconds a filter and pixel, one forward pass
or one whole training step: where time is proportional to work, it is a flat line. It needs Python 3.9 and nothing else.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys

AXES = {
    "size": [256, 512, 1024, 2048],
    "depth": [25, 50, 100, 200],
    "width": [1, 2, 4, 8],
    "batch": [1, 2, 4, 8],
    "threads": None,
}
PASSES = {"forward": ("forward pass", "#1b6ca8"), "train_step": ("training step", "#c2500f")}


def main():
    arguments = parse()
    base = {axis: getattr(arguments, f"base_{axis}") for axis in ("size", "depth", "width", "batch")}
    base["threads"] = os.cpu_count() or 1
    axes = {axis: getattr(arguments, axis) for axis in AXES}
    if axes["threads"] is None:
        axes["threads"] = threads_up_to(base["threads"])
    folder = pathlib.Path(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)

    measured = {}
    measured[key(base)] = bench(arguments, base)
    if isinstance(measured[key(base)], str):
        sys.exit(f"the base case failed: {measured[key(base)]}")
    first = measured[key(base)]["train_step"]
    bytes_each = first["peak_bytes"] / work(base, first)[1]
    if first["backend"] != "cpu":
        # Threads of the processor change little for a GPU.
        axes["threads"] = []
    rows = []
    for axis, values in axes.items():
        for value in values:
            case = {**base, axis: value}
            if key(case) not in measured:
                wanted = bytes_each * work(case, first)[1]
                measured[key(case)] = (
                    f"left out: about {wanted / 2**30:.1f} GiB"
                    if wanted > arguments.limit_gib * 2**30
                    else bench(arguments, case)
                )
            rows.append((axis, value, case, measured[key(case)]))
    lines = [json.dumps(said) for found in measured.values() if isinstance(found, dict) for said in found.values()]
    write(folder / "scaling.jsonl", "\n".join(lines) + "\n")
    write(folder / "scaling.md", table(rows, base, first["device"]))
    write(folder / "scaling.svg", picture(rows, base, first["device"]))
    print(f"the table, the picture and what was measured are in {folder}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", default="target/release/msd-gpu", help="the program [target/release/msd-gpu]")
    parser.add_argument("--out", required=True, help="folder for the results")
    parser.add_argument("--device", default="cpu", help="as for msd-gpu bench [cpu]")
    parser.add_argument("--repeats", type=int, default=7, help="runs of each pass; the median counts [7]")
    parser.add_argument("--limit-gib", type=float, default=8.0, help="leave out what would take more memory [8]")
    for axis, values in AXES.items():
        shown = "1, 2, 4 and so on up to all" if values is None else ",".join(map(str, values))
        said = f"values of this axis [{shown}]"
        parser.add_argument(f"--{axis}", type=numbers, default=values, metavar="N,N", help=said)
    for axis, value in {"size": 512, "depth": 50, "width": 1, "batch": 1}.items():
        said = f"of the base case [{value}]"
        parser.add_argument(f"--base-{axis}", type=int, default=value, metavar="N", help=said)
    return parser.parse_args()


def numbers(text):
    return [int(part) for part in text.split(",")]


def threads_up_to(most):
    return sorted({2**power for power in range(most.bit_length()) if 2**power <= most} | {most})


def key(case):
    return tuple(sorted(case.items()))


def bench(arguments, case):
    """What bench says of a case, by the kind of pass, or one line about why it did not."""
    flags = [f"--{axis}={case[axis]}" for axis in ("size", "depth", "width", "batch")]
    how = [f"--device={arguments.device}", f"--repeats={arguments.repeats}"]
    print(f"{' '.join(flags)}, {case['threads']} threads", file=sys.stderr, flush=True)
    environment = {**os.environ, "RAYON_NUM_THREADS": str(case["threads"])}
    command = [arguments.program, "bench", "--json", *how, *flags]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    said = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["what"]: {**line, "threads": case["threads"]} for line in said if line.get("what") in PASSES}


def work(case, said):
    """Filters times pixels, and channels times the pixels that are in memory at a time."""
    depth, width = case["depth"], case["width"]
    filters = width * depth + width * width * depth * (depth - 1) // 2
    pixels = case["size"] ** 2
    # On the processor a batch is taken image by image.
    at_a_time = 1 if said["backend"] == "cpu" else case["batch"]
    return filters * pixels * case["batch"], (1 + depth * width) * pixels * at_a_time


def cost(axis, case, said):
    """Picoseconds a filter and pixel; over threads, of all threads together."""
    return said["seconds"] * 1e12 / work(case, said)[0] * (case["threads"] if axis == "threads" else 1)


def describe(base):
    return f"size {base['size']}, depth {base['depth']}, width {base['width']}, batch {base['batch']}"


def table(rows, base, device):
    lines = [
        f"Measured on: {device}. One axis at a time around {describe(base)}. The cost is in picoseconds a filter and",
        "pixel: where time is proportional to work, it stays the same. Over threads it is that of all threads together.",
        "",
        "| axis | value | forward | cost | training step | cost | GFLOP/s | memory |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for axis, value, case, found in rows:
        if isinstance(found, str):
            lines.append(f"| {axis} | {value} | {found} | | | | | |")
            continue
        forward, step = found["forward"], found["train_step"]
        cells = [
            milliseconds(forward),
            f"{cost(axis, case, forward):.2f} ps",
            milliseconds(step),
            f"{cost(axis, case, step):.2f} ps",
            f"{step['gflops']:.1f}",
            f"{step['peak_bytes'] / 2**20:.0f} MiB",
        ]
        lines.append(f"| {axis} | {value} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def milliseconds(said):
    return f"{said['seconds'] * 1e3:.4g} ms"


# The picture: a panel for each axis, all with one scale of costs.
TITLE = "Cost of a filter and pixel, in picoseconds (flat: time is proportional to work)"
PANEL, HEIGHT, GAP, LEFT, TOP = 172, 230, 26, 64, 78


def picture(rows, base, device):
    done = [row for row in rows if isinstance(row[3], dict)]
    axes = [axis for axis in AXES if any(row[0] == axis for row in done)]
    costs = [cost(axis, case, found[what]) for axis, _, case, found in done for what in PASSES]
    low, high = min(costs) / 1.3, max(costs) * 1.3
    y = lambda value: TOP + HEIGHT * (math.log(high) - math.log(value)) / (math.log(high) - math.log(low))
    width = LEFT + len(axes) * (PANEL + GAP)
    height = TOP + HEIGHT + 54
    svg = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="system-ui, sans-serif" font-size="12" fill="#333">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        text(LEFT, 22, TITLE, size=14, weight="bold"),
        text(LEFT, 42, f"{device}; around {describe(base)}", colour="#666"),
    ]
    at = LEFT
    for name, colour in PASSES.values():
        svg.append(line(at, at + 22, 58, 58, f'stroke="{colour}" stroke-width="2.5"'))
        svg.append(f'<circle cx="{at + 11}" cy="58" r="3.5" fill="{colour}"/>')
        svg.append(text(at + 28, 62, name))
        at += 130
    for panel, axis in enumerate(axes):
        x0 = LEFT + panel * (PANEL + GAP)
        points = [(value, case, found) for name, value, case, found in rows if name == axis]
        values = sorted({value for value, _, _ in points})
        first, last = math.log(min(values)), math.log(max(values))
        share = lambda value: (math.log(value) - first) / (last - first) if last > first else 0.5
        x = lambda value: x0 + 14 + (PANEL - 28) * share(value)
        svg.append(f'<rect x="{x0}" y="{TOP}" width="{PANEL}" height="{HEIGHT}" fill="none" stroke="#bbb"/>')
        for tick in ticks(low, high):
            svg.append(line(x0, x0 + PANEL, y(tick), y(tick), 'stroke="#e6e6e6"'))
            if panel == 0:
                svg.append(text(x0 - 6, y(tick) + 4, f"{tick:g}", anchor="end"))
        for value in values:
            svg.append(text(x(value), TOP + HEIGHT + 17, value, anchor="middle"))
            if axis in base and value == base[axis]:
                svg.append(line(x(value), x(value), TOP, TOP + HEIGHT, 'stroke="#ccc" stroke-dasharray="3 3"'))
        name = "threads (cost of all)" if axis == "threads" else axis
        svg.append(text(x0 + PANEL / 2, TOP + HEIGHT + 38, name, anchor="middle", weight="bold"))
        for what, (_, colour) in PASSES.items():
            measured = [point for point in points if isinstance(point[2], dict)]
            places = [(x(value), y(cost(axis, case, found[what]))) for value, case, found in measured]
            corners = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
            svg.append(f'<polyline points="{corners}" fill="none" stroke="{colour}" stroke-width="2"/>')
            svg.extend(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="{colour}"/>' for px, py in places)
    svg.append("</svg>")
    return "\n".join(svg) + "\n"


def line(x1, x2, y1, y2, look):
    return f'<line x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1:.1f}" y2="{y2:.1f}" {look}/>'


def text(x, y, what, anchor="start", size=12, weight="normal", colour="#333"):
    what = str(what).replace("&", "&amp;").replace("<", "&lt;")
    look = f'text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{colour}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {look}>{what}</text>'


def ticks(low, high):
    """Round numbers between two others, 1, 2 and 5 of each decade."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [digit * 10.0**decade for decade in decades for digit in (1, 2, 5) if low <= digit * 10.0**decade <= high]


def write(path, text):
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    main()
