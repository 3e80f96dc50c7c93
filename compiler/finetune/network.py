"""A whole network while its parts on the accelerator are trained: parts and host kernels as one function."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tilewright.compiler.dtype import DType
from tilewright.compiler.finetune.error import FinetuneError
from tilewright.compiler.finetune.part import Trainable, TrainablePart
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.inline import inline, with_sizes
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.prune import pruned
from tilewright.compiler.ir.size import AnySize, Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.network.calibrated import ends_of, is_on_accelerator
from tilewright.compiler.network.quantised import Quantiser
from tilewright.compiler.network.split import accelerator_of
from tilewright.compiler.quantise.calibration import Samples
from tilewright.compiler.quantise.range_method import RangeMethod
from tilewright.compiler.quantise.recognise import BATCH
from tilewright.isa.config import Config
from tilewright.numerics.progress import Progress, unheard

Values = dict[str, Value]
"""Values of a function that is built, by their names in the network."""
EmitPart = Callable[[Builder, TrainablePart, Sequence[Value], Mapping[str, AnySize], int], list[Value]]
"""Adds a part: the part, what it is given, its sizes, and its number."""


@dataclass(frozen=True)
class TrainableNetwork:
    """A network of which some parts are trained.

    Members:
        source: the network with a symbolic batch, or one of 1, as it was before it was partitioned.
        split: the same of kernels, for one sample; its values have the names of those of `source`.
        parts: of each kernel on the accelerator, by its first result.
    """

    source: NamedFunction
    split: Function
    parts: Mapping[Value, TrainablePart]

    @staticmethod
    def of(
        named: NamedFunction,
        samples: Samples,
        method: RangeMethod,
        config: Config,
        progress: Progress = unheard,
    ) -> "TrainableNetwork":
        """A network of floats whose integers the calibration chooses, as the compiler would.

        Args:
            named: behind the passes that come before a network is split; samples stay apart in it.
            samples: typical inputs by name.
            method: how these choose ranges.
            config: of the accelerator.
            progress: is told what is being done.

        Raises:
            FinetuneError: if no layer of it becomes integers.
            EvaluationError: if the samples are not inputs of the network.
        """
        source = _with_plain_names(_with_one_batch(named))
        quantiser = Quantiser(source.one_sample(), samples, method, progress)
        found = quantiser.quantised(accelerator_of(quantiser.one, config))
        parts = {
            value: TrainablePart(part.prepared(found.parts.recipes[value]))
            for value, part in found.network.parts.items()
        }
        if not any(part.has_layers for part in parts.values()):
            raise FinetuneError(
                "a network that is trained must have layers that become integers: it has none"
            )
        return TrainableNetwork(source, found.network.split.function, parts)

    @cached_property
    def trainables(self) -> tuple[Trainable, ...]:
        """Of all parts, in their order."""
        return tuple(each for part in self.parts.values() for each in part.trainables)

    @cached_property
    def batch(self) -> str:
        """The name of the size of the batch, of functions that are trained."""
        first = self.source.function.parameters[0].type.shape[0]
        return first.name or BATCH if isinstance(first, Size) else BATCH

    @cached_property
    def ends(self) -> tuple[Value, ...]:
        """Results of parts that no other part reads: what is trained."""
        return ends_of(self.split)

    # --- functions -----------------------------------------------------------------------------------------

    def in_floats(self) -> Function:
        """From inputs to the ends, in floats.

        Raises:
            FinetuneError: if the batch is fixed where the host computes between two parts.
        """

        def part(
            b: Builder, part: TrainablePart, given: Sequence[Value], sizes: Mapping[str, AnySize], _: int
        ) -> list[Value]:
            return part.in_floats(b, given, sizes)

        b = Builder(f"{self.split.name}.floats")
        return pruned(b.function(*self._built(b, Size.of(self.batch), self.ends, part)))

    def fake_quantised(self) -> Function:
        """From inputs and what is trained to the ends, with what integers leave of the values between.

        Raises:
            FinetuneError: as `in_floats`.
        """
        b = Builder(f"{self.split.name}.trained")
        inputs = self._inputs(b, Size.of(self.batch))
        columns = [
            [b.parameter(each.name, TensorType(DType.FLOAT32, each.start.shape)) for each in part.trainables]
            for part in self.parts.values()
        ]

        def part(
            b: Builder, part: TrainablePart, given: Sequence[Value], sizes: Mapping[str, AnySize], k: int
        ) -> list[Value]:
            return part.fake_quantised(b, given, sizes, columns[k])

        return pruned(b.function(*self._behind(b, inputs, Size.of(self.batch), self.ends, part)))

    def in_integers(self, trained: Sequence[Array]) -> NamedFunction:
        """The whole network with scales of its own, and weights that are integers.

        Args:
            trained: in the order of `trainables`.
        """
        rest, columns = list(trained), list[list[Array]]()
        for each in self.parts.values():
            columns.append(rest[: len(each.trainables)])
            rest = rest[len(each.trainables) :]

        def part(
            b: Builder, part: TrainablePart, given: Sequence[Value], sizes: Mapping[str, AnySize], k: int
        ) -> list[Value]:
            return part.in_integers(b, given, sizes, columns[k])

        b = Builder(self.source.function.name)
        first = self.source.function.parameters[0].type.shape[0]
        return self.source.with_function(pruned(b.function(*self._built(b, first, self.split.results, part))))

    # --- details -------------------------------------------------------------------------------------------

    def _built(self, b: Builder, batch: AnySize, wanted: Sequence[Value], part: EmitPart) -> list[Value]:
        return self._behind(b, self._inputs(b, batch), batch, wanted, part)

    def _inputs(self, b: Builder, batch: AnySize) -> Values:
        parameters = self.source.function.parameters
        return {
            value.name: b.parameter(value.name, value.type.with_shape((batch, *value.type.shape[1:])))
            for value in parameters
        }

    def _behind(
        self, b: Builder, values: Values, batch: AnySize, wanted: Sequence[Value], part: EmitPart
    ) -> list[Value]:
        """The values that are wanted, of `split`; kernels that these do not need are left out."""
        numbers = {value: number for number, value in enumerate(self.parts)}
        for equation in _between(self.split, (), wanted):
            if is_on_accelerator(equation):
                first = equation.results[0]
                own, given = self.parts[first], [values[value.name] for value in equation.operands]
                made = part(b, own, given, _batch_of(own, batch), numbers[first])
            else:
                made = self._on_host(b, equation, values, batch)
            values |= {value.name: each for value, each in zip(equation.results, made, strict=True)}
        return [values[value.name] for value in wanted]

    def _on_host(self, b: Builder, equation: Equation, values: Values, batch: AnySize) -> list[Value]:
        """What a kernel of the host does, with the batch as it is in the source."""
        first = self.source.function.parameters[0].type.shape[0]
        if batch != first:
            raise FinetuneError(
                f"the batch must be symbolic where the host computes between two parts on the accelerator "
                f"({equation.label}), not {first}: export the model with an open batch"
            )
        named = {value.name: value for each in self.source.function.equations for value in each.results}
        named |= {value.name: value for value in self.source.function.parameters}
        results = [named[value.name] for value in equation.results]
        known = [named[name] for name in values if name in named]
        body = Function("host", tuple(known), _between(self.source.function, known, results), tuple(results))
        return list(inline(b, body, [values[value.name] for value in known]))


def _with_one_batch(source: NamedFunction) -> NamedFunction:
    """The network with one name for the first axes of all inputs."""
    firsts = [value.type.shape[0] for value in source.function.parameters]
    names = list(dict.fromkeys(each.name for each in firsts if isinstance(each, Size) and each.name))
    if len(names) < 2:
        return source
    return source.with_function(with_sizes(source.function, {name: Size.of(names[0]) for name in names[1:]}))


def _with_plain_names(source: NamedFunction) -> NamedFunction:
    """The network with names of its values that no equation gets by itself once sizes become numbers."""
    function, values = source.function, dict[Value, Value]()

    def named(value: Value) -> Value:
        return values.setdefault(value, Value(f"value_{len(values)}", value.type))

    parameters = tuple(map(named, function.parameters))
    equations = tuple(
        replace(each, operands=tuple(map(named, each.operands)), results=tuple(map(named, each.results)))
        for each in function.equations
    )
    results = tuple(map(named, function.results))
    return source.with_function(Function(function.name, parameters, equations, results))


def _batch_of(part: TrainablePart, batch: AnySize) -> dict[str, AnySize]:
    """The size that a part's own batch is."""
    names = set().union(*(value.type.names for value in part.floats.parameters))
    return dict.fromkeys(names, batch)


def _between(function: Function, known: Iterable[Value], wanted: Iterable[Value]) -> tuple[Equation, ...]:
    """The equations of a function from known values to others, in their order."""
    given, needed, found = set(known), set(wanted), list[Equation]()
    for equation in reversed(function.equations):
        missing = needed - given
        if not missing.isdisjoint(equation.results):
            found.append(equation)
            needed.update(equation.operands)
    return tuple(found[::-1])
