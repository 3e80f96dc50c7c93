"""What `make demo` runs, as it runs it."""

import re
import subprocess
import sys

import pytest

from repository import ROOT
from tilewright.runtime.rtl_toolchain import find_toolchain

pytestmark = pytest.mark.slow


def printed(script, *options):
    """What a script of examples/ prints; it must succeed."""
    command = [sys.executable, str(ROOT / "examples" / script), *options]
    ran = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_digits_are_recognised_and_every_layer_has_its_cycles():
    out = printed("digits_demo.py", "--samples", "10", "--without-rtl")
    assert "10 of 10 right" in out
    assert "77,235 cycles a picture on reference" in out
    assert "/fc_layers/fc_layers.0/Gemm costs most" in out


def test_a_network_trained_from_scratch_is_right_and_has_the_same_integers_everywhere():
    out = printed("digits_training.py")
    shares = [float(share) for share in re.findall(r"([\d.]+)% of 360 held out are right", out)]
    assert len(shares) == 2
    assert shares[0] >= 98.5
    assert shares[1] >= shares[0] - 0.5
    assert "the CPU has the same integers" in out


def test_simulator_and_gates_agree_on_both():
    if find_toolchain() is None:
        pytest.skip("needs Verilator and a C++ compiler: tilewright doctor --for rtl")
    assert "same bytes everywhere: yes; same cycles: yes" in printed("matmul_demo.py")
    assert "same cycles and same scores: yes" in printed("digits_demo.py", "--samples", "1")
