// A job is guarded by the interpreter's GIL: both its actor and its thread touch it while attached only. A thread
// without work waits, detached, on the pool's condition; what is under the pool's mutex is the queue and the number of
// threads.
#include "smarm/interp/blocking_pool.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <pthread.h>

#include "smarm/interp/errors.h"
#include "smarm/interp/native_threads.h"
#include "smarm/interp/py_rider.h"
#include "smarm/sched/scheduler.h"

namespace smarm {
namespace {

BlockingCounters counters[kMaxWorkers];

void add(atomic<std::uint32_t>& counter, int n) noexcept {
    counter.fetch_add(static_cast<std::uint32_t>(n), memory_order_relaxed);
}

}  // namespace

BlockingCounters& blocking_counters(unsigned worker) noexcept { return counters[worker]; }

struct BlockingPool::Impl {
    struct Job {
        PyObject* callable = nullptr;
        PyObject* arguments = nullptr;
        PyObject* context = nullptr;  // the actor's contextvars, copied
        PyObject* result = nullptr;
        PyObject* exception = nullptr;
        Actor* actor = nullptr;  // waits for it; nullptr: given up
        bool done = false;

        // Attached. Runs destructors of the user's objects.
        void drop_objects() {
            Py_CLEAR(callable);
            Py_CLEAR(arguments);
            Py_CLEAR(context);
            Py_CLEAR(result);
            Py_CLEAR(exception);
        }
    };
    using JobRef = std::shared_ptr<Job>;

    static void run(Job& job);
    bool start_thread(const std::shared_ptr<Impl>& self);
    static void thread_main(std::shared_ptr<Impl> self, PyThreadState* state);
    JobRef next_job();
    void note_idle();

