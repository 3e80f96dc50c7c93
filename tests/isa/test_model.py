"""Compiled models read back as they were written, and what is none is refused with its reason."""

import json
from dataclasses import replace

import pytest

import network
from tilewright.isa.container import ExecutableError
from tilewright.isa.executable import Executable
from tilewright.isa.model import Binding, HostView, Layer, Model, ModelError, is_model
from tilewright.isa.region import Region

MODEL = network.make_model(graph="graph é", tensors=b"\0\1")


def changed(section, data):
    """The model's executable with another section."""
    executable = MODEL.to_executable()
    return replace(executable, sections={**executable.sections, section: data})


def described(change):
    """The same with another description."""
    value = json.loads(MODEL.to_executable().sections["model"])
    change(value)
    return changed("model", json.dumps(value).encode())


def test_a_file_reads_back_exactly(tmp_path):
    MODEL.save(tmp_path / "a.twx")
    again = Model.load(tmp_path / "a.twx")
    assert again == MODEL
    again.save(tmp_path / "b.twx")
    assert (tmp_path / "a.twx").read_bytes() == (tmp_path / "b.twx").read_bytes()


def test_a_model_is_an_executable_with_sections():
    executable = MODEL.to_executable()
    assert executable.code == MODEL.executable.code
    assert executable.sections.keys() == {"model", "constants", "graph", "tensors"}
    assert is_model(executable)
    assert not is_model(MODEL.executable)


def test_sections_of_others_are_kept():
    kept = Model.from_executable(changed("theirs", b"abc"))
    assert kept.executable.sections == {"theirs": b"abc"}
    assert kept.to_executable().sections["theirs"] == b"abc"


def test_sums_are_derived():
    assert MODEL.macs == (5 * 6 + 6 * 3) * 6
    assert MODEL.instructions == len(MODEL.executable.program())
    assert MODEL.config == network.CONFIG


def test_a_plain_program_is_told_apart(tmp_path):
    MODEL.executable.save(tmp_path / "a.twx")
    with pytest.raises(
        ModelError, match=r"a.twx: is a program, not a compiled model: run it with its memory"
    ):
        Model.load(tmp_path / "a.twx")


@pytest.mark.parametrize(
    "change", [lambda data: data[:-9], lambda data: data[:60], lambda data: b"PK" + data]
)
def test_a_file_that_is_not_whole_is_refused(tmp_path, change):
    path = tmp_path / "a.twx"
    MODEL.save(path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ExecutableError, match=r"a.twx: is (cut short|no Tilewright executable)"):
        Model.load(path)


@pytest.mark.parametrize(
    ("executable", "message"),
    [
        (described(lambda d: d.update(format=1)), "has model format 1, not 3: compile it anew"),
        (described(lambda d: d.pop("layers")), r"do not follow the format: KeyError\('layers'\)"),
        (described(lambda d: d["inputs"][0].update(colour=1)), "do not follow the format: TypeError"),
        (described(lambda d: d.update(inputs=3)), "do not follow the format: TypeError"),
        (
            described(lambda d: d["inputs"][0].update(scale="1")),
            "scale must be a finite number above 0, not '1'",
        ),
        (changed("model", b"{"), "do not follow the format: JSONDecodeError"),
        (changed("model", b"[]"), "do not follow the format: TypeError"),
        (changed("graph", b"\xff"), "do not follow the format: UnicodeDecodeError"),
        (changed("constants", b""), "region 0 must have the 0 bytes of the constants, not"),
    ],
)
def test_sections_that_do_not_fit_are_refused(executable, message):
    with pytest.raises(ModelError, match=message):
        Model.from_executable(executable)


