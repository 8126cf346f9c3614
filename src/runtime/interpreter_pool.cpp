#include "smarm/runtime/interpreter_pool.h"

#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>
#include <utility>

#include "smarm/interp/interpreter.h"

namespace smarm {
namespace {

// A thread for workers, one after the other, and the interpreter that it keeps between them. Guarded by pool().mutex,
// but for `kept` while a body runs: that is the thread's own.
struct Seat {
    std::string key;
    std::function<void()> body;  // to be run; empty: idle, or over
    bool busy = true;            // runs a body, or is about to
    bool to_end = false;
    PyThreadState* kept = nullptr;  // not attached
    std::condition_variable changed;
    std::thread thread;
};

struct Pool {
    std::mutex mutex;
    std::list<std::shared_ptr<Seat>> idle;
    bool closed = false;
};

// Never destroyed: threads may come here while the process ends.
Pool* the_pool = new Pool;
Pool& pool() noexcept { return *the_pool; }

thread_local Seat* this_seat = nullptr;

// Runs bodies as long as each leaves an interpreter behind.
void thread_main(const std::shared_ptr<Seat>& seat) {
    this_seat = seat.get();
    std::unique_lock guard(pool().mutex);
    for (;;) {
        std::function<void()> body = std::exchange(seat->body, nullptr);
        guard.unlock();
        body();
        body = nullptr;
        guard.lock();
        seat->busy = false;
        if (seat->kept && !pool().closed) pool().idle.push_back(seat);
        else seat->to_end = true;
        seat->changed.notify_all();
        if (!seat->kept) return;
        seat->changed.wait(guard, [&] { return seat->body || seat->to_end; });
        if (seat->to_end) break;
    }
    guard.unlock();
    PyEval_RestoreThread(seat->kept);
    end_interpreter(seat->kept);
}

// A worker's use of a seat.
class SeatedWorker final : public WorkerThread {
public:
    explicit SeatedWorker(std::shared_ptr<Seat> seat) noexcept : seat_(std::move(seat)) {}

    void join() override {
        std::unique_lock guard(pool().mutex);
        seat_->changed.wait(guard, [this] { return !seat_->busy; });
        if (seat_->kept) return;
        guard.unlock();
        seat_->thread.join();
    }

    void detach() override {
        std::lock_guard guard(pool().mutex);
        if (seat_->busy || !seat_->kept) seat_->thread.detach();
    }

private:
    std::shared_ptr<Seat> seat_;
};

std::shared_ptr<Seat> take_idle(const std::string& key, std::function<void()>& body) {
    std::lock_guard guard(pool().mutex);
    auto& idle = pool().idle;
    for (auto it = idle.begin(); it != idle.end(); ++it) {
        if ((*it)->key != key) continue;
        std::shared_ptr<Seat> seat = std::move(*it);
        idle.erase(it);
        seat->busy = true;
        seat->body = std::move(body);
        seat->changed.notify_all();
        return seat;
    }
    return nullptr;
}

void end_all(bool close) {
    std::list<std::shared_ptr<Seat>> ending;
    {
        std::lock_guard guard(pool().mutex);
        if (close) pool().closed = true;
        ending.swap(pool().idle);
        for (const auto& seat : ending) {
            seat->to_end = true;
            seat->changed.notify_all();
        }
    }
    if (ending.empty()) return;
    Py_BEGIN_ALLOW_THREADS;  // on 3.13 the end of an interpreter may need this one
    for (const auto& seat : ending) seat->thread.join();
    Py_END_ALLOW_THREADS;
}

}  // namespace

std::unique_ptr<WorkerThread> InterpreterPool::start(const std::string& key, std::function<void()> body) {
    if (std::shared_ptr<Seat> seat = take_idle(key, body)) return std::make_unique<SeatedWorker>(std::move(seat));
    auto seat = std::make_shared<Seat>();
    auto worker = std::make_unique<SeatedWorker>(seat);
    seat->key = key;
    seat->body = std::move(body);
    std::lock_guard guard(pool().mutex);  // the thread begins when its handle is there
    seat->thread = std::thread(thread_main, seat);
    return worker;
}

PyThreadState* InterpreterPool::take() noexcept {
    return this_seat ? std::exchange(this_seat->kept, nullptr) : nullptr;
}

bool InterpreterPool::keep(PyThreadState* own) noexcept {
    {
        std::lock_guard guard(pool().mutex);
        if (pool().closed || !this_seat) return false;
    }
    PyEval_SaveThread();
    this_seat->kept = own;
    return true;
}

void InterpreterPool::end_idle() { end_all(false); }

void InterpreterPool::close() { end_all(true); }

void InterpreterPool::forget() noexcept { the_pool = new Pool; }

}  // namespace smarm