    BlockingCounters* counters = nullptr;  // of the worker that runs this interpreter
    std::mutex mutex;
    std::condition_variable work;
    std::condition_variable ended;
    std::deque<JobRef> queue;
    unsigned threads = 0;  // that have not ended, in `handles` unless left behind
    unsigned idle = 0;     // that wait for a job, or are about to
    std::list<std::thread> handles;
    std::list<std::thread> finished;  // to be joined: they are past their last lock
    bool stopping = false;
};

// On a pool thread, attached.
void BlockingPool::Impl::run(Job& job) {
    if (PyContext_Enter(job.context) == 0) {
        job.result = PyObject_CallObject(job.callable, job.arguments);
        if (!job.result) job.exception = PyErr_GetRaisedException();
        PyContext_Exit(job.context);
    } else {
        job.exception = PyErr_GetRaisedException();
    }
    job.done = true;
}

void BlockingPool::Impl::note_idle() {
    std::lock_guard guard(mutex);
    ++idle;
}

// Waits for a job, detached; note_idle() comes before it. nullptr: the thread is to end, and is no longer counted.
BlockingPool::Impl::JobRef BlockingPool::Impl::next_job() {
    std::unique_lock guard(mutex);
    work.wait_for(guard, std::chrono::seconds(kIdleSeconds), [this] { return stopping || !queue.empty(); });
    --idle;
    if (queue.empty()) return nullptr;
    JobRef job = std::move(queue.front());
    queue.pop_front();
    add(counters->running, 1);  // before it is no longer queued: the deadlock report looks at both
    add(counters->queued, -1);
    return job;
}

// Not noexcept, as everything between here and CPython: 3.13 ends threads that come for the GIL after the end of the
// main interpreter with pthread_exit, which unwinds.
void BlockingPool::Impl::thread_main(std::shared_ptr<Impl> self, PyThreadState* state) {
    pthread_setname_np(pthread_self(), "smarm-blocking");
    check_native_libraries();
    self->note_idle();
    while (JobRef job = self->next_job()) {
        PyEval_RestoreThread(state);
        if (job->actor) run(*job);
        if (!job->actor) job->drop_objects();  // given up on the way here, or meanwhile
        self->note_idle();                     // first: the actor may call again at once, which needs no other thread
        // The actor cannot end while it is in here: it waits for `done` or takes itself out, with the GIL that we hold.
        if (Actor* actor = job->actor) actor->worker->wake_remote(*actor);
        job = nullptr;
        add(self->counters->running, -1);
        PyEval_SaveThread();
    }
    PyEval_RestoreThread(state);
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();
    std::lock_guard guard(self->mutex);
    --self->threads;
    add(self->counters->threads, -1);
    const auto own = std::find_if(self->handles.begin(), self->handles.end(),
                                  [](const std::thread& it) { return it.get_id() == std::this_thread::get_id(); });
    // Left behind by stop(): nobody joins it.
    if (own != self->handles.end()) self->finished.splice(self->finished.end(), self->handles, own);
    self->ended.notify_all();
}

// The mutex is held.
bool BlockingPool::Impl::start_thread(const std::shared_ptr<Impl>& self) {
    PyThreadState* state = PyThreadState_New(PyInterpreterState_Get());
    if (!state) return false;
    try {
        for (std::thread& ended_before : finished) ended_before.join();  // at once
        finished.clear();
        handles.emplace_back(thread_main, self, state);
    } catch (const std::system_error&) {
        PyThreadState_Clear(state);
        PyThreadState_Delete(state);
        return false;
    }
    ++threads;
    add(counters->threads, 1);
    return true;
}

BlockingPool::BlockingPool() : impl_(std::make_shared<Impl>()) {}

BlockingPool::~BlockingPool() = default;

PyObject* BlockingPool::call(PyObject* callable, PyObject* arguments, Instant deadline) {
    Worker& worker = *this_worker();
    Impl& pool = *impl_;
    Impl::JobRef job;
    try {
        job = std::make_shared<Impl::Job>();
        job->context = PyContext_CopyCurrent();
        if (!job->context) return nullptr;
        job->callable = Py_NewRef(callable);
        job->arguments = Py_NewRef(arguments);
        job->actor = worker.current();
        std::lock_guard guard(pool.mutex);
        pool.counters = &counters[worker.index()];
        if (pool.stopping) {
            PyErr_SetString(PyExc_RuntimeError, "block_on_io() cannot start a call: the runtime is shutting down");
        } else if (pool.idle <= pool.queue.size() && pool.threads < kMostThreads && !pool.start_thread(impl_) &&
                   pool.threads == 0) {
            PyErr_SetString(PyExc_RuntimeError, "block_on_io() cannot start a call: the system gives no thread");
        } else {
            pool.queue.push_back(job);
            add(pool.counters->queued, 1);
            pool.counters->calls.fetch_add(1, memory_order_relaxed);
            pool.work.notify_one();
        }
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    }
    if (PyErr_Occurred()) {
        if (job) job->drop_objects();
        return nullptr;
    }

    Parked parked;
    while (!job->done && parked.woken()) parked = worker.park(WaitReason::blocking_call, deadline);
    job->actor = nullptr;
    if (!job->done) {  // given up: the thread drops what it has, unless it has not begun
        pool.counters->given_up.fetch_add(1, memory_order_relaxed);
        bool queued = false;
        {
            std::lock_guard guard(pool.mutex);
            auto found = std::find(pool.queue.begin(), pool.queue.end(), job);
            queued = found != pool.queue.end();
            if (queued) {
                pool.queue.erase(found);
                add(pool.counters->queued, -1);
            }
        }
        if (queued) job->drop_objects();
        if (parked.requested) return raise_exit();
        return raise_error("Timeout",
                           "the call did not return before the timeout; it goes on without its result being used");
    }
    PyObject* result = std::exchange(job->result, nullptr);
    PyObject* exception = std::exchange(job->exception, nullptr);
    job->drop_objects();
    if (exception) PyErr_SetRaisedException(exception);
    return result;
}

std::size_t BlockingPool::stop(Instant deadline) {
    const std::shared_ptr<Impl> kept = impl_;
    Impl& pool = *kept;
    PyThreadState* state = PyEval_SaveThread();  // the threads need the interpreter to end
    std::size_t left = 0;
    {
        std::unique_lock guard(pool.mutex);
        pool.stopping = true;
        pool.work.notify_all();
        pool.ended.wait_until(guard, deadline, [&pool] { return pool.threads == 0; });
        left = pool.threads;
        if (left == 0) pool.stopping = false;
        else impl_ = std::make_shared<Impl>();  // the threads keep the old one
        std::list<std::thread> finished = std::move(pool.finished);
        pool.finished.clear();
        for (std::thread& it : pool.handles) it.detach();
        pool.handles.clear();
        guard.unlock();
        for (std::thread& it : finished) it.join();
    }
    PyEval_RestoreThread(state);
    return left;
}

}  // namespace smarm
