"""Every mistake of the tables can be made: its text is in its file, once; and its check exists."""

from collections import Counter

import pytest
from tests.mutants.__main__ import MUTANTS
from tests.mutants.mutant import Suite
from tests.mutants.tree import ROOT, mutated


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_applies(mutant):
    text = (ROOT / mutant.file).read_text()
    assert mutated(text, mutant) != text
    if isinstance(mutant.check, Suite):
        missing = [name for name in mutant.check.names if not (ROOT / name.split("::")[0]).exists()]
        assert not missing


def test_names_of_mutants_are_unique():
    assert [name for name, count in Counter(mutant.name for mutant in MUTANTS).items() if count > 1] == []
