// Drives the compiled gates in blocks of many cycles: clock, memory outside, host registers, trace.
//
// The build defines BUS_BYTES and ENGINES. One Harness is one machine with its own state; calls on one Harness
// must not overlap.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include "Vbench.h"
#include "verilated.h"

namespace {

constexpr int64_t NEVER = -1;
// Streams of events: the starts of each engine, the dispatches of fetch, the finishes of each engine.
constexpr unsigned STARTS = ENGINES + 1;
constexpr unsigned STREAMS = STARTS + ENGINES;
// A register access that takes longer has found gates that do not answer.
constexpr unsigned REGISTER_CYCLES = 1000;
constexpr unsigned RESET_CYCLES = 4;

template <typename Port>
uint8_t* bytes_of(Port& port) {
    static_assert(sizeof(Port) >= BUS_BYTES, "the port must be as wide as the bus");
    return reinterpret_cast<uint8_t*>(&port);
}

struct Harness {
    VerilatedContext context;
    std::unique_ptr<Vbench> gates;

    uint8_t* memory = nullptr;
    uint64_t memory_bytes = 0;
    int64_t silent_from = NEVER;

    int64_t* events = nullptr;  // [STREAMS][capacity]
    uint64_t capacity = 0;
    uint64_t counts[STREAMS] = {};

    int64_t cycle = NEVER;  // of the running program; NEVER while the machine stands
    int64_t cycles = 0;     // that the last program took
    bool ended = false;     // since the last launch

    Harness() : gates(new Vbench(&context)) { settle(); }
    ~Harness() { gates->final(); }

    // Let the gates see the inputs of this cycle, and do what they ask of the memory outside.
    void settle() {
        // It acts in the next cycle; cycle 0 comes after any number of cycles in which the machine stands.
        if (silent_from != NEVER && cycle + 1 >= silent_from) gates->silent = 1;
        if (gates->read_enable) read_memory();
        gates->clk = 0;
        gates->eval();
    }

    void read_memory() {
        uint8_t* data = bytes_of(gates->read_data);
        const uint64_t address = gates->read_address;
        const uint64_t there = address < memory_bytes ? std::min<uint64_t>(memory_bytes - address, BUS_BYTES) : 0;
        if (there < BUS_BYTES) std::memset(data, 0, BUS_BYTES);
        if (there) std::memcpy(data, memory + address, there);
    }

    void write_memory() {
        const uint8_t* data = bytes_of(gates->write_data);
        const uint64_t address = gates->write_address;
        const uint64_t strobe = gates->write_strobe;
        for (unsigned lane = 0; lane < BUS_BYTES; ++lane)
            if ((strobe >> lane & 1) && address + lane < memory_bytes) memory[address + lane] = data[lane];
    }

    void log(unsigned stream) {
        if (counts[stream] < capacity) events[stream * capacity + counts[stream]] = cycle;
        ++counts[stream];
    }

    void log_events() {
        const unsigned raised = gates->trace_start | gates->trace_finish << STARTS;
        if (!raised) return;
        for (unsigned stream = 0; stream < STREAMS; ++stream)
            if (raised >> stream & 1) log(stream);
    }

    // End this cycle with its clock edge, and settle the next one.
    void step() {
        if (cycle != NEVER) log_events();
        if (gates->write_enable) write_memory();
        gates->clk = 1;
        gates->eval();
        follow_running();
        settle();
    }

    void follow_running() {
        if (gates->trace_running) {
            ++cycle;
        } else if (cycle != NEVER) {
            cycles = cycle + 1;
            cycle = NEVER;
            ended = true;
        }
    }

    void reset() {
        gates->reset = 1;
        for (unsigned i = 0; i < RESET_CYCLES; ++i) step();
        gates->reset = 0;
        step();  // in which it still acts
        cycle = NEVER;
        ended = false;
    }

