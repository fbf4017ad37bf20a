// libuv 1.40 or later, one loop.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "servers.h"

uv_loop_t *loop;
static struct mark from;
static long total, measured, left;  // operations with those to warm up, without, and still to do

// Timers count in whole milliseconds: each is set to the first that is not early.
static uint64_t milliseconds_until(int64_t deadline) {
    int64_t rounded = (deadline + 999999) / 1000000, now = uv_now(loop);
    return rounded > now ? rounded - now : 0;
}

static void do_nothing(uv_timer_t *timer) { (void)timer; }

static int64_t insert_and_cancel(uv_timer_t *timers, long count, int64_t *inserted) {
    uv_update_time(loop);
    int64_t start = uv_hrtime(), first = start + 60000000000;
    for (long i = 0; i < count; i++) {
        uv_timer_init(loop, &timers[i]);
        uv_timer_start(&timers[i], do_nothing, milliseconds_until(first + spread(i, 60000000000)), 0);
    }
    *inserted = uv_hrtime() - start;
    for (long i = 0; i < count; i++) uv_timer_stop(&timers[i]);
    return uv_hrtime() - start - *inserted;
}

static void timers(long count) {
    uv_timer_t *all = malloc(count * sizeof *all), *few = malloc((count / 10 + 1) * sizeof *few);
    int64_t inserted;
    insert_and_cancel(few, count / 10, &inserted);
    from = begin();
    int64_t cancelled = insert_and_cancel(all, count, &inserted);
    report("timers", count, from, ",\"insert_ns\":%lld,\"cancel_ns\":%lld", (long long)inserted, (long long)cancelled);
}

struct firing {
    uv_timer_t timer;
    int64_t deadline;
};
static long early;

static void on_fire(uv_timer_t *timer) {
    early += (int64_t)uv_hrtime() < ((struct firing *)timer)->deadline;
    left--;
}

static void timers_fire(long count) {
    struct firing *all = malloc(count * sizeof *all);
    from = begin();
    uv_update_time(loop);
    int64_t start = uv_hrtime() + 1000000000, last = start;
    left = count;
    for (long i = 0; i < count; i++) {
        all[i].deadline = start + spread(i, 1000000000);
        if (all[i].deadline > last) last = all[i].deadline;
        uv_timer_init(loop, &all[i].timer);
        uv_timer_start(&all[i].timer, on_fire, milliseconds_until(all[i].deadline), 0);
    }
    uv_run(loop, UV_RUN_DEFAULT);
    if (left) die("timers are missing");
    report("timers-fire", count, from, ",\"late_ns\":%lld,\"early\":%ld", (long long)uv_hrtime() - last, early);
}

// An item goes from one thread's loop to the other's and back.
static uv_async_t there, back;
static uv_loop_t second;
static long item;

static void on_there(uv_async_t *async) {
    (void)async;
    item++;
    uv_async_send(&back);
}

static void on_back(uv_async_t *async) {
    (void)async;
    if (item != total - left + 1) die("an item was lost");
    if (--left == measured) from = begin();
    if (left) uv_async_send(&there);
    else uv_stop(loop);
}

static void run_second(void *argument) {
    (void)argument;
    uv_run(&second, UV_RUN_DEFAULT);
}

static void cross(long count) {
    uv_thread_t thread;
    measured = count;
    left = total = count + count / 10;
    uv_loop_init(&second);
    uv_async_init(&second, &there, on_there);
    uv_async_init(loop, &back, on_back);
    uv_thread_create(&thread, run_second, NULL);
    from = begin();
    uv_async_send(&there);
    uv_run(loop, UV_RUN_DEFAULT);
    report("cross", count, from, "");
}

// On libuv's pool of threads: it has no other way to read a file.
static uv_fs_t request;
static int file;
static uint64_t state = 88172645463325252;
static size_t size;

static void read_next(uv_fs_t *done) {
    if (done) {
        if (done->result != 4096) die("read");
        uv_fs_req_cleanup(done);
        if (--left == 0) return;
    }
    if (left == measured) from = begin();
    static char bytes[4096];
    uv_buf_t buffer = uv_buf_init(bytes, sizeof bytes);
    uv_fs_read(loop, &request, file, &buffer, 1, random_page(&state, size), read_next);
}

static void files(long count) {
    file = open_sample(&size);
    measured = count;
    left = total = count + count / 10;
    read_next(NULL);
    uv_run(loop, UV_RUN_DEFAULT);
    report("files", count, from, "");
}

static void spawn_next(uv_handle_t *ended);

static void on_exit_of_child(uv_process_t *process, int64_t status, int signal) {
    if (status || signal) die("child");
    uv_close((uv_handle_t *)process, spawn_next);
}

static void spawn_next(uv_handle_t *ended) {
    if (ended && --left == 0) return;
    if (left == measured) from = begin();
    static uv_process_t process;
    static char *arguments[] = {"/bin/true", NULL};
    static uv_stdio_container_t inherit[3] = {{.flags = UV_INHERIT_FD, .data.fd = 0},
                                              {.flags = UV_INHERIT_FD, .data.fd = 1},
                                              {.flags = UV_INHERIT_FD, .data.fd = 2}};
    uv_process_options_t options = {
        .file = "/bin/true", .args = arguments, .exit_cb = on_exit_of_child, .stdio = inherit, .stdio_count = 3};
    if (uv_spawn(loop, &process, &options)) die("uv_spawn");
}

static void children(long count) {
    measured = count;
    left = total = count + count / 10;
    spawn_next(NULL);
    uv_run(loop, UV_RUN_DEFAULT);
    report("children", count, from, "");
}

static void start(void) {
    uv_timer_t timer;
    uv_timer_init(loop, &timer);
    uv_timer_start(&timer, do_nothing, 0, 0);
    uv_run(loop, UV_RUN_DEFAULT);
}

int main(int count, char **arguments) {
    const char *work = count > 1 ? arguments[1] : "";
    long number = count > 2 ? atol(arguments[2]) : 0;
    loop = uv_default_loop();
    if (!strcmp(work, "echo")) serve_streams(number, 0);
    else if (!strcmp(work, "proxy") && count > 3) serve_streams(number, atoi(arguments[3]));
    else if (!strcmp(work, "udp")) serve_datagrams(number);
    else if (!strcmp(work, "timers")) timers(number);
    else if (!strcmp(work, "timers-fire")) timers_fire(number);
    else if (!strcmp(work, "cross")) cross(number);
    else if (!strcmp(work, "files")) files(number);
    else if (!strcmp(work, "children")) children(number);
    else if (!strcmp(work, "start")) start();
    else cannot(work, "libuv has callbacks, no tasks");
    return 0;
}
