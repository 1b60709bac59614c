"""Writes every.desc and the records beside it: `python make.py`, with grpcio-tools 1.85.1."""

import importlib
import pathlib
import sys
import tempfile

from grpc_tools import protoc

here = pathlib.Path(__file__).parent
with tempfile.TemporaryDirectory() as made:
    wanted = ["--include_imports", f"--descriptor_set_out={here}/every.desc", f"--python_out={made}"]
    assert protoc.main(["protoc", f"-I{here}", f"-I{pathlib.Path(protoc.__file__).parent}/_proto", *wanted, "every.proto"]) == 0
    sys.path.insert(0, made)
    every = importlib.import_module("every_pb2")

whole = every.Every(
    id="t-1",
    version=every.V2,
    inner=every.Every.Inner(score=0.5, again=every.Every(id="inner")),
    list=[1.5, 2.5],
    loose=[-1, 300],
    pairs={"b": 7},
    numbered={-3: every.Every.Inner(score=0.25)},
    probability=0.75,
    may=0,
    ok=True,
    raw=b"\x00\xff",
    signed=-(2**40),
    four=2**32 - 1,
    eight=2**40,
    minus_four=-4,
    minus_eight=-8,
    large=2**64 - 1,
    negative=-5,
    inners=[every.Every.Inner(score=1), every.Every.Inner(), every.Every.Inner(score=3)],
)
whole.at.FromMilliseconds(1_700_000_000_123)
whole.wrapped.value = 6.5
whole.took.FromMicroseconds(1_500_000)
whole.extra.update({"depth": {"x": [None, 3.0]}, "name": "n"})
whole.names.add(value="first")
whole.names.add()
least = every.Every(id="t-2", version=every.V1, refusal="too large")
least.at.FromMilliseconds(1_700_000_000_123)
least.wrapped.SetInParent()
for name, record in [("whole", whole), ("least", least)]:
    (here / f"{name}.pb").write_bytes(record.SerializeToString(deterministic=True))
