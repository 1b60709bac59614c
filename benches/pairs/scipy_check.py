"""Holds what the engine says of exported pairs against NumPy and SciPy.

    cargo bench --bench pairs -- --pairs 5000 --export pairs.jsonl
    python3 benches/pairs/scipy_check.py pairs.jsonl
"""
import json
import sys

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp


def cells(values, edges):
    """Rows in the bins (-inf, e1], (e1, e2], ..."""
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)


def psi(p, q):
    """With half a row in each cell."""
    p, q = ((side + 0.5) / (side.sum() + len(side) / 2) for side in (p, q))
    return float(np.sum((q - p) * np.log(q / p)))


def check(pair):
    reference, current = np.array(pair["reference"]), np.array(pair["current"])
    for of in pair["bins"]:
        p, q = (cells(side, np.array(of["edges"])) for side in (reference, current))
        for name, exact in [("psi", psi(p, q)), ("js", jensenshannon(p, q, base=2) ** 2 if len(p) > 1 else 0.0)]:
            said = of[name]["value"]
            exact = float(np.nan_to_num(exact))
            if said is None and np.count_nonzero(p + q) < 2:
                continue  # All rows in one bin, and not of one value: shares say nothing of them.
            if said is None or abs(said - exact) > 1e-9 * max(1.0, abs(exact)):
                yield f"{name} over {len(of['edges']) + 1} bins is {said}, not {exact}"
    exact = float(ks_2samp(reference, current, method="asymp").statistic)
    said, bounds = pair["ks"]["value"], pair["ks"]["bounds"]
    if said is None or not all(bounds[0] - 1e-9 <= number <= bounds[1] + 1e-9 for number in (exact, said)):
        yield f"KS {exact}, and {said} between {bounds}"
    if min(exact, pair["settled_ks"]) >= 0.1 and pair["is_beyond"] is not True:
        yield f"KS {exact} is called within"


def main():
    pairs = wrong = large = 0
    for line in open(sys.argv[1]):
        pair = json.loads(line)
        pairs += 1
        large += pair["is_beyond"] is True
        for what in check(pair):
            wrong += 1
            print(f"seed {pair['seed']} ({pair['kind']}): {what}")
    print(f"{pairs} pairs, {large} of them beyond; {wrong} wrong")
    sys.exit(wrong > 0)


main()
