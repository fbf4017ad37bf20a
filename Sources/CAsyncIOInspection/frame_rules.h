// How to find a function's caller, as .eh_frame tells: DWARF 5, 6.4, and the Linux Standard Base's .eh_frame_hdr.
#pragma once
#include "casyncio_watchdog.h"

/// A function's description.
struct casyncio_function {
    uint64_t start, end;
    /// Its common part and its own: rules as bytes.
    const uint8_t *common, *common_end, *own, *own_end;
    uint64_t code_alignment;
    int64_t data_alignment;
    uint64_t return_register;
    bool is_signal;
};

/// Where a caller's register is.
struct casyncio_frame_rule {
    enum casyncio_rule {
        RULE_SAME,
        RULE_UNDEFINED,
        RULE_AT,
        RULE_IS,
        RULE_REGISTER,
        RULE_AT_RESULT,
        RULE_IS_RESULT,
    } kind;
    int64_t number;
    const uint8_t *code;
};

/// What holds at one place of a function.
struct casyncio_frame_rules {
    /// The frame's base: a register and a distance, or the result of a little program.
    bool is_expression;
    uint64_t base;
    int64_t distance;
    const uint8_t *code;
    struct casyncio_frame_rule registers[CASYNCIO_REGISTERS];
    uint64_t return_register;
    bool is_signal;
};

bool casyncio_find_function(uint64_t address, struct casyncio_function *function);
bool casyncio_frame_rules_at(const struct casyncio_function *function, uint64_t address,
                             struct casyncio_frame_rules *rules);
/// Turns the registers of a function into those of its caller. `load` reads the stack.
bool casyncio_apply_frame_rules(const struct casyncio_frame_rules *rules,
                                bool (*load)(const void *context, uint64_t address, uint64_t *value),
                                const void *context, uint64_t *registers, uint64_t *known, uint64_t *base);
