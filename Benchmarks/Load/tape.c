#define _GNU_SOURCE
#include "tape.h"
#include <string.h>

unsigned char tape[TAPE_PERIOD + LARGEST_PIECE];

void tape_record(void) {
    uint64_t state = 0x9e3779b97f4a7c15;
    for (size_t index = 0; index < TAPE_PERIOD; index++) {
        // xorshift64*: the same bytes in every run, so that counts can be repeated.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        tape[index] = (unsigned char)((state * 0x2545f4914f6cdd1d) >> 56);
    }
    for (size_t index = TAPE_PERIOD; index < sizeof tape; index++) tape[index] = tape[index - TAPE_PERIOD];
}

TapeFault tape_fault(const unsigned char *bytes, size_t count, uint32_t start, uint64_t position) {
    const unsigned char *expected = tape_at(start, position);
    TapeFault fault = {0};
    while (fault.offset < count && bytes[fault.offset] == expected[fault.offset]) fault.offset++;
    // By chance the first bytes of what was inserted can be right: eight bytes from here are found in one place only.
    size_t rest = count - fault.offset;
    if (rest < 8) return fault;
    const unsigned char *found = memmem(tape, TAPE_PERIOD + 8, bytes + fault.offset, 8);
    if (!found) return fault;
    fault.is_elsewhere = true;
    fault.shift = (int64_t)(found - tape) - (int64_t)((start + position + fault.offset) % TAPE_PERIOD);
    if (fault.shift > TAPE_PERIOD / 2) fault.shift -= TAPE_PERIOD;
    if (fault.shift < -TAPE_PERIOD / 2) fault.shift += TAPE_PERIOD;
    return fault;
}
