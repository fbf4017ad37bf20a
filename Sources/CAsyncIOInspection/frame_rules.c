#include "frame_rules.h"
#include "frame_reader.h"

static void set_rule(struct casyncio_frame_rules *rules, uint64_t number, enum casyncio_rule kind, int64_t value) {
    if (number >= CASYNCIO_REGISTERS) return;
    rules->registers[number] = (struct casyncio_frame_rule){.kind = kind, .number = value};
}

static void skip_block(struct reader *reader) {
    uint64_t size = unsigned_number(reader);
    if (size > (uint64_t)(reader->end - reader->at)) reader->failed = true;
    else reader->at += size;
}

static void set_code(struct casyncio_frame_rules *rules, struct reader *reader, enum casyncio_rule kind) {
    uint64_t number = unsigned_number(reader);
    const uint8_t *code = reader->at;
    skip_block(reader);
    set_rule(rules, number, kind, 0);
    if (number < CASYNCIO_REGISTERS) rules->registers[number].code = code;
}

/// Runs the rules up to an address. `initial` is what the common part has said.
static bool run(const struct casyncio_function *function, const uint8_t *from, const uint8_t *end, uint64_t address,
                const struct casyncio_frame_rules *initial, struct casyncio_frame_rules *rules) {
    enum { DEPTH = 8 };
    struct casyncio_frame_rules remembered[DEPTH];
    size_t depth = 0;
    uint64_t place = function->start, number;
    struct reader reader = {from, end, false};
    while (reader.at < reader.end && !reader.failed) {
        uint8_t byte = (uint8_t)fixed(&reader, 1);
        uint64_t low = byte & 0x3f, advance = 0;
        switch (byte >> 6) {
        case 1: advance = low; break;
        case 2: set_rule(rules, low, RULE_AT, (int64_t)unsigned_number(&reader) * function->data_alignment); continue;
        case 3: if (low < CASYNCIO_REGISTERS) rules->registers[low] = initial->registers[low]; continue;
        default:
            switch (low) {
            case 0x00: continue;
            case 0x01: return false;
            case 0x02: advance = fixed(&reader, 1); break;
            case 0x03: advance = fixed(&reader, 2); break;
            case 0x04: advance = fixed(&reader, 4); break;
            case 0x05:
                number = unsigned_number(&reader);
                set_rule(rules, number, RULE_AT, (int64_t)unsigned_number(&reader) * function->data_alignment);
                continue;
            case 0x06:
                number = unsigned_number(&reader);
                if (number < CASYNCIO_REGISTERS) rules->registers[number] = initial->registers[number];
                continue;
            case 0x07: set_rule(rules, unsigned_number(&reader), RULE_UNDEFINED, 0); continue;
            case 0x08: set_rule(rules, unsigned_number(&reader), RULE_SAME, 0); continue;
            case 0x09:
                number = unsigned_number(&reader);
                set_rule(rules, number, RULE_REGISTER, (int64_t)unsigned_number(&reader));
                continue;
            case 0x0a:
                if (depth == DEPTH) return false;
                remembered[depth++] = *rules;
                continue;
            case 0x0b:
                if (depth == 0) return false;
                *rules = remembered[--depth];
                continue;
            case 0x0c:
                rules->is_expression = false;
                rules->base = unsigned_number(&reader);
                rules->distance = (int64_t)unsigned_number(&reader);
                continue;
            case 0x0d: rules->base = unsigned_number(&reader); continue;
            case 0x0e: rules->distance = (int64_t)unsigned_number(&reader); continue;
            case 0x0f:
                rules->is_expression = true;
                rules->code = reader.at;
                skip_block(&reader);
                continue;
            case 0x10: set_code(rules, &reader, RULE_AT_RESULT); continue;
            case 0x11:
                number = unsigned_number(&reader);
                set_rule(rules, number, RULE_AT, signed_number(&reader) * function->data_alignment);
                continue;
            case 0x12:
                rules->is_expression = false;
                rules->base = unsigned_number(&reader);
                rules->distance = signed_number(&reader) * function->data_alignment;
                continue;
            case 0x13: rules->distance = signed_number(&reader) * function->data_alignment; continue;
            case 0x14:
                number = unsigned_number(&reader);
                set_rule(rules, number, RULE_IS, (int64_t)unsigned_number(&reader) * function->data_alignment);
                continue;
            case 0x15:
                number = unsigned_number(&reader);
                set_rule(rules, number, RULE_IS, signed_number(&reader) * function->data_alignment);
                continue;
            case 0x16: set_code(rules, &reader, RULE_IS_RESULT); continue;
            // Return addresses are signed on arm64: the signature is taken off everywhere.
            case 0x2d: continue;
            case 0x2e: unsigned_number(&reader); continue;
            default: return false;
            }
        }
        place += advance * function->code_alignment;
        if (place > address) break;
    }
    return !reader.failed;
}

