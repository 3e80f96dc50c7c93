"""What is written is what the protobuf package reads."""

from hypothesis import given
from hypothesis import strategies as st
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as schema

from tilewright.runtime.protobuf import fixed, message, number, text


@given(value=st.integers(0, 2**64 - 1))
def test_numbers_of_any_size(value):
    assert schema.TracePacket.FromString(number(8, value)).timestamp == value


@given(values=st.lists(st.integers(0, 2**64 - 1)))
def test_fixed_numbers(values):
    found = schema.TrackEvent.FromString(b"".join(fixed(47, value) for value in values))
    assert list(found.flow_ids) == values


@given(name=st.text(), pid=st.integers(0, 2**31 - 1))
def test_texts_and_messages(name, pid):
    inner = (text(6, name), number(1, pid))
    found = schema.TrackDescriptor.FromString(message(3, *inner))
    assert (found.process.process_name, found.process.pid) == (name, pid)
