#!/usr/bin/env python3
"""How fast `msd-gpu serve` answers, and how much memory it takes, while many pages read tiles and it trains.

Starts a server on a new project with the sample images and a stack of its own, paints strokes, starts training, and lets clients ask for
tiles of images, labels and results, each as soon as it has its last answer and has looked at it for a moment. A stroke comes every five
seconds. Prints for each minute how many answers there were, the median and the 99th percentile of their times, and the server's memory;
at the end, as JSON, those of the first and the last minute. Linux only; needs nothing but Python.

  benches/portal.py MSD_GPU [--minutes 10] [--clients 50] [--device cpu]
"""
import argparse
import http.client
import json
import random
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

SLICES, SIDE = 24, 1024
PAUSE = 0.1


def write_stack(path):
    """A stack of bytes as NumPy keeps it: grey steps with noise."""
    words = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({SLICES}, {SIDE}, {SIDE}), }}\n".encode()
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\0" + struct.pack("<H", len(words)) + words)
        rng = random.Random(1)
        for _ in range(SLICES):
            noise = rng.randbytes(SIDE * SIDE)
            file.write(bytes((value >> 2) + (place >> 14 & 127) for place, value in enumerate(noise)))


class Client:
    """One connection, which is opened anew where the server has closed it."""

    def __init__(self, address):
        self.address = address
        self.connection = None

    def ask(self, method, path, body=None):
        headers = {"X-Msd-Gpu": "1", "Content-Type": "application/json"}
        text = None if body is None else json.dumps(body)
        for attempt in range(2):
            try:
                self.connection = self.connection or http.client.HTTPConnection(self.address, timeout=120)
                self.connection.request(method, path, text, headers)
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, OSError):
                self.connection = None
                if attempt:
                    raise

    def json(self, method, path, body=None):
        status, answer = self.ask(method, path, body)
        assert status == 200, (path, status, answer)
        return json.loads(answer)


def memory(process):
    """MiB that the server holds."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0


def percentile(times, share):
    return 1000 * times[min(len(times) - 1, int(len(times) * share))] if times else float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_stack(Path(folder, "stack.npy"))
        command = [given.program, "serve", "--project", f"{folder}/project", "--allow", folder]
        command += ["--device", given.device, "--listen", "127.0.0.1:0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                measure(given, process, folder)
            finally:
                process.kill()


def measure(given, process, folder):
    address = process.stdout.readline().strip().removeprefix("http://").strip("/")
    first = Client(address)
    images = first.json("POST", "/api/sample", {})["images"] + first.json("POST", "/api/images", {"path": f"{folder}/stack.npy"})["images"]
    for name, colour in (("background", "#3182bd"), ("shape", "#e6550d")):
        first.json("POST", "/api/classes", {"name": name, "colour": colour})

    def stroke(number):
        y = number * 37 % 250
        entry = {"op": "stroke", "image": images[number % 4], "slice": 0, "class": number % 2, "size": 5, "points": [[10.5, y], [90.5, y]]}
        first.json("POST", "/api/journal", {"tab": "bench", "entries": [entry]})

    for number in range(8):
        stroke(number)
    first.json("POST", "/api/training", {"action": "start", "depth": "auto"})
    for image in images:
        first.json("POST", "/api/view", {"tab": image, "image": image, "slice": 0, "x": 0, "y": 0, "width": 256, "height": 256})

    lock, times, failed, ends = threading.Lock(), [], [], threading.Event()

    def read(number):
        rng, client = random.Random(number), Client(address)
        while not ends.is_set():
            image, z, tile = images[rng.randrange(4)], 0, "0/0/0"
            if rng.random() < 0.5:
                image, z, tile = images[-1], rng.randrange(SLICES), f"0/{rng.randrange(4)}/{rng.randrange(4)}"
            kind = rng.choice(("tiles", "tiles", "labels", "result"))
            begin = time.monotonic()
            try:
                status, _ = client.ask("GET", f"/api/images/{image}/{z}/{kind}/{tile}")
                found = time.monotonic() - begin
                with lock:
                    (times if status == 200 else failed).append(found if status == 200 else status)
            except (http.client.HTTPException, OSError) as error:
                with lock:
                    failed.append(str(error))
            time.sleep(PAUSE * (0.5 + rng.random()))

    clients = [threading.Thread(target=read, args=(number,), daemon=True) for number in range(given.clients)]
    for client in clients:
        client.start()
    rows = []
    for minute in range(1, given.minutes + 1):
        end, most = time.monotonic() + 60, 0
        while time.monotonic() < end:
            time.sleep(5)
            stroke(len(rows) * 12 + minute)
            most = max(most, memory(process))
        with lock:
            of_minute, bad = sorted(times), list(failed)
            times.clear()
            failed.clear()
        status = first.json("GET", "/api/training")
        row = {
            "minute": minute, "answers": len(of_minute), "failed": len(bad), "median_ms": round(percentile(of_minute, 0.5), 1),
            "p99_ms": round(percentile(of_minute, 0.99), 1), "memory_mib": round(memory(process)), "most_mib": round(most),
            "steps": status["step"], "state": status["state"],
        }
        rows.append(row)
        print(row, flush=True)
    ends.set()
    print(json.dumps({"first": rows[0], "last": rows[-1]}))


if __name__ == "__main__":
    main()
