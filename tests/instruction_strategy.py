"""Any encodable instruction, for hypothesis; legal or not."""

from hypothesis import strategies as st

from tilewright.isa.instruction import INSTRUCTIONS, Instruction, Spec, specs
from tilewright.isa.memory import Engine

_ALL_ENGINES = (1 << len(Engine)) - 1


def values(spec: Spec) -> st.SearchStrategy[int]:
    """Values of one field, its ends among them."""
    if spec.values is not None:
        return st.sampled_from([item.value for item in spec.values])
    ends = st.sampled_from([spec.minimum, spec.maximum])
    return st.integers(spec.minimum, spec.maximum) | ends


@st.composite
def instructions(draw: st.DrawFn, kinds: tuple[type[Instruction], ...] = INSTRUCTIONS) -> Instruction:
    """An instruction of one of `kinds` that its class accepts."""
    kind = draw(st.sampled_from(kinds))
    fields = {name: draw(values(spec)) for name, spec in specs(kind).items()}
    engine = kind(**fields).engine
    allowed = 0 if engine is None else _ALL_ENGINES & ~(1 << engine)
    masks = {name: draw(st.integers(0, _ALL_ENGINES)) & allowed for name in ("wait", "signal")}
    return kind(**fields, **masks)
