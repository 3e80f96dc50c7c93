"""The networks and the data that lie beside the project, if they do."""

import gzip

import numpy as np
import pytest
from tests.repository import ROOT

SHARED = ROOT.parent / "shared"


def shared_file(name: str):
    """The path of a file beside the project; skips the test where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs {name} beside the project")
    return path


def pictures(count: int):
    """The first pictures of the MNIST test set, as the network takes them: float32 (count, 1, 28, 28)."""
    data = gzip.decompress(shared_file("data/t10k-images-idx3-ubyte.gz").read_bytes())
    pixels = np.frombuffer(data, np.uint8, offset=16).reshape(-1, 1, 28, 28)[:count]
    return ((pixels / np.float32(255) - np.float32(0.1307)) / np.float32(0.3081)).astype(np.float32)


def labels(count: int):
    """The digits on them."""
    data = gzip.decompress(shared_file("data/t10k-labels-idx1-ubyte.gz").read_bytes())
    return np.frombuffer(data, np.uint8, offset=8)[:count]
