// A task that gives its thread back, and goes on when somebody runs its job: see Suspension.swift.
#include "casyncio.h"
#include "tasklayout.h"

// AsyncContext: what every frame of an asynchronous function begins with.
struct frame {
    struct frame *caller;
    __attribute__((swiftasynccall)) void (*resume_caller)(__attribute__((swift_async_context)) struct frame *frame);
};

struct executor {
    void *identity;
    uintptr_t implementation;
};

// Takes the running task off its thread, and says in its status that it waits, as for a continuation that is nowhere.
__attribute__((swiftcall, weak)) extern void *swift_task_suspend(void);
__attribute__((swiftcall, weak)) extern struct executor swift_task_getCurrentExecutor(void);

__attribute__((swiftcall, weak)) extern struct executor swift_task_getPreferredTaskExecutor(void);

bool casyncio_can_suspend(void) {
    return casyncio_task_layout_is_known() && &swift_task_suspend != NULL && &swift_task_getCurrentExecutor != NULL &&
           &swift_task_getPreferredTaskExecutor != NULL;
}

bool casyncio_prefers(const void *executor) { return swift_task_getPreferredTaskExecutor().identity == executor; }

bool casyncio_runs_as_anybody(void) { return swift_task_getCurrentExecutor().identity == NULL; }

// An asynchronous function, by Swift's convention: its frame is made by its caller, and it returns by calling
// `resume_caller` with it. This one leaves that to whoever runs the task's job next, and returns to who has run it now.
__attribute__((swiftasynccall, used)) void casyncio_suspend(
    __attribute__((swift_async_context)) struct frame *frame) {
    char *task = swift_task_suspend();
    *(void **)(task + JOB_RESUME) = (void *)frame->resume_caller;
    *(struct frame **)(task + TASK_RESUME_CONTEXT) = frame;
}

// What a caller knows it by: how far away it is, and how large a frame it wants.
__asm__(".pushsection .rodata.casyncio_suspend, \"a\", %progbits\n"
        ".p2align 3\n"
        ".globl casyncio_suspendTu\n"
        "casyncio_suspendTu:\n"
        ".long casyncio_suspend - casyncio_suspendTu\n"
        ".long 16\n"
        ".popsection\n");
