"""The arithmetic of the reference code's two-factor multiply in PyTorch, timed on request (bench/torch_peer.cpp).

Questions are lines on standard input, answers lines of JSON on standard output:
  hello                   {"ready": "PyTorch 2.15.0, .."} or {"missing": "why"}
  case N BATCH LAYOUT     {"right": true}: the product is ready, its result agrees with a sum in double
  run CALLS               {"seconds": s}
"""

import json
import sys
import time


def answer(**fields):
    print(json.dumps(fields), flush=True)


def row_product(x, w1, w2):
    """x (batch, k p), w1 (k, q, p), w2 (l, s, r): products of blocks, with a copy where torch.bmm needs one."""
    batch, (k, q, p), (l, s, r) = x.shape[0], w1.shape, w2.shape
    middle = torch.empty(batch, k, q)
    torch.bmm(x.view(batch, k, p).transpose(0, 1), w1.transpose(1, 2), out=middle.transpose(0, 1))
    gathered = middle.view(batch, r, l).permute(2, 0, 1).contiguous()  # (l, batch, r)
    out = torch.bmm(gathered, w2.transpose(1, 2))  # (l, batch, s)
    return out.permute(1, 2, 0).reshape(batch, s * l)


def column_product(x, w1, w2):
    """The same on x (k p, batch)."""
    batch, (k, q, p), (l, s, r) = x.shape[1], w1.shape, w2.shape
    middle = torch.bmm(w1, x.view(k, p, batch)).view(r, l, batch)
    out = torch.bmm(w2, middle.transpose(0, 1).contiguous())  # (l, s, batch)
    return out.transpose(0, 1).reshape(s * l, batch)


def make_case(n, batch, layout):
    bits = n.bit_length() - 1
    l = 1 << ((bits + 1) // 2)  # the first factor mixes the last digit
    r = n // l
    w1, w2 = torch.rand(r, l, l) - 0.5, torch.rand(l, r, r) - 0.5
    x = torch.rand((batch, n) if layout == "row" else (n, batch)) - 0.5
    product = row_product if layout == "row" else column_product
    y = product(x, w1, w2)
    one = (x[0] if layout == "row" else x[:, 0]).double().view(r, l)
    middle = torch.einsum("kqp,kp->kq", w1.double(), one)
    wanted = torch.einsum("lsr,rl->sl", w2.double(), middle).reshape(-1)
    got = (y[0] if layout == "row" else y[:, 0]).double()
    right = bool((got - wanted).abs().max() <= 1e-5 * wanted.abs().max())
    return right, lambda: product(x, w1, w2)


def main():
    call = None
    for line in sys.stdin:
        words = line.split()
        if words[0] == "hello":
            config = torch.__config__.show()
            level = config.split("CPU capability usage: ")[-1].split("\n")[0]
            answer(ready=f"PyTorch {torch.__version__}, {level}, {torch.get_num_threads()} thread")
        elif words[0] == "case":
            call = None  # free the last one first
            right, call = make_case(int(words[1]), int(words[2]), words[3])
            answer(right=right)
        elif words[0] == "run":
            start = time.perf_counter()
            for _ in range(int(words[1])):
                call()
            answer(seconds=time.perf_counter() - start)


if __name__ == "__main__":
    try:
        import torch
    except ImportError:
        sys.stdin.readline()
        answer(missing="PyTorch is not installed for python3")
        sys.exit()
    torch.set_num_threads(1)
    with torch.inference_mode():
        main()
