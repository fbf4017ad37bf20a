// What the package asks of Swift's runtime where the runtime has no Swift name for it.
#include "casyncio.h"
#include "tasklayout.h"

#include <stdatomic.h>

extern void *swift_retain(void *object);
extern void swift_release(void *object);
__attribute__((swiftcall)) extern void swift_task_cancel(void *task);

// The runtime calls handlers by Swift's convention, with the context in its register: a C function takes it as an
// argument.
typedef __attribute__((swiftcall)) void (*cancellation_function)(__attribute__((swift_context)) void *context);
__attribute__((swiftcall)) extern void *swift_task_addCancellationHandler(cancellation_function handler, void *context);
__attribute__((swiftcall)) extern void swift_task_removeCancellationHandler(void *record);

// One function for each kind of wait: the runtime hands over nothing but the context. The first caller sets it.
static void (*cancellation_handlers[4])(void *context);

static void call(enum casyncio_wait wait, void *context) {
    __atomic_load_n(&cancellation_handlers[wait], __ATOMIC_ACQUIRE)(context);
}
__attribute__((swiftcall)) static void cancel_operation(__attribute__((swift_context)) void *context) {
    call(CASYNCIO_WAIT_OPERATION, context);
}
__attribute__((swiftcall)) static void cancel_parked(__attribute__((swift_context)) void *context) {
    call(CASYNCIO_WAIT_PARKED, context);
}
__attribute__((swiftcall)) static void cancel_elsewhere(__attribute__((swift_context)) void *context) {
    call(CASYNCIO_WAIT_ELSEWHERE, context);
}
__attribute__((swiftcall)) static void cancel_in_scope(__attribute__((swift_context)) void *context) {
    call(CASYNCIO_WAIT_IN_SCOPE, context);
}

void *casyncio_add_cancellation_handler(enum casyncio_wait wait, void (*handler)(void *context), void *context) {
    __atomic_store_n(&cancellation_handlers[wait], handler, __ATOMIC_RELEASE);
    switch (wait) {
    case CASYNCIO_WAIT_OPERATION: return swift_task_addCancellationHandler(cancel_operation, context);
    case CASYNCIO_WAIT_PARKED: return swift_task_addCancellationHandler(cancel_parked, context);
    case CASYNCIO_WAIT_ELSEWHERE: return swift_task_addCancellationHandler(cancel_elsewhere, context);
    case CASYNCIO_WAIT_IN_SCOPE: return swift_task_addCancellationHandler(cancel_in_scope, context);
    }
    return NULL;
}

void casyncio_remove_cancellation_handler(void *record) { swift_task_removeCancellationHandler(record); }

bool casyncio_task_layout_is_known(void) {
    return sizeof(void *) == 8 && &_swift_concurrency_debug_internal_layout_version != NULL &&
           &_swift_concurrency_debug_asyncTaskSize != NULL && _swift_concurrency_debug_internal_layout_version == 1 &&
           _swift_concurrency_debug_asyncTaskSize == TASK_SIZE;
}

static const void *at(const void *base, size_t offset) { return (const char *)base + offset; }

bool casyncio_job_is_plain_task(const void *job) {
    uint32_t flags = *(const uint32_t *)at(job, JOB_FLAGS);
    // Tasks without a future are the runtime's own: the wake-up of a Task.sleep, say.
    uint32_t wanted = JOB_IS_FUTURE;
    uint32_t unwanted = JOB_IS_CHILD | JOB_IS_GROUP_CHILD | JOB_IS_ASYNC_LET | JOB_HAS_PREFERENCE;
    return (flags & JOB_KIND_MASK) == 0 && (flags & (wanted | unwanted)) == wanted;
}

bool casyncio_job_is_unstructured_task(const void *job) {
    uint32_t flags = *(const uint32_t *)at(job, JOB_FLAGS);
    uint32_t unwanted = JOB_IS_CHILD | JOB_IS_GROUP_CHILD | JOB_IS_ASYNC_LET;
    return (flags & JOB_KIND_MASK) == 0 && (flags & (JOB_IS_FUTURE | unwanted)) == JOB_IS_FUTURE;
}

