/* Preloaded into a Python process: makes the Nth call of a system function that smarm's own code makes fail.
 *
 * Calls from elsewhere (CPython, the C library) are passed on and not counted; threads are counted whoever starts them,
 * because the C++ library does it for us, and so are all allocations of all threads but the first: an interpreter's are CPython's.
 * fail_nth(kind, n) arms (n from 1; kind -1 disarms), has_failed() tells, calls_left() how many calls before the failing one.
 * name_crashes(): a crash of other code than ours says so on stdout.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MMAP, MADVISE, MPROTECT, EPOLL_CREATE, EPOLL_CTL, EVENTFD, THREAD, NEW, PIPE, ALLOCATION };

static atomic_int armed = -1;
static atomic_uint left;
static atomic_int failed;

void fail_nth(int kind, unsigned n) {
    atomic_store(&armed, -1);
    if (kind < 0) return;
    atomic_store(&left, n);
    atomic_store(&failed, 0);
    atomic_store(&armed, kind);
}

int has_failed(void) { return atomic_load(&failed); }

unsigned calls_left(void) { return atomic_load(&left); }

static int is_ours(void* caller) {
    Dl_info info;
    return dladdr(caller, &info) && info.dli_fname && (strstr(info.dli_fname, "_core.") || strstr(info.dli_fname, "smarm-host"));
}

static void on_crash(int number) {
    static const char text[] = "crashed in other code\n";
    void* frames[3]; /* this function, the C library's return from a signal, what crashed */
    if (backtrace(frames, 3) == 3 && !is_ours(frames[2])) {
        ssize_t ignored = write(STDOUT_FILENO, text, sizeof text - 1);
        (void)ignored;
    }
    signal(number, SIG_DFL);
    raise(number);
}

void name_crashes(void) {
    void* frame;
    backtrace(&frame, 1); /* loads what it needs, which must not happen in a handler */
    signal(SIGSEGV, on_crash);
    signal(SIGABRT, on_crash);
}

static int fails(int kind, void* caller) {
    if (atomic_load(&armed) != kind || (caller && !is_ours(caller))) return 0;
    if (atomic_fetch_sub(&left, 1) != 1) return 0;
    atomic_store(&failed, 1);
    return 1;
}

#define CALLER __builtin_return_address(0)
#define NEXT(name) \
    static __typeof__(&name) next; \
    if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define FAIL(kind, error, result) \
    if (fails(kind, CALLER)) { \
        errno = error; \
        return result; \
    }

void* mmap(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) {
    NEXT(mmap);
    FAIL(MMAP, ENOMEM, MAP_FAILED);
    return next(address, bytes, protection, flags, fd, offset);
}

void* mmap64(void* address, size_t bytes, int protection, int flags, int fd, off64_t offset) {
    NEXT(mmap64);
    FAIL(MMAP, ENOMEM, MAP_FAILED);
    return next(address, bytes, protection, flags, fd, offset);
}

int madvise(void* address, size_t bytes, int advice) {
    NEXT(madvise);
    FAIL(MADVISE, ENOMEM, -1);
    return next(address, bytes, advice);
}

int mprotect(void* address, size_t bytes, int protection) {
    NEXT(mprotect);
    FAIL(MPROTECT, ENOMEM, -1);
    return next(address, bytes, protection);
}

int epoll_create1(int flags) {
    NEXT(epoll_create1);
    FAIL(EPOLL_CREATE, EMFILE, -1);
    return next(flags);
}

int epoll_ctl(int epoll_fd, int operation, int fd, struct epoll_event* event) {
    NEXT(epoll_ctl);
    FAIL(EPOLL_CTL, ENOSPC, -1);
    return next(epoll_fd, operation, fd, event);
}

int eventfd(unsigned value, int flags) {
    NEXT(eventfd);
    FAIL(EVENTFD, EMFILE, -1);
    return next(value, flags);
}

int pipe2(int ends[2], int flags) {
    NEXT(pipe2);
    FAIL(PIPE, EMFILE, -1);
    return next(ends, flags);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
    NEXT(pthread_create);
    if (fails(THREAD, NULL)) return EAGAIN;
    return next(thread, attributes, start, argument);
}

/* operator new: throws std::bad_alloc by asking the next one for more than there is. */
void* _Znwm(size_t bytes) {
    static void* (*next)(size_t);
    if (!next) next = (void* (*)(size_t))dlsym(RTLD_NEXT, "_Znwm");
    return next(fails(NEW, CALLER) ? (size_t)1 << 62 : bytes);
}

void* _ZnwmRKSt9nothrow_t(size_t bytes, const void* tag) {
    static void* (*next)(size_t, const void*);
    if (!next) next = (void* (*)(size_t, const void*))dlsym(RTLD_NEXT, "_ZnwmRKSt9nothrow_t");
    return fails(NEW, CALLER) ? NULL : next(bytes, tag);
}

static int allocation_fails(void) {
    static _Thread_local int first_thread;
    if (atomic_load(&armed) != ALLOCATION) return 0;
    if (!first_thread) first_thread = gettid() == getpid() ? 1 : -1;
    if (first_thread == 1 || !fails(ALLOCATION, NULL)) return 0;
    errno = ENOMEM;
    return 1;
}

/* What glibc has under these names as well: dlsym would allocate. */
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* old, size_t bytes);

void* malloc(size_t bytes) { return allocation_fails() ? NULL : __libc_malloc(bytes); }
void* calloc(size_t count, size_t bytes) { return allocation_fails() ? NULL : __libc_calloc(count, bytes); }
void* realloc(void* old, size_t bytes) { return allocation_fails() ? NULL : __libc_realloc(old, bytes); }
