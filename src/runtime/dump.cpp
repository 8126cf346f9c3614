#include "smarm/runtime/dump.h"

#include <Python.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "smarm/interp/frame_walk.h"

namespace smarm {
namespace {

constexpr int kMostFrames = 30;

std::string title(const Actor& actor) {
    std::string text = "<pid " + std::to_string(actor.pid.index) + "." + std::to_string(actor.pid.generation) + ">";
    if (actor.name) text += " '" + *actor.name + "'";
    return text;
}

std::string describe(const Actor& actor, int home) {
    const ActorState state = actor.state.load(memory_order_relaxed);
    std::string text = title(actor) + ": " + state_name(state);
    if (state == ActorState::parked) text += std::string(", waits for ") + wait_reason_name(actor.wait_reason.load(memory_order_relaxed));
    if (home >= 0) text += ", worker " + std::to_string(home);
    if (const std::size_t waiting = actor.mailbox.size()) text += ", " + std::to_string(waiting) + " messages";
    if (actor.parent) text += ", parent <pid " + std::to_string(actor.parent.index) + "." + std::to_string(actor.parent.generation) + ">";
    if (actor.spawn_site) text += ", spawned at " + actor.spawn_site->file + ":" + std::to_string(actor.spawn_site->line);
    text += "\n";
    if (state == ActorState::unstarted || state == ActorState::dead) return text;
    walk_frames(static_cast<const PyThreadState*>(actor.rider_state), kMostFrames, [&text](const FrameLine& frame) {
        text += "  File \"" + frame.file + "\", line " + std::to_string(frame.line) + ", in " + frame.function + "\n";
    });
    return text;
}

void write_all(int fd, const std::string& text) {
    for (std::size_t written = 0; written < text.size();) {
        const ssize_t part = write(fd, text.data() + written, text.size() - written);
        if (part < 0) return;  // nobody reads it
        written += static_cast<std::size_t>(part);
    }
}

}  // namespace

void dump_actors(Scheduler& scheduler, int fd) {
    std::string text = "smarm: " + std::to_string(scheduler.table().alive()) + " actors\n";
    scheduler.table().visit_all([&](Actor& actor, int home) {
        text += describe(actor, home);
        if (text.size() > 1 << 16) {
            write_all(fd, text);
            text.clear();
        }
    });
    write_all(fd, text);
}

bool has_foreign_threads(const Scheduler& scheduler) {
    std::size_t threads = 0;
    std::error_code error;
    for (auto entry = std::filesystem::directory_iterator("/proc/self/task", error); !error && entry != std::filesystem::directory_iterator();
         entry.increment(error))
        ++threads;
    // Worker 0 is the caller's thread; the monitor asks, and one thread waits for signals.
    return error || threads > scheduler.started_workers() + 2;
}

std::string describe_stall(Scheduler& scheduler, Worker& worker, Duration lasted) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(lasted).count();
    std::string text = "smarm: worker " + std::to_string(worker.index()) + " has been held up for " + std::to_string(ms) + " ms by ";
    std::string who = "its interpreter";
    scheduler.table().visit_all([&](Actor& actor, int home) {
        if (home != static_cast<int>(worker.index()) || actor.state.load(memory_order_relaxed) != ActorState::running) return;
        who = "actor " + title(actor);
        walk_frames(static_cast<const PyThreadState*>(actor.rider_state), 1, [&who](const FrameLine& frame) {
            who += " at " + frame.file + ":" + std::to_string(frame.line) + " in " + frame.function;
        });
    });
    return text + who + ", which cannot be preempted there (C code, or no_preempt)\n";
}

}  // namespace smarm
