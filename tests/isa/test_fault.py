from tilewright.isa.fault import Cause, Fault, FaultEngine
from tilewright.isa.memory import Engine


def test_the_lowest_is_by_cycle_then_engine_then_instruction_then_cause():
    faults = [
        Fault(7, FaultEngine.FETCH, 0, Cause.ILLEGAL),
        Fault(5, FaultEngine.STORE, 0, Cause.BUS),
        Fault(5, FaultEngine.MATRIX, 9, Cause.ADDRESS),
        Fault(5, FaultEngine.MATRIX, 3, Cause.ADDRESS),
        Fault(5, FaultEngine.MATRIX, 3, Cause.BUS),
    ]
    assert sorted(faults) == faults[::-1]


def test_every_engine_has_a_code_of_its_own():
    codes = [FaultEngine.of(engine) for engine in Engine]
    assert codes == [FaultEngine.LOAD, FaultEngine.MATRIX, FaultEngine.VECTOR, FaultEngine.STORE]


def test_every_cause_has_its_text():
    assert all(cause.text for cause in Cause)
