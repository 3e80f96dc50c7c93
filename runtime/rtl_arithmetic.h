// Verilator's signed arithmetic of up to 32 bits in the terms of the processor: a sign extension is two shifts,
// which compilers know as one instruction, where Verilator's own negates the sign bit and compares in 64 bits.
//
// For text that is included behind this; macros, because the names are those of functions of Verilator's headers.
// As there, values have no bits above their width (`bits`), and results may.

#pragma once

#include <cstdint>

#include "verilated.h"

namespace tilewright {

inline int32_t extended(int bits, IData value) { return static_cast<int32_t>(value << (32 - bits)) >> (32 - bits); }
inline int64_t extended_wide(int bits, QData value) {
    return static_cast<int64_t>(value << (64 - bits)) >> (64 - bits);
}

}  // namespace tilewright

#define VL_EXTENDS_II(to, bits, value) static_cast<IData>(tilewright::extended(bits, value))
#define VL_EXTENDS_QI(to, bits, value) static_cast<QData>(tilewright::extended_wide(bits, value))
#define VL_EXTENDS_QQ(to, bits, value) static_cast<QData>(tilewright::extended_wide(bits, value))
#define VL_MULS_III(bits, a, b) (VL_EXTENDS_II(32, bits, a) * VL_EXTENDS_II(32, bits, b))
#define VL_GTS_III(bits, a, b) static_cast<IData>(tilewright::extended(bits, a) > tilewright::extended(bits, b))
#define VL_LTS_III(bits, a, b) static_cast<IData>(tilewright::extended(bits, a) < tilewright::extended(bits, b))
#define VL_GTES_III(bits, a, b) static_cast<IData>(tilewright::extended(bits, a) >= tilewright::extended(bits, b))
#define VL_LTES_III(bits, a, b) static_cast<IData>(tilewright::extended(bits, a) <= tilewright::extended(bits, b))