bool casyncio_job_is_task(const void *job) {
    uint32_t flags = *(const uint32_t *)at(job, JOB_FLAGS);
    // Tasks without a future are the runtime's own: the wake-up of a Task.sleep, say.
    return (flags & JOB_KIND_MASK) == 0 && (flags & (JOB_IS_FUTURE | JOB_IS_GROUP_CHILD)) != 0;
}

bool casyncio_job_is_async_let(const void *job) {
    return (*(const uint32_t *)at(job, JOB_FLAGS) & JOB_IS_ASYNC_LET) != 0;
}

const void *casyncio_parent_task(const void *job) {
    if (!(*(const uint32_t *)at(job, JOB_FLAGS) & JOB_IS_CHILD)) return NULL;
    return *(const void *const *)at(job, CHILD_PARENT);
}

uintptr_t casyncio_job_entry_point(const void *job) {
    uintptr_t function = *(const uintptr_t *)at(job, JOB_RESUME);
    bool has_closure = (&_swift_concurrency_debug_future_adapter != NULL &&
                        function == (uintptr_t)_swift_concurrency_debug_future_adapter) ||
                       (&_swift_concurrency_debug_non_future_adapter != NULL &&
                        function == (uintptr_t)_swift_concurrency_debug_non_future_adapter);
    if (!has_closure) return function;
    return *(const uintptr_t *)(*(const char *const *)at(job, TASK_RESUME_CONTEXT) + FIRST_FUNCTION);
}

const void *casyncio_root_task(const void *job) {
    if ((*(const uint32_t *)at(job, JOB_FLAGS) & JOB_KIND_MASK) != 0) return NULL;
    while (*(const uint32_t *)at(job, JOB_FLAGS) & JOB_IS_CHILD) job = *(const void *const *)at(job, CHILD_PARENT);
    return job;
}

bool casyncio_task_is_complete(const void *task) {
    const _Atomic uint32_t *flags = at(task, TASK_STATUS_FLAGS);
    return (atomic_load_explicit(flags, memory_order_acquire) & STATUS_IS_COMPLETE) != 0;
}

// Swift 6.3 reads both words of a task's status by a locked compare-and-exchange, which costs more than all the rest of
// a look at a queue.
bool casyncio_task_is_cancelled(void *task) {
    static _Atomic int8_t known = -1;
    int8_t is_known = atomic_load_explicit(&known, memory_order_relaxed);
    if (is_known < 0) {
        is_known = casyncio_task_layout_is_known();
        atomic_store_explicit(&known, is_known, memory_order_relaxed);
    }
    if (!is_known) return swift_task_isCancelled(task);
    const _Atomic uint32_t *flags = at(task, TASK_STATUS_FLAGS);
    uint32_t found = atomic_load_explicit(flags, memory_order_acquire);
    return (found & (STATUS_IS_CANCELLED | STATUS_IS_SHIELDED)) == STATUS_IS_CANCELLED;
}

const char *casyncio_task_name(const void *task) {
    const void *record = *(const void *const *)at(task, TASK_STATUS_RECORD);
    // A task has a handful of records; the bound is against a runtime that differs after all.
    for (int i = 0; record != NULL && i < 64; i++) {
        if ((*(const uint64_t *)at(record, RECORD_FLAGS) & JOB_KIND_MASK) == RECORD_KIND_NAME)
            return *(const char *const *)at(record, RECORD_NAME);
        record = *(const void *const *)at(record, RECORD_PARENT);
    }
    return NULL;
}

void *casyncio_cancellation_scope(const void *task) {
    const void *record = *(const void *const *)at(task, TASK_STATUS_RECORD);
    // Within a scope there are those of the handlers and groups that its code is in just now.
    for (int i = 0; record != NULL && i < 16; i++) {
        if ((*(const uint64_t *)at(record, RECORD_FLAGS) & JOB_KIND_MASK) == RECORD_KIND_CANCELLATION &&
            *(const uintptr_t *)at(record, RECORD_HANDLER) == (uintptr_t)cancel_in_scope)
            return *(void *const *)at(record, RECORD_CONTEXT);
        record = *(const void *const *)at(record, RECORD_PARENT);
    }
    return NULL;
}

void casyncio_task_retain(void *task) { swift_retain(task); }
void casyncio_task_release(void *task) { swift_release(task); }
void casyncio_task_cancel(void *task) { swift_task_cancel(task); }