def test_a_model_that_lacks_sections_is_refused():
    executable = replace(MODEL.executable, sections={"model": b"{}", "graph": b""})
    with pytest.raises(ModelError, match="lacks constants and tensors of a compiled model: compile it anew"):
        Model.from_executable(executable)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": ()}, "a model must have an input"),
        ({"outputs": ()}, "a model must have an output"),
        (
            {"inputs": (network.INPUT, replace(network.INPUT, shape=(30,), picture=(30, 1, 1)))},
            "input 'x' must have one shape wherever it lies",
        ),
        ({"outputs": (network.OUTPUT,) * 2}, "output 'y' must be there once"),
        ({"inputs": (network.OUTPUT,)}, "input 'y' must lie in region 1, not 2"),
        (
            {"outputs": (replace(network.OUTPUT, offset=9),)},
            "'y' must end within the 24 bytes of region 2, not at 33",
        ),
        (
            {"layers": (Layer("a", "", 0, 9, 0), Layer("b", "", 8, 1, 0))},
            "layer 'b' must begin at instruction 9",
        ),
        (
            {"layers": (Layer("a", "", 0, 999, 0),)},
            "must end within the [0-9]+ instructions of the program, not at 999",
        ),
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(change, message):
    with pytest.raises(ModelError, match=message):
        network.make_model(**change)


def test_every_reason_is_told_at_once():
    with pytest.raises(ModelError) as error:
        network.make_model(inputs=(), outputs=(), layers=(Layer("a", "", 0, 999, 0),))
    assert str(error.value).count(";") == 2


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("name", "", "its name must be a text that is not empty"),
        ("shape", (5, 0), "must be positive sizes"),
        ("picture", (30, 1), "must be positive sizes"),
        ("picture", (5, 2, 4), "must have as many elements"),
        ("region", 3, "region must be 1 or 2, not 3"),
        ("offset", -1, "offset must be an integer from 0 on, not -1"),
        ("offset", True, "offset must be an integer from 0 on, not True"),
        ("scale", 0.0, "scale must be a finite number above 0"),
        ("scale", float("nan"), "scale must be a finite number above 0"),
        ("zero_point", 128, "zero_point must be an int8, not 128"),
        ("views", 3, "views must be views, not 3"),
        ("views", (HostView((5, 6), (5, 7), (1, 0)),), "must have as many elements, step by step"),
    ],
)
def test_a_binding_that_cannot_be_is_refused(member, value, message):
    with pytest.raises(ModelError, match=message):
        replace(network.INPUT, **{member: value})


@pytest.mark.parametrize(
    ("sizes", "padded", "order"),
    [
        ((5, 6), (5,), (0, 1)),
        ((5, 6), (4, 6), (0, 1)),
        ((5, 6), (5, 6), (0, 0)),
        ((5, 6), (5, 6), (0,)),
        ((5, -6), (5, 6), (0, 1)),
        ((5, 6), (5, 6), 3),
    ],
)
def test_a_view_that_cannot_be_is_refused(sizes, padded, order):
    with pytest.raises(ModelError, match="must"):
        HostView(sizes, padded, order)


def test_views_read_back(tmp_path):
    views = (HostView((5, 6), (5, 6), (1, 0)), HostView((6, 5), (6, 5), (1, 0)))
    model = network.make_model(inputs=(replace(network.INPUT, views=views),))
    model.save(tmp_path / "a.twx")
    assert Model.load(tmp_path / "a.twx") == model
    with pytest.raises(ModelError, match="do not follow the format"):
        Model.from_executable(described(lambda d: d["inputs"][0].update(views=[3])))


def test_a_scalar_has_one_element():
    assert Binding("s", (), (1, 1, 1), 2, 0, 1.0, 0).size_bytes(network.CONFIG) == 4


@pytest.mark.parametrize("member", ["first", "count", "macs"])
def test_a_layer_that_cannot_be_is_refused(member):
    with pytest.raises(ModelError, match=f"layer 'a': {member} must be an integer from 0 on, not -1"):
        Layer(**{"name": "a", "operator": "b", "first": 0, "count": 0, "macs": 0, member: -1})


def test_a_model_without_constants_needs_no_region_for_them():
    regions = [region for region in MODEL.executable.regions if region.base]
    bare = Executable(MODEL.executable.code, MODEL.config, (*regions, Region(0, 0, "")))
    assert network.make_model(executable=bare, constants=b"").constants == b""
