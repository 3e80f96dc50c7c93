"""Pullbacks of the onnx package's node tests agree with central differences, once and twice."""

import pytest
from tests.compiler.derivative.onnx_gradient import tally_of

FIRST, OPERATORS, SECOND = 1140, 138, 1110
"""At least so many are right; raise them as more are."""
NO_RULE = "'main' has no derivative: scatter_elements must have a rule for it"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_gradients_of_node_tests(capsys):
    tally = tally_of()
    with capsys.disabled():
        print(f"\n{tally}")
    assert tally.wrong == {}
    assert [reason for reason in tally.without if "must have a rule" in reason and reason != NO_RULE] == []
    assert tally.first >= FIRST
    assert len(tally.operators) >= OPERATORS
    assert tally.second >= SECOND
