"""One workload in PyTorch, obeying commands on standard input as child.lua does. peer.py ROW [threads=N] [batch=N] [size=N]
[dec=subpixel] [compile=1 [limit=SECONDS for the first step, compilation included]]. Commands: run SECONDS, row ROW, check FILE (npz of our weights and inputs), memory, version, quit."""
import os, resource, signal, statistics, sys, time
import numpy as np
import torch
from torch import nn
import micro, work

row, options = sys.argv[1], dict(a.split("=") for a in sys.argv[2:])
torch.set_num_threads(int(options.get("threads", 1)))


class Setting:
    """What a workload is built with. arrays: our weights and inputs, when it is checked."""
    def __init__(s, row, arrays=None):
        batch, size = work.sizes.get(row, (32, 64))
        s.arrays, s.checking, s.dec = arrays, arrays is not None, options.get("dec")
        s.batch, s.size = int(options.get("batch", batch)), int(options.get("size", size))
        s.width = 1.0 if s.checking else 0.1  # of the differences of (f): wide, so that rounding does not show
        torch.manual_seed(0)
    def array(s, name):
        return torch.from_numpy(np.ascontiguousarray(s.arrays[name])).clone()
    def draw(s, name, *size):
        return s.array(name) if s.checking else torch.randn(*size)
    def images(s):
        return s.array("x").permute(0, 3, 1, 2).contiguous() if s.checking else torch.rand(s.batch, 3, s.size, s.size)
    def pixels(s, name, like):
        return s.array(name).permute(0, 3, 1, 2) if s.checking else torch.randn_like(like)
    def module(s, name, m):
        if s.checking:
            s.adopt(name, m)
        return torch.compile(m) if options.get("compile") and not s.checking else m
    def adopt(s, name, m):
        """Our values by name: parts of a sequence count from 1, convolutions have the input channel last."""
        for key, t in [*m.named_parameters(), *m.named_buffers()]:
            ours = ".".join(str(int(p) + 1) if p.isdigit() else p for p in key.split("."))
            if f"{name}.{ours}" not in s.arrays:
                if key in dict(m.named_parameters()):
                    raise KeyError(f"no values for {name}.{ours}")
                continue
            v = s.array(f"{name}.{ours}")
            v = v.permute(0, 3, 1, 2) if t.dim() == 4 else v
            t.data.copy_(v.reshape(t.shape))
        for part in m.modules():
            if hasattr(part, "adopted"):
                part.adopted()


def build(row, arrays=None):
    return micro.rows[row]() if row in micro.rows else work.rows[row](Setting(row, arrays))


def run(step, seconds):
    cpu, wall, start = [], [], time.process_time()
    while not cpu or time.process_time() - start < seconds:
        c, w = time.process_time(), time.perf_counter()
        step()
        cpu.append((time.process_time() - c) * 1e3)
        wall.append((time.perf_counter() - w) * 1e3)
    return f"{len(cpu)} {statistics.median(cpu):.6f} {statistics.median(wall):.6f} {time.process_time() - start:.4f}"


def check(path):
    step, out = build(row, dict(np.load(path))), []
    for _ in range(3):
        loss = step()
        out += [float(v) for v in (loss if isinstance(loss, tuple) else (loss,))]
    return " ".join(f"{v:.9g}" for v in out)


def limit(seconds):
    """Ends this process unless limit(0) follows in time."""
    def late(*_):
        print(f"no first step within {seconds} s", file=sys.stderr, flush=True)
        os._exit(3)
    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)


step = None
for line in sys.stdin:
    command, _, text = line.strip().partition(" ")
    if command == "quit":
        break
    if command == "row":
        row, step = text, None
        answer = "ok"
    elif command == "run":
        first = step is None
        if first:
            limit(int(options.get("limit", 0)))
            step = build(row)
        answer = run(step, float(text))
        if first:
            limit(0)
    elif command == "check":
        answer = check(text)
    elif command == "memory":
        answer = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f}"
    elif command == "version":
        answer = torch.__version__
    print(answer, flush=True)
