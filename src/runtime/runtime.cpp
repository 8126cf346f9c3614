#include "smarm/runtime/runtime.h"

#include <csignal>
#include <cstdio>
#include <new>
#include <unistd.h>

#include "cpython/py_compat.h"
#include "runtime/main_signals.h"
#include "runtime/python_signals.h"
#include "smarm/codec/codec.h"
#include "smarm/cpython/allocation_hook.h"
#include "smarm/cpython/data_stack.h"
#include "smarm/cpython/tls_blocks.h"
#include "smarm/extensions/import_hook.h"
#include "smarm/extensions/policy.h"
#include "smarm/interp/blocking_pool.h"
#include "smarm/interp/buffer_loan.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/forked_child.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/native_threads.h"
#include "smarm/interp/own_code.h"
#include "smarm/interp/py_actor.h"
#include "smarm/interp/py_rider.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/interp/safe_point.h"
#include "smarm/interp/spawn_site.h"
#include "smarm/interp/unjoined_failures.h"
#include "smarm/msg/buffer_memory.h"
#include "smarm/runtime/dump.h"
#include "smarm/runtime/interpreter_pool.h"
#include "smarm/runtime/overflow.h"
#include "smarm/runtime/portal.h"
#include "smarm/runtime/signals.h"
#include "smarm/sched/simulation.h"
#include "smarm/stdlib/fork.h"
#include "smarm/stdlib/frames.h"
#include "smarm/stdlib/locks.h"
#include "smarm/stdlib/simulation.h"
#include "smarm/stdlib/sleep.h"
#include "smarm/stdlib/socket.h"
#include "smarm/stdlib/threads.h"
#include "smarm/wait/reactor.h"
#include "smarm/wait/simulated_reactor.h"