bool casyncio_frame_rules_at(const struct casyncio_function *function, uint64_t address,
                             struct casyncio_frame_rules *rules) {
    memset(rules, 0, sizeof *rules);
    struct casyncio_frame_rules initial = *rules;
    if (!run(function, function->common, function->common_end, UINT64_MAX, &initial, rules)) return false;
    initial = *rules;
    if (!run(function, function->own, function->own_end, address, &initial, rules)) return false;
    rules->return_register = function->return_register;
    rules->is_signal = function->is_signal;
    return rules->is_expression || rules->base < CASYNCIO_REGISTERS;
}

// MARK: Little programs

struct machine {
    bool (*load)(const void *context, uint64_t address, uint64_t *value);
    const void *context;
    const uint64_t *registers;
    uint64_t known;
};

/// Evaluates what linkers and C libraries write: sums and comparisons of registers, and loads.
static bool evaluate(const struct machine *machine, const uint8_t *code, const uint64_t *first, uint64_t *result) {
    enum { DEPTH = 16 };
    uint64_t stack[DEPTH + 2];
    size_t depth = 0;
    struct reader reader = {code, code + 16, false};
    uint64_t size = unsigned_number(&reader);
    reader.end = reader.at + size;
    if (first != NULL) stack[depth++] = *first;
    while (reader.at < reader.end && !reader.failed) {
        uint8_t byte = (uint8_t)fixed(&reader, 1);
        uint64_t value;
        if (depth >= DEPTH) return false;
        if (byte >= 0x70 && byte <= 0x8f) {
            uint64_t number = byte - 0x70;
            if (number >= CASYNCIO_REGISTERS || !(machine->known >> number & 1)) return false;
            stack[depth++] = machine->registers[number] + (uint64_t)signed_number(&reader);
            continue;
        }
        if (byte >= 0x30 && byte <= 0x4f) {
            stack[depth++] = byte - 0x30;
            continue;
        }
        switch (byte) {
        case 0x08: stack[depth++] = fixed(&reader, 1); continue;
        case 0x09: stack[depth++] = (uint64_t)(int64_t)(int8_t)fixed(&reader, 1); continue;
        case 0x0a: stack[depth++] = fixed(&reader, 2); continue;
        case 0x10: stack[depth++] = unsigned_number(&reader); continue;
        case 0x11: stack[depth++] = (uint64_t)signed_number(&reader); continue;
        default: break;
        }
        if (depth == 0) return false;
        switch (byte) {
        case 0x06:
            if (!machine->load(machine->context, stack[depth - 1], &value)) return false;
            stack[depth - 1] = value;
            continue;
        case 0x12: stack[depth] = stack[depth - 1]; depth++; continue;
        case 0x23: stack[depth - 1] += unsigned_number(&reader); continue;
        default: break;
        }
        if (depth < 2) return false;
        uint64_t left = stack[depth - 2], right = stack[depth - 1];
        depth--;
        switch (byte) {
        case 0x1a: stack[depth - 1] = left & right; continue;
        case 0x1c: stack[depth - 1] = left - right; continue;
        case 0x22: stack[depth - 1] = left + right; continue;
        case 0x24: stack[depth - 1] = right < 64 ? left << right : 0; continue;
        case 0x2a: stack[depth - 1] = (int64_t)left >= (int64_t)right; continue;
        default: return false;
        }
    }
    if (reader.failed || depth == 0) return false;
    *result = stack[depth - 1];
    return true;
}

bool casyncio_apply_frame_rules(const struct casyncio_frame_rules *rules,
                                bool (*load)(const void *context, uint64_t address, uint64_t *value),
                                const void *context, uint64_t *registers, uint64_t *known, uint64_t *base) {
    uint64_t before[CASYNCIO_REGISTERS], was_known = *known;
    memcpy(before, registers, sizeof before);
    struct machine machine = {load, context, before, was_known};
    if (rules->is_expression) {
        if (!evaluate(&machine, rules->code, NULL, base)) return false;
    } else {
        if (!(was_known >> rules->base & 1)) return false;
        *base = before[rules->base] + (uint64_t)rules->distance;
    }
    for (uint64_t i = 0; i < CASYNCIO_REGISTERS; i++) {
        const struct casyncio_frame_rule *rule = &rules->registers[i];
        uint64_t value = before[i];
        bool is_known = was_known >> i & 1;
        switch (rule->kind) {
        case RULE_SAME: break;
        case RULE_UNDEFINED: is_known = false; break;
        case RULE_AT: is_known = load(context, *base + (uint64_t)rule->number, &value); break;
        case RULE_IS: value = *base + (uint64_t)rule->number, is_known = true; break;
        case RULE_REGISTER:
            is_known = (uint64_t)rule->number < CASYNCIO_REGISTERS && (was_known >> rule->number & 1);
            if (is_known) value = before[rule->number];
            break;
        case RULE_AT_RESULT:
            is_known = evaluate(&machine, rule->code, base, &value) && load(context, value, &value);
            break;
        case RULE_IS_RESULT: is_known = evaluate(&machine, rule->code, base, &value); break;
        }
#if defined(__aarch64__)
        // The address bits of a return address that the function has signed.
        if (i == rules->return_register) value &= 0x0000ffffffffffff;
#endif
        registers[i] = value;
        if (is_known) *known |= 1ull << i;
        else *known &= ~(1ull << i);
    }
    return true;
}
