"""Exported functions: C and C++ programs compile against the header, link, and compute the same."""

import ctypes
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from repository import ROOT
from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import Parallel, Vectorise
from tilewright.compiler.targets.cpu import export
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.export import write_header, write_library, write_object
from tilewright.compiler.targets.cpu.machine import HostMachine

needs_c = pytest.mark.skipif(export.c_compiler() is None, reason="no C compiler on the path")
needs_cpp = pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler on the path")

EXAMPLES = ROOT / "examples" / "host"
PROGRAM = """
#include <stdio.h>
#include "kernels.h"

int main(void) {
  float a[4][8], out[4][8];
  int32_t t[3] = {1000, -1000, 2147483647}, u[3];
  for (int i = 0; i < 32; i++) a[i / 8][i % 8] = (float)i;
  scaled(&a[0][0], &out[0][0]);
  doubled(t, u);
  printf("%g %g %d %d %d\\n", out[0][1], out[3][7], u[0], u[1], u[2]);
  return 0;
}
"""
PRINTED = "2.5 78.5 2000 -2000 2147483647"


def scaled():
    """2.5 · a, in the last column 1 more: rows in parallel, each a vector. A buffer has a keyword's name."""
    a = te.placeholder((4, 8), DType.FLOAT32, "a")
    body = te.compute((4, 8), lambda i, j: a[i, j] * 2.5 + te.cast(j // 7, DType.FLOAT32), "register")
    return schedule.apply(te.lower("scaled", [a], [body]), [Parallel("register_i"), Vectorise("register_j")])


def doubled():
    t = te.placeholder((3,), DType.INT32, "t")
    return te.lower("doubled", [t], [te.compute((3,), lambda i: te.saturating_add(t[i], t[i]), "sum")])


def built(folder, compiler, standard):
    """What a program prints that is linked with the object file; every warning is an error."""
    source = folder / ("main.c" if standard.startswith("c9") else "main.cpp")
    source.write_text(PROGRAM)
    write_header(folder / "kernels.h", [scaled(), doubled()])
    write_object(folder / "kernels.o", [scaled(), doubled()], HostMachine.baseline())
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    command = [compiler, f"-std={standard}", *warnings, "-o", folder / "main", source, folder / "kernels.o"]
    subprocess.run([*command, *export.LIBRARIES], check=True, cwd=folder)
    return subprocess.run([folder / "main"], check=True, capture_output=True, text=True).stdout.strip()


@needs_c
def test_a_c_program_links_and_prints_the_numbers(tmp_path):
    assert built(tmp_path, export.c_compiler(), "c99") == PRINTED


@needs_cpp
def test_a_cpp_program_links_and_prints_the_numbers(tmp_path):
    assert built(tmp_path, shutil.which("c++"), "c++11") == PRINTED


@needs_c
def test_a_shared_library_is_loaded_and_called(tmp_path):
    write_library(tmp_path / "libkernels.so", [scaled(), doubled()])
    library = ctypes.CDLL(tmp_path / "libkernels.so")
    a, out = np.arange(32, dtype=np.float32), np.zeros(32, np.float32)
    library.scaled(ctypes.c_void_p(a.ctypes.data), ctypes.c_void_p(out.ctypes.data))
    np.testing.assert_array_equal(out, a * np.float32(2.5) + (np.arange(32) % 8 == 7))
    with pytest.raises(AttributeError):
        _ = library.tilewright_parallel


def example(folder, compiler, *arguments):
    """What an example prints that is compiled with every warning an error."""
    subprocess.run([sys.executable, EXAMPLES / "export.py", folder], check=True)
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    command = [compiler, *warnings, f"-I{folder}", *arguments, "-o", folder / "main"]
    subprocess.run(command, check=True)
    return subprocess.run([folder / "main"], check=True, capture_output=True, text=True).stdout


@needs_c
def test_the_c_example_links_with_the_object_file(tmp_path):
    linked = ["-std=c99", EXAMPLES / "product.c", tmp_path / "product.o", *export.LIBRARIES]
    assert example(tmp_path, export.c_compiler(), *linked) == "largest difference 0\n"


@needs_cpp
def test_the_cpp_example_links_with_the_shared_library(tmp_path):
    linked = ["-std=c++11", EXAMPLES / "product.cpp", f"-L{tmp_path}", "-lproduct", f"-Wl,-rpath,{tmp_path}"]
    assert example(tmp_path, shutil.which("c++"), *linked) == "largest difference 0\n"


def test_a_missing_c_compiler_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "c_compiler", lambda: None)
    with pytest.raises(CpuError, match=re.escape("a C compiler must be on the path")):
        write_library(tmp_path / "libkernels.so", [doubled()])


def test_two_functions_of_one_name_are_refused(tmp_path):
    with pytest.raises(CpuError, match="names of their own"):
        write_header(tmp_path / "kernels.h", [doubled(), doubled()])
    with pytest.raises(CpuError, match="must be its own, not 'doubled'"):
        write_object(tmp_path / "kernels.o", [doubled(), doubled()])


def test_an_unknown_machine_is_refused(tmp_path):
    with pytest.raises(CpuError, match="triple must be one of this build"):
        write_object(tmp_path / "kernels.o", [doubled()], HostMachine("pdp11-dec-unix", ""))
