"""Mistakes in what says where the time of a run goes."""

from tests.mutants.mutant import Mutant, suite

_TOKENS = suite("runtime/test_token_flow.py")
_ENGINES = suite("runtime/test_engine_time.py")
_LAYERS = suite("runtime/test_layer_time.py")
_PAGE = suite("api/test_run_page.py")
_TRACE = suite("runtime/test_perfetto.py")
_NODES = suite("api/test_node_data.py")
_WIRE = suite("runtime/test_protobuf.py")

MUTANTS = (
    Mutant(
        name="token-felt-at-once",
        file="runtime/token_flow.py",
        old="cycles[:count] + 1, end)",
        new="cycles[:count], end)",
        check=_TOKENS,
    ),
    Mutant(
        name="token-room-one-too-many",
        file="runtime/token_flow.py",
        old="gives[capacity:]",
        new="gives[capacity + 1 :]",
        check=_TOKENS,
    ),
    Mutant(
        name="token-room-at-the-finish",
        file="runtime/token_flow.py",
        old="timeline.start[takes]",
        new="timeline.finish[takes]",
        check=_TOKENS,
    ),
    Mutant(
        name="token-blames-the-taker",
        file="runtime/token_flow.py",
        old="_raise(ready[giver], takes,",
        new="_raise(ready[taker], takes,",
        check=_TOKENS,
    ),
    Mutant(
        name="engine-waits-for-the-first-alone",
        file="runtime/engine_time.py",
        old="blamed = waits.blamed[heads.instruction]",
        new="blamed = waits.blamed[heads.instruction] * 0",
        check=_ENGINES,
    ),
    Mutant(
        name="engine-reasons-of-the-device",
        file="runtime/engine_time.py",
        old="    timeline = replace(timeline, tokens_ready=waits.ready)\n",
        new="",
        check=_ENGINES,
    ),
    Mutant(
        name="engine-joins-what-is-apart",
        file="runtime/engine_time.py",
        old="self.begin[1:] > self.end[:-1]",
        new="self.begin[1:] > self.end[:-1] + 1",
        check=_ENGINES,
    ),
    Mutant(
        name="layer-window-of-its-own-span",
        file="runtime/layer_time.py",
        old="np.cumsum([0, *(profile.cycles for profile in profiles)])",
        new="np.array([0, *(profile.end + 1 for profile in profiles)]) - profiles[0].begin",
        check=_LAYERS,
    ),
    Mutant(
        name="layer-programs-at-once",
        file="runtime/layer_time.py",
        old="        first += result.cycles\n",
        new="",
        check=_LAYERS,
    ),
    Mutant(
        name="layer-one-plane",
        file="runtime/layer_time.py",
        old='fields["n_z"][chosen] * fields["n_y"][chosen]',
        new='fields["n_z"][chosen]',
        check=_LAYERS,
    ),
    Mutant(
        name="layer-parameters-of-bytes",
        file="runtime/layer_time.py",
        old="config.vector_bytes(memory) for memory in Memory",
        new="config.cols for memory in Memory",
        check=_LAYERS,
    ),
    Mutant(
        name="layer-bound-by-the-rarest",
        file="runtime/layer_time.py",
        old="max(reasons, key=",
        new="min(reasons, key=",
        check=_LAYERS,
    ),
    Mutant(
        name="layer-bound-alone",
        file="runtime/layer_time.py",
        old="own.busy >= NEARLY * found.busy",
        new="own is found",
        check=_LAYERS,
    ),
    Mutant(
        name="page-programs-at-once",
        file="api/run_page.py",
        old="Spans(spans.begin + by, spans.end + by)",
        new="Spans(spans.begin, spans.end)",
        check=_PAGE,
    ),
    Mutant(
        name="page-roof-of-the-wrong-bus",
        file="api/run_figures.py",
        old="np.minimum(x * config.bus_bytes,",
        new="np.minimum(x * config.cols,",
        check=_PAGE,
    ),
    Mutant(
        name="page-both-ways-of-the-bus",
        file="api/run_figures.py",
        old="max(layer.moved.read, layer.moved.results)",
        new="layer.moved.total",
        check=_PAGE,
    ),
    Mutant(
        name="page-counts-beyond-the-edge",
        file="api/run_page_text.py",
        old="Math.max(state.end[low - 1] - edge, 0)",
        new="0",
        check=_PAGE,
    ),
    Mutant(
        name="page-sorts-texts",
        file="api/run_page_text.py",
        old="row.cells[column].dataset.key ?? row.cells[column].textContent",
        new="row.cells[column].textContent",
        check=_PAGE,
    ),
    Mutant(
        name="page-escapes-nothing",
        file="tune/page_frame.py",
        old='.replace("</", "<\\\\/")',
        new="",
        check=_PAGE,
    ),
    Mutant(
        name="perfetto-varint-of-eight-bits",
        file="runtime/protobuf.py",
        old="while value > 0x7F:",
        new="while value > 0xFF:",
        check=_WIRE,
    ),
    Mutant(
        name="perfetto-ends-at-the-finish",
        file="runtime/perfetto.py",
        old="heads.finish[flown] + 1 + first.cycle",
        new="heads.finish[flown] + first.cycle",
        check=_TRACE,
    ),
    Mutant(
        name="perfetto-one-lane",
        file="runtime/perfetto.py",
        old="lanes = _overlap(",
        new="lanes = 1 or _overlap(",
        check=_TRACE,
    ),
    Mutant(
        name="perfetto-flows-of-one-program",
        file="runtime/perfetto.py",
        old="    token = first.token\n",
        new="    token = 0\n",
        check=_TRACE,
    ),
    Mutant(
        name="perfetto-flows-backwards",
        file="runtime/perfetto.py",
        old="found[giver] += fixed(47, token)",
        new="found[giver] += fixed(48, token)",
        check=_TRACE,
    ),
    Mutant(
        name="perfetto-instructions-from-zero",
        file="runtime/perfetto.py",
        old="number(3, first.instruction + place)",
        new="number(3, place)",
        check=_TRACE,
    ),
    Mutant(
        name="perfetto-bytes-too-few",
        file="runtime/perfetto.py",
        old="moved.append(size_bytes[finish >= 0])",
        new="moved.append(size_bytes[finish >= 0] - 1)",
        check=_TRACE,
    ),
    Mutant(
        name="perfetto-out-of-order",
        file="runtime/perfetto.py",
        old="        self.events.sort(key=lambda event: event[0])\n",
        new="",
        check=_TRACE,
    ),
    Mutant(
        name="perfetto-queued-at-the-dispatch",
        file="runtime/perfetto.py",
        old="timeline.dispatched[own] + 1, head",
        new="timeline.dispatched[own], head",
        check=_TRACE,
    ),
    Mutant(
        name="node-data-of-layers",
        file="api/node_data.py",
        old="    return found if found in nodes else name\n",
        new="    return name\n",
        check=_NODES,
    ),
    Mutant(
        name="node-data-of-the-first-layer",
        file="api/node_data.py",
        old="sum(layer.profile.cycles for layer in each)",
        new="each[0].profile.cycles",
        check=_NODES,
    ),
)
