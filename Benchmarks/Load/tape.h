// What is sent, so that every byte that comes back can be checked against its place.
//
// All connections send from one endless tape of random bytes, which repeats after TAPE_PERIOD bytes, a prime; each
// begins at a place of its own. A byte that is changed, lost, doubled, or belongs to somebody else then stands beside
// the wrong neighbours, and is noticed by one memcmp with the tape, without a copy of what was sent. The period fits
// into a core's cache, and no payload of a usual size divides it.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TAPE_PERIOD = 65521, LARGEST_PIECE = 1 << 20 };

extern unsigned char tape[TAPE_PERIOD + LARGEST_PIECE];

void tape_record(void);

// Where a connection's tape begins. The step is prime to the period, so that neighbours are far from each other.
static inline uint32_t tape_start(uint64_t connection) {
    return (uint32_t)((connection * 25903) % TAPE_PERIOD);
}

// The bytes from a position on: LARGEST_PIECE of them can be read.
static inline const unsigned char *tape_at(uint32_t start, uint64_t position) {
    return tape + (start + position) % TAPE_PERIOD;
}

// What is wrong with bytes that are not what they should be.
typedef struct {
    size_t offset;       // the first wrong byte
    bool is_elsewhere;   // these bytes stand elsewhere on the tape: lost, doubled or somebody else's
    int64_t shift;       // by how many bytes they are off, if they are of the same connection
} TapeFault;

TapeFault tape_fault(const unsigned char *bytes, size_t count, uint32_t start, uint64_t position);