namespace smarm {
namespace {

atomic<Runtime*> running{nullptr};
atomic<bool> gave_up{false};

std::unique_ptr<Driver> make_reactor() {
    auto reactor = std::make_unique<Reactor>();
    if (reactor->start() != 0) return nullptr;
    return reactor;
}

// Makes the scheduler that of a simulation: one worker, nothing that depends on real time.
void simulate(Simulation& simulation, SchedulerOptions& options) {
    options.workers = 1;
    options.spin_limit = Duration::zero();
    options.monitor = {.enabled = false, .time_slice = {}, .stall_threshold = {}, .on_stall = {}, .on_deadlock = {}};
    options.simulation = &simulation;
    options.make_driver = [&simulation]() -> std::unique_ptr<Driver> {
        auto reactor = std::make_unique<SimulatedReactor>(simulation);
        if (reactor->start() != 0) return nullptr;
        return reactor;
    };
    simulation.place_of = place_of;
    simulation.on_deadlock = [&simulation] {
        Scheduler& scheduler = Runtime::current()->scheduler();
        if (simulation.deadlock.empty()) simulation.deadlock = describe_deadlock(scheduler, simulation.now());
        scheduler.stop();
    };
    simulation.on_too_many_steps = [] { Runtime::current()->scheduler().stop(); };
}

void stop_running() {
    SignalWatch::end_is_near();
    Runtime::current()->note_main_ended();
    Runtime::current()->scheduler().stop();
}

void report_stall(Worker& worker, Duration lasted) {
    Runtime::current()->reporter().say(describe_stall(worker.scheduler(), worker, lasted));
}

// Every worker sleeps, and no timer, fd or pool call can wake one.
void on_deadlock(Scheduler& scheduler) {
    Reporter& reporter = Runtime::current()->reporter();
    if (scheduler.table().alive() > 0 && !has_foreign_threads(scheduler, reporter.threads())) reporter.deadlock();
}

void report_dead_letters(const DeadLetterReport& report) {
    const char* why = "";
    switch (report.why) {
        case DeadLetter::nobody: why = "which has ended"; break;
        case DeadLetter::unread: why = "which ended without reading"; break;
        case DeadLetter::discarded: break;
        case DeadLetter::full: why = "whose mailbox is full"; break;
        case DeadLetter::no_memory: why = "for which there was no memory"; break;
    }
    char count[40] = "a dead letter";
    if (report.count > 1)
        std::snprintf(count, sizeof count, "%llu dead letters", static_cast<unsigned long long>(report.count));
    char from[40] = "";
    if (report.from) std::snprintf(from, sizeof from, " from <pid %u.%u>", report.from.index, report.from.generation);
    char line[256];
    std::snprintf(line, sizeof line, "smarm: %s%s to <pid %u.%u>, %s%s\n", count, from, report.target.index,
                  report.target.generation, why,
                  report.last ? " (from now on dead letters are only counted: smarm.statistics().dead_letters)" : "");
    Runtime::current()->reporter().say(line);
}

bool on_process_main_thread() { return gettid() == getpid(); }

// Ends the attached interpreter's pool of blocking calls. Returns whether no thread of it is left.
bool stop_blocking_calls(Duration timeout) {
    const std::size_t left = interpreter_state()->blocking->stop(deadline_after(monotonic_now(), timeout / 3));
    if (left == 0) return true;
    std::fprintf(stderr, "smarm: left %zu blocking call%s behind that did not return\n", left, left == 1 ? "" : "s");
    return false;
}

void flush_output() {
    for (const char* name : {"stdout", "stderr"}) {
        PyObject* stream = PySys_GetObject(name);  // borrowed
        if (stream && stream != Py_None) Py_XDECREF(PyObject_CallMethod(stream, "flush", nullptr));
        drop_exception();
    }
}

// In a forked child the threads of the pool are gone, and nobody can tell it.
void forget_pool_of_parent() {
    static unsigned known_forks = 0;
    if (std::exchange(known_forks, fork_count()) == fork_count()) return;
    static_cast<void>(interpreter_state()->blocking.release());
    interpreter_state()->blocking = std::make_unique<BlockingPool>();
}

// What interpreters of two runs have in common when the second can use those of the first.
std::string interpreter_key(const RuntimeConfig& config) {
    std::string key = config.extensions;
    for (const auto* names :
         {&config.extensions_share, &config.extensions_private_libraries, &config.extensions_main_only}) {
        key += '\n';
        for (const std::string& name : *names) key += name + ',';
    }
    return key;
}

// Whether the attached interpreter is one to be kept: it asks for it, and nothing of the program runs in it any more.
bool outlasts_run(PyThreadState* own) { return interpreter_state()->outlasts_run && is_only_thread(own); }

}  // namespace

Runtime* Runtime::current() noexcept { return running.load(memory_order_acquire); }

PyObject* Runtime::run(const RuntimeConfig& config, PyObject* main, PyObject* arguments) {
    if (const char* reason = smarm_refuse_python()) return raise_error("NoRuntime", "%s", reason);
    if (const int works = smarm_test_pending_calls(); works != 1)
        return works < 0 ? nullptr
                         : raise_error("NoRuntime",
                                       "smarm cannot interrupt Python code of %s: it needs CPython 3.13 to 3.15.",
                                       Py_GetVersion());
    if (PyThreadState_GetInterpreter(PyThreadState_Get()) != PyInterpreterState_Main())
        return raise_error("NoRuntime", "smarm.run() must be called from the main interpreter");
    auto* runtime = new (std::nothrow) Runtime(config);
    if (!runtime) return PyErr_NoMemory();
    PyObject* result = nullptr;
    Runtime* none = nullptr;
    if (!running.compare_exchange_strong(none, runtime, memory_order_acq_rel)) {
        delete runtime;
        return raise_error("AlreadyRunning",
                           "a smarm runtime is already running in this process; inside an actor use spawn");
    }
    watch_forks([] {
        InterpreterPool::forget();
        return running.exchange(nullptr, memory_order_acq_rel) != nullptr;
    });
    try {
        if (runtime->prepare()) result = runtime->run_main(main, arguments);
    } catch (const std::bad_alloc&) {  // before any actor ran
        PyErr_NoMemory();
    }
    limit_native_threads(false);
    running.store(nullptr, memory_order_release);
    // What was given up still has a stack and refers to its worker: left behind on purpose.
    if (runtime->scheduler_ && (runtime->scheduler_->stuck() || runtime->scheduler_->abandoned())) {
        gave_up.store(true, memory_order_relaxed);
        return result;
    }
    delete runtime;
    take_back_loans();
    return result;
}

bool Runtime::left_behind() noexcept { return gave_up.load(memory_order_relaxed); }

bool Runtime::prepare() {
    remember_own_code();
    configure_codec();
    set_extension_policy({.private_copies = config_.extensions == "private",
                          .shared_libraries = config_.extensions_share,
                          .private_libraries = config_.extensions_private_libraries,
                          .main_only = config_.extensions_main_only});
    set_buffer_pool_limit(config_.buffer_pool);
    set_buffer_limit(config_.max_buffer_bytes ? config_.max_buffer_bytes : SIZE_MAX);
    forget_pool_of_parent();
    Message::set_local_release([](void* object) { Py_DECREF(static_cast<PyObject*>(object)); });
    Message::set_local_bytes(
        [](void* object) noexcept { return Codec::immutable_bytes(static_cast<PyObject*>(object)); });
    install_data_stack_hook();
    install_allocation_hook();
    if (!prepare_safe_points() || !install_main_signals() || !install_stdlib_locks() || !install_stdlib_sleep() ||
        !install_stdlib_sockets() || !install_stdlib_threads() || !install_stdlib_fork(InterpreterPool::end_idle) ||
        !install_import_hook() || !install_stdlib_frames())
        return false;
    if (config_.simulation && !install_stdlib_simulation()) return false;
    PyObject* failures = import_module("smarm._failure");  // before no file can be opened any more
    Py_XDECREF(failures);
    if (!failures) return false;
    // Now, not when there are some: a run may end while the process does, and what it registers then is not called.
    if (config_.extensions == "private") watch_end_of_main();
    SchedulerOptions options;
    options.workers = config_.workers;
    options.stacks.stack_bytes = config_.stack_size;
    options.stacks.warm_stacks = config_.warm_stacks;
    options.limits = {config_.max_actors, config_.max_stack_bytes ? config_.max_stack_bytes : SIZE_MAX,
                      config_.stack_size};
    options.stop_timeout = config_.shutdown_timeout;
    options.spin_limit = config_.spin;
    options.interrupt_after = config_.interrupt_after;
    options.kill_patience = config_.kill_patience;
    options.monitor = {true, config_.time_slice, config_.stall_threshold, report_stall, on_deadlock};
    options.dead_letter_reports = config_.report_dead_letters;
    options.report_dead_letters = report_dead_letters;
    options.make_driver = make_reactor;
    options.start_thread = [key = interpreter_key(config_)](std::function<void()> body) {
        return InterpreterPool::start(key, std::move(body));
    };
    options.enter_worker = [this](Worker& worker) { enter_worker(worker); };
    if (config_.simulation) simulate(*config_.simulation, options);
    scheduler_ = std::make_unique<Scheduler>(std::move(options));
    limit_native_threads(config_.workers > 1);
    find_tls_objects();
    reporter_ = std::make_unique<Reporter>(*scheduler_);
    end_watch_ = std::make_unique<EndWatch>(*scheduler_, config_.shutdown_timeout);
    if (scheduler_->ensure_worker(0)) return true;
    PyErr_SetFromErrno(PyExc_OSError);
    return false;
}

// Tells the attached interpreter's codec.
void Runtime::configure_codec() {
    Codec& codec = codec_of(*interpreter_state());
    codec.set_main_by_value(config_.main_by_value);
    codec.set_limits({.depth = config_.message_depth,
                      .bytes = config_.message_size,
                      .objects = config_.pickle ? Objects::any : Objects::data});
    codec.set_trusted_modules(config_.trusted_modules);
}

bool Runtime::ready_for_workers() {
    if (ready_for_workers_) return true;
    if (smarm_needs_datetime_preload()) {
        PyObject* module = import_module("_datetime");
        if (!module) return false;
        Py_DECREF(module);
    }
    MainSnapshot snapshot;
    if (!snapshot_main(snapshot)) return false;
    // Both calls above can park, and another actor of the main lane may have come here and started a worker meanwhile.
    if (!ready_for_workers_) snapshot_ = std::move(snapshot);
    ready_for_workers_ = true;
    return true;
}

bool Runtime::reconfigure(unsigned workers, Duration shutdown_timeout, Duration spin) {
    if (!scheduler_->reconfigure(workers, shutdown_timeout, spin)) return false;
    config_.workers = workers;
    limit_native_threads(workers > 1);
    config_.shutdown_timeout = shutdown_timeout;
    end_watch_->set_timeout(shutdown_timeout);
    config_.spin = spin;
    return true;
}

PyObject* Runtime::run_main(PyObject* main, PyObject* arguments) {
    Worker& worker = *scheduler_->worker(0);
    PyRider rider(worker, PyThreadState_Get());
    struct Riding {
        Riding(Worker& its_worker, PyRider& its_rider) noexcept : worker(its_worker) { worker.set_rider(&its_rider); }
        ~Riding() { worker.set_rider(nullptr); }
        Worker& worker;
    } riding(worker, rider);

    auto name = std::make_shared<const std::string>("main");
    std::unique_ptr<MailboxLimit> mailbox_limit;
    if (config_.mailbox_limit || config_.mailbox_byte_limit)
        mailbox_limit =
            std::make_unique<MailboxLimit>(config_.mailbox_limit, config_.mailbox_byte_limit, OnMailboxFull::error);
    auto join = make_shared_ref<JoinState>(false);
    auto actor =
        std::make_unique<PyActor>(PyActor::Start{Py_NewRef(main), Py_NewRef(arguments), nullptr, nullptr}, join);
    PyActor& main_actor = *actor;
    PyObject*& exception = main_exception_;
    main_actor.make_main(stop_running, &exception, [] { Runtime::current()->end_watch().told(); });
    main_actor.name = std::move(name);
    main_actor.stack_bytes = static_cast<std::uint32_t>(config_.main_stack_size);
    main_actor.keeps_thread_ident = true;
    main_actor.mailbox_limit = std::move(mailbox_limit);
    std::unique_ptr<Actor> base = std::move(actor);
    main_pid_ = scheduler_->spawn(base, Scheduler::Place::on_worker, 0);
    if (!main_pid_) {
        base->cancelled(false);
        return PyErr_NoMemory();
    }

    open_to_visitors(*this);
    SignalWatch signals;
    if (on_process_main_thread()) watch_signals(signals, rider);
    {
        OverflowWatch overflows;
        AlternateStack alternate;
        scheduler_->run_main();
    }
    report_unjoined_failures(true);
    Py_BEGIN_ALLOW_THREADS  // a visitor may need the GIL to leave
    close_to_visitors();
    Py_END_ALLOW_THREADS;
    forget_stuck_workers();
    reporter_->stop();
    stop_blocking_calls(config_.shutdown_timeout);
    forget_spawn_sites();
    Py_CLEAR(interpreter_state()->loadable_modules);

    if (const std::size_t left = scheduler_->abandoned()) {
        std::fprintf(stderr, "smarm: gave up %zu actor%s that did not end within %.1f s of being asked to:\n%s", left,
                     left == 1 ? "" : "s", std::chrono::duration<double>(config_.shutdown_timeout).count(),
                     describe_left(*scheduler_).c_str());
    }
    // Finalisers of what main had, and whoever reads the output, may take their time: the signals are watched still.
    if (SignalWatch::terminated()) {
        Py_CLEAR(exception);
        flush_output();
        InterpreterPool::end_idle();
    }
    signals.restore();
    give_back_main_signals();
    if (SignalWatch::terminated()) {
        // As without smarm: the process ends by the signal, now that everything has been cleaned up.
        std::signal(SIGTERM, SIG_DFL);
        std::raise(SIGTERM);
    }
    if (!exception && join->kind() != OutcomeKind::returned)  // asked to exit before its first turn
        return raise_error("ActorKilled", "the main actor was stopped before it began");
    if (exception) {
        PyErr_SetRaisedException(exception);
        return nullptr;
    }
    return Py_XNewRef(static_cast<PyObject*>(join->value().local_object()));
}

// Workers that never came back keep their interpreters; the main one must be able to end without them.
void Runtime::forget_stuck_workers() {
    for (unsigned i = 1; i < config_.workers; ++i) {
        Worker* worker = scheduler_->worker(i);
        if (worker && worker->left_behind() && worker->rider())
            smarm_forget_interpreter(static_cast<PyRider*>(worker->rider())->interpreter());
    }
}

void Runtime::watch_signals(SignalWatch& signals, PyRider& rider) {
    rider.check_signals = run_signal_handlers;
    const MainSignals taken = take_main_signals();
    const auto look = [this, &rider] {
        rider.notice_signals();
        scheduler_->worker(0)->nudge();
    };
    signals.install({.interrupt = taken.interrupt,
                     .terminate = taken.terminate,
                     .quit = has_default_handler(SIGQUIT),
                     .look = look,
                     .on_dump = [this](int fd) { reporter_->dump(fd); },
                     .on_end_asked = [this](int number) { end_watch_->asked(number); },
                     .look_at_end = [this] { return end_watch_->look(); }});
}

void Runtime::note_main_ended() noexcept {
    main_ended_ = true;
    auto* main = static_cast<PyActor*>(scheduler_->table().own(main_pid_));  // null: there was no memory for it
    if (PyObject* late = main ? main->take_exit_exception() : nullptr) raise_after_main(late);
    end_watch_->main_ended(main_exception_ && PyErr_GivenExceptionMatches(main_exception_, PyExc_KeyboardInterrupt));
}

// Python would have raised it before main returned: run() does, as if main's last call had. Steals it.
void Runtime::raise_after_main(PyObject* exception) noexcept {
    if (main_exception_) PyException_SetContext(exception, main_exception_);  // steals it
    main_exception_ = exception;
}

bool Runtime::runs_main() const noexcept {
    const Actor* actor = this_actor();
    return actor && actor->pid == main_pid_ && !main_ended_ && !actor->requests.shielded();
}

void Runtime::request_in_main(PyObject* exception) {
    if (main_ended_) {
        raise_after_main(exception);
        return;
    }
    auto* main = static_cast<PyActor*>(scheduler_->table().own(main_pid_));
    main->set_exit_exception(exception);
    main->worker->request_signal(*main, Duration::zero());  // both are on the main lane
}

void Runtime::enter_worker(Worker& worker) {
    const char* error = nullptr;
    PyThreadState* own = InterpreterPool::take();
    if (own) PyEval_RestoreThread(own);
    else own = create_interpreter(error);
    bool ready = own != nullptr;
    if (own && !prepare_interpreter(snapshot_, worker.index())) {
        PyErr_Print();
        error = "it could not be prepared";
        ready = false;
    }
    if (!ready) {
        std::fprintf(stderr, "smarm: worker %u has no interpreter: %s; its actors fail\n", worker.index(), error);
        if (own) Py_EndInterpreter(own);
        worker.refuse();
        return;
    }
    configure_codec();
    check_native_libraries();
    bool calls_ended = true;
    {
        PyRider rider(worker, own);
        AlternateStack alternate;
        worker.set_rider(&rider);
        worker.run();
        calls_ended = stop_blocking_calls(config_.shutdown_timeout);
        worker.set_rider(nullptr);
    }
    forget_spawn_sites();
    // An actor that was given up keeps its thread state; ending the interpreter under it would crash.
    if (worker.live_count() == 0 && calls_ended) {
        if (!outlasts_run(own) || !rest_interpreter() || !InterpreterPool::keep(own)) end_interpreter(own);
        return;
    }
    PyInterpreterState* interpreter = PyThreadState_GetInterpreter(own);
    PyEval_SaveThread();
    smarm_forget_interpreter(interpreter);
}

}  // namespace smarm
