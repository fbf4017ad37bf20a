// Timers in a heap of four, as loops in C have them, and children by posix_spawn: both peers use these.
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "common.h"

struct entry {
    int64_t deadline;
    uint32_t timer;
};
static struct entry *heap;
static uint32_t *place, heap_count;  // where each timer is in the heap

static void put(uint32_t at, struct entry entry) {
    heap[at] = entry;
    place[entry.timer] = at;
}

static void sift_up(uint32_t at, struct entry entry) {
    while (at > 0 && entry.deadline < heap[(at - 1) / 4].deadline) {
        put(at, heap[(at - 1) / 4]);
        at = (at - 1) / 4;
    }
    put(at, entry);
}

static void sift_down(uint32_t at, struct entry entry) {
    for (;;) {
        uint32_t first = at * 4 + 1, least = first;
        if (first >= heap_count) break;
        for (uint32_t child = first + 1; child < first + 4 && child < heap_count; child++)
            if (heap[child].deadline < heap[least].deadline) least = child;
        if (entry.deadline <= heap[least].deadline) break;
        put(at, heap[least]);
        at = least;
    }
    put(at, entry);
}

static void timer_insert(uint32_t timer, int64_t deadline) {
    sift_up(heap_count++, (struct entry){deadline, timer});
}

static void timer_cancel(uint32_t timer) {
    uint32_t at = place[timer];
    struct entry last = heap[--heap_count];
    if (at == heap_count) return;
    if (at > 0 && last.deadline < heap[(at - 1) / 4].deadline) sift_up(at, last);
    else sift_down(at, last);
}

static void insert_all(long count, int64_t from, int64_t span) {
    for (long i = 0; i < count; i++) timer_insert(i, from + spread(i, span));
}

static void make_heap(long count) {
    heap = malloc(count * sizeof *heap);
    place = malloc(count * sizeof *place);
    if (!heap || !place) die("malloc");
}

void work_timers(long count) {
    make_heap(count);
    insert_all(count / 10, now() + 60000000000, 60000000000);
    while (heap_count) timer_cancel(heap[0].timer);
    struct mark from = begin();
    insert_all(count, now() + 60000000000, 60000000000);
    int64_t between = now();
    for (long i = 0; i < count; i++) timer_cancel(i);
    report("timers", count, from, ",\"insert_ns\":%lld,\"cancel_ns\":%lld", (long long)(between - from.wall),
           (long long)(now() - between));
}

void work_timers_fire(long count, void (*wait_until)(int64_t)) {
    make_heap(count);
    struct mark from = begin();
    int64_t start = now() + 1000000000, time = 0, last = 0;
    insert_all(count, start, 1000000000);
    long early = 0;
    while (heap_count) {
        if (time < heap[0].deadline) wait_until(heap[0].deadline);
        time = now();
        while (heap_count && heap[0].deadline <= time) {  // once more than one is due, the clock is not read for each
            last = heap[0].deadline;
            if (time < last) early++;
            timer_cancel(heap[0].timer);
        }
    }
    report("timers-fire", count, from, ",\"late_ns\":%lld,\"early\":%ld", (long long)(time - last), early);
}

void work_children(long count) {
    extern char **environ;
    char *arguments[] = {"/bin/true", NULL};
    struct mark from = {0};
    for (long i = -count / 10; i < count; i++) {
        if (i <= 0) from = begin();
        pid_t child;
        int status;
        if (posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ)) die("posix_spawn");
        if (waitpid(child, &status, 0) != child || status != 0) die("waitpid");
    }
    report("children", count, from, "");
}

int run(int count, char **arguments, const struct peer *peer) {
    const char *work = count > 1 ? arguments[1] : "";
    long number = count > 2 ? atol(arguments[2]) : 0;
    if (!strcmp(work, "echo")) peer->streams(number, 0);
    else if (!strcmp(work, "proxy") && count > 3) peer->streams(number, atoi(arguments[3]));
    else if (!strcmp(work, "udp")) peer->datagrams(number);
    else if (!strcmp(work, "timers")) work_timers(number);
    else if (!strcmp(work, "timers-fire")) work_timers_fire(number, peer->wait_until);
    else if (!strcmp(work, "children")) work_children(number);
    else if (!strcmp(work, "files")) peer->files(number);
    else if (!strcmp(work, "cross")) peer->cross(number);
    else if (strcmp(work, "start")) cannot(work, "C has no tasks");
    return 0;
}
