// Swift's tasks as they lie in memory: include/swift/ABI/Task.h, TaskStatus.h and MetadataValues.h of the compiler's
// sources, layout version 1, on machines of 64 bits without pointer authentication. The runtime exports its layout's
// version and size for debuggers; both are checked before a byte is read. The only place where the offsets stand.
#pragma once
#include <stddef.h>
#include <stdint.h>

__attribute__((weak)) extern const uint32_t _swift_concurrency_debug_internal_layout_version;
__attribute__((weak)) extern const size_t _swift_concurrency_debug_asyncTaskSize;
// What a task's first word points to.
__attribute__((weak)) extern const void *const _swift_concurrency_debug_asyncTaskMetadata;
// Functions of the runtime that stand in stacks: the beginning of a task, with and without a result ...
__attribute__((weak)) extern const void *const _swift_concurrency_debug_future_adapter;
__attribute__((weak)) extern const void *const _swift_concurrency_debug_non_future_adapter;
// ... and what brings another task's result to the one that awaits it.
__attribute__((weak)) extern const void *const _swift_concurrency_debug_task_wait_throwing_resume_adapter;
__attribute__((weak)) extern const void *const _swift_concurrency_debug_task_future_wait_resume_adapter;

enum {
    TASK_SIZE = 208,
    // HeapObject
    TASK_METADATA = 0,
    // Job
    JOB_FLAGS = 32,
    JOB_KIND_MASK = 0xff,
    JOB_IS_CHILD = 1 << 24,
    JOB_IS_FUTURE = 1 << 25,
    JOB_IS_GROUP_CHILD = 1 << 26,
    JOB_IS_ASYNC_LET = 1 << 28,
    JOB_HAS_PREFERENCE = 1 << 29,
    JOB_ID = 36,
    JOB_RESUME = 56,
    // AsyncTask
    TASK_RESUME_CONTEXT = 64,
    TASK_STATUS_FLAGS = 96,
    TASK_STATUS_RECORD = 104,
    STATUS_IS_CANCELLED = 0x100,
    STATUS_IS_RUNNING = 0x800,
    STATUS_IS_ENQUEUED = 0x1000,
    STATUS_IS_COMPLETE = 0x2000,
    // From Swift 6.4 on: it is not to know yet that it was cancelled.
    STATUS_IS_SHIELDED = 0x10000,
    TASK_ID_HIGH = 144,
    // ChildFragment, of tasks that are somebody's children: it lies behind the task.
    CHILD_PARENT = 208,
    // AsyncContext
    CONTEXT_PARENT = 0,
    CONTEXT_RESUME_PARENT = 8,
    // What lies before the first context of a task that begins with a closure: the closure.
    FIRST_FUNCTION = -24,
    FIRST_CLOSURE = -16,
    // A closure's box. Of a thunk: some types, the function that the thunk calls, and that one's box.
    BOX_FIRST = 16,
    BOX_TYPES = 6,
    // TaskStatusRecord
    RECORD_FLAGS = 0,
    RECORD_PARENT = 8,
    RECORD_NAME = 16,
    RECORD_HANDLER = 16,
    RECORD_CONTEXT = 24,
    RECORD_DEPENDENCY = 16,
    RECORD_DEPENDENCY_KIND = 32,
    RECORD_SIZE = 40,
    RECORD_KIND_DEPENDENCY = 0,
    RECORD_KIND_CANCELLATION = 3,
    RECORD_KIND_NAME = 6,
    DEPENDENCY_ON_TASK = 1,
    DEPENDENCY_ON_CONTINUATION = 2,
    DEPENDENCY_ON_GROUP = 3,
    DEPENDENCY_ON_EXECUTOR = 4,
};