    bool write_register(uint32_t address, uint32_t value) {
        gates->s_axi_awaddr = address;
        gates->s_axi_wdata = value;
        gates->s_axi_wstrb = 0xf;
        gates->s_axi_awvalid = gates->s_axi_wvalid = 1;
        for (unsigned i = 0; i < REGISTER_CYCLES && (gates->s_axi_awvalid || gates->s_axi_wvalid); ++i) {
            settle();
            const bool address_taken = gates->s_axi_awready, data_taken = gates->s_axi_wready;
            step();
            if (address_taken) gates->s_axi_awvalid = 0;
            if (data_taken) gates->s_axi_wvalid = 0;
        }
        gates->s_axi_bready = 1;
        bool accepted = false;
        const bool answered = pass([&] { accepted = gates->s_axi_bresp == 0; return gates->s_axi_bvalid; });
        gates->s_axi_bready = 0;
        settle();
        return answered && accepted;
    }

    bool read_register(uint32_t address, uint32_t* value) {
        gates->s_axi_araddr = address;
        gates->s_axi_arvalid = 1;
        const bool asked = pass([&] { return gates->s_axi_arready; });
        gates->s_axi_arvalid = 0;
        gates->s_axi_rready = 1;
        bool accepted = false;
        const bool answered = pass([&] {
            *value = gates->s_axi_rdata;
            accepted = gates->s_axi_rresp == 0;
            return gates->s_axi_rvalid;
        });
        gates->s_axi_rready = 0;
        settle();
        return asked && answered && accepted;
    }

    // Wait for the cycle of a handshake, and end it; false if it never comes.
    template <typename Handshake>
    bool pass(Handshake handshake) {
        for (unsigned i = 0; i < REGISTER_CYCLES; ++i) {
            settle();
            const bool done = handshake();
            step();
            if (done) return true;
        }
        return false;
    }
};

}  // namespace

extern "C" {

// A machine that was just powered up.
Harness* tilewright_create() {
    auto* harness = new Harness;
    harness->reset();
    return harness;
}

void tilewright_destroy(Harness* harness) { delete harness; }

// Reset machine and memory model; memories on the chip keep their contents.
void tilewright_reset(Harness* harness) { harness->reset(); }

// The memory outside: its parameters, and the bytes that it serves.
void tilewright_attach(Harness* harness, uint8_t* memory, uint64_t bytes, uint32_t latency, uint32_t outstanding,
                       int64_t silent_from) {
    harness->memory = memory;
    harness->memory_bytes = bytes;
    harness->silent_from = silent_from;
    harness->gates->silent = 0;
    harness->gates->latency = latency;
    harness->gates->outstanding = outstanding;
    harness->gates->size = bytes;
    harness->settle();
}

// Write events[stream][0 .. capacity) from here on; counts start again at 0.
void tilewright_trace(Harness* harness, int64_t* events, uint64_t capacity) {
    harness->events = events;
    harness->capacity = capacity;
    std::fill_n(harness->counts, STREAMS, 0);
    harness->ended = false;
}

// Registers written in order; how many were accepted.
uint64_t tilewright_write(Harness* harness, const uint32_t* addresses, const uint32_t* values, uint64_t count) {
    uint64_t done = 0;
    while (done < count && harness->write_register(addresses[done], values[done])) ++done;
    return done;
}

// Registers read in order; how many answered.
uint64_t tilewright_read(Harness* harness, const uint32_t* addresses, uint32_t* values, uint64_t count) {
    uint64_t done = 0;
    while (done < count && harness->read_register(addresses[done], values + done)) ++done;
    return done;
}

// Step until the program has ended, at most `limit` cycles; 1 if it has ended.
int tilewright_advance(Harness* harness, uint64_t limit) {
    for (uint64_t i = 0; i < limit && !harness->ended; ++i) harness->step();
    return harness->ended;
}

// Cycles of the program that ended last.
int64_t tilewright_cycles(const Harness* harness) { return harness->cycles; }

// Events of each stream since tilewright_trace, also those beyond the capacity.
void tilewright_counts(const Harness* harness, uint64_t* counts) {
    std::copy_n(harness->counts, STREAMS, counts);
}
}
