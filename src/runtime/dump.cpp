#include "smarm/runtime/dump.h"

#include <Python.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <unordered_map>
#include <vector>

#include "smarm/cpython/frame_walk.h"
#include "smarm/interp/blocking_pool.h"
#include "smarm/interp/own_code.h"

namespace smarm {

namespace {

constexpr int kDumpedFrames = 30;
constexpr std::size_t kMostEdges = 200;       // lines of the wait graph
constexpr std::size_t kMostWaits = 100'000;   // of actors that wait for another one: more are not looked at
constexpr std::size_t kMostLeft = 10;         // actors that are named at the end
constexpr std::size_t kPieceBytes = 1 << 16;  // of a dump

std::string pid_text(Pid pid) {
    return "<pid " + std::to_string(pid.index) + "." + std::to_string(pid.generation) + ">";
}

std::string title(const ActorSnapshot& actor) {
    return pid_text(actor.pid) + (actor.name ? " '" + *actor.name + "'" : "");
}

std::string describe_wait(const ActorSnapshot& actor, Instant now) {
    const Instant since{Duration(actor.parked_since)};
    const double seconds = std::max(0.0, std::chrono::duration<double>(now - since).count());
    char length[32];
    std::snprintf(length, sizeof length, "%.2f s", seconds);
    std::string text = std::string(", waits for ") + wait_reason_name(actor.wait_reason);
    if (const Pid whom = awaited_by(actor)) text += " (" + pid_text(whom) + ")";
    return text + ", for " + length;
}

// What `line` makes of the innermost `most` frames, innermost first: of the program's, or, when it has none, of smarm's
// own.
template <class Line>
std::string read_frames(const void* rider_state, int most, Line line) {
    struct Lines {
        std::string text;
        int count = 0;
    } program, own;
    walk_frames(static_cast<const PyThreadState*>(rider_state), kDumpedFrames, [&](const FrameLine& frame) {
        Lines& lines = is_own_file(frame.file) ? own : program;
        if (lines.count++ < most) lines.text += line(frame);
    });
    return program.count ? program.text : own.text;
}

std::string as_traceback_line(const FrameLine& frame) {
    return std::string("  File \"") + frame.file + "\", line " + std::to_string(frame.line) + ", in " + frame.function +
           "\n";
}

std::string as_place(const FrameLine& frame) {
    return std::string(frame.file) + ":" + std::to_string(frame.line) + " in " + frame.function;
}

std::string describe(Scheduler& scheduler, const ActorSnapshot& actor, Instant now) {
    std::string text = title(actor) + ": " + state_name(actor.state);
    if (actor.state == ActorState::parked) text += describe_wait(actor, now);
    if (actor.home >= 0) text += ", worker " + std::to_string(actor.home);
    if (actor.messages) text += ", " + std::to_string(actor.messages) + " messages";
    if (actor.parent) text += ", parent " + pid_text(actor.parent);
    if (actor.spawn_site)
        text += ", spawned at " + actor.spawn_site->file + ":" + std::to_string(actor.spawn_site->line);
    text += "\n";
    if (actor.state == ActorState::unstarted || actor.state == ActorState::dead) return text;
    const std::string traceback = read_frames(actor.rider_state, kDumpedFrames, as_traceback_line);
    // When it has ended meanwhile the frames may be another's.
    return scheduler.table().find_home(actor.pid) == ActorTable::kNobody ? text : text + traceback;
}

// ---- the wait graph -------------------------------------------------------------------------------------------------

struct Edge {
    std::string from;
    Pid to;
    const char* what;
};

// By the bits of the waiting pid: each actor waits for one other at most.
using WaitGraph = std::unordered_map<std::uint64_t, Edge>;

WaitGraph read_wait_graph(Scheduler& scheduler) {
    WaitGraph graph;
    scheduler.table().for_each([&graph](const ActorSnapshot& actor) {
        const Pid whom = awaited_by(actor);
        if (whom && graph.size() < kMostWaits)
            graph[actor.pid.bits()] = {title(actor), whom, wait_reason_name(actor.wait_reason)};
    });
    return graph;
}

std::string find_title(Scheduler& scheduler, Pid pid) {
    ActorSnapshot seen;
    return scheduler.table().look(pid, seen) ? title(seen) : pid_text(pid) + ", which has ended";
}

std::string describe_edges(Scheduler& scheduler, const WaitGraph& graph) {
    std::string text;
    std::size_t lines = 0;
    for (const auto& [pid, edge] : graph) {
        if (++lines > kMostEdges) {
            text += "  and " + std::to_string(graph.size() - kMostEdges) + " more\n";
            break;
        }
        text += "  " + edge.from + " waits for " + find_title(scheduler, edge.to) + " (" + edge.what + ")\n";
    }
    return text;
}

std::string describe_circles(const WaitGraph& graph) {
    std::string text;
    std::unordered_map<std::uint64_t, std::uint64_t> seen_from;  // pid -> where the walk that met it began
    for (const auto& [start, edge] : graph) {
        std::uint64_t at = start;
        while (graph.contains(at) && !seen_from.contains(at)) {
            seen_from[at] = start;
            at = graph.at(at).to.bits();
        }
        if (!graph.contains(at) || seen_from.at(at) != start) continue;
        text += "smarm: these wait for each other: " + graph.at(at).from;
        for (std::uint64_t next = graph.at(at).to.bits(); next != at; next = graph.at(next).to.bits())
            text += " -> " + graph.at(next).from;
        text += " -> " + graph.at(at).from + "\n";
    }
    return text;
}

}  // namespace

void dump_actors(Scheduler& scheduler, const WriteText& write) {
    const Instant now = monotonic_now();
    std::string text = "smarm: " + std::to_string(scheduler.table().alive()) + " actors\n";
    bool is_read = true;
    scheduler.table().for_each([&](const ActorSnapshot& actor) {
        if (!is_read) return;
        text += describe(scheduler, actor, now);
        if (text.size() < kPieceBytes) return;
        is_read = write(text);
        text.clear();
    });
    if (is_read) write(text);
}

void report_deadlock(Scheduler& scheduler, const WriteText& write) {
    if (!write("smarm: deadlock: every actor waits, and nothing that this program has left can wake one\n")) return;
    dump_actors(scheduler, write);
    const WaitGraph graph = read_wait_graph(scheduler);
    if (!graph.empty())
        write("smarm: who waits for whom:\n" + describe_edges(scheduler, graph) + describe_circles(graph));
}

std::string describe_left(Scheduler& scheduler) {
    std::string text;
    std::size_t shown = 0;
    std::size_t all = 0;
    for (const bool running : {true, false}) {
        scheduler.table().for_each([&](const ActorSnapshot& actor) {
            if ((actor.state == ActorState::running) != running) return;
            ++all;
            if (shown == kMostLeft) return;
            ++shown;
            const std::string place = read_frames(actor.rider_state, 1, as_place);
            text += "  " + title(actor) + ": " + state_name(actor.state);
            if (actor.state == ActorState::parked)
                text += std::string(", waits for ") + wait_reason_name(actor.wait_reason);
            text += (place.empty() ? "" : ", at " + place) + "\n";
        });
    }
    if (all > shown) text += "  and " + std::to_string(all - shown) + " more\n";
    return text;
}

std::string describe_deadlock(Scheduler& scheduler, Instant now) {
    std::string text;
    scheduler.table().for_each([&](const ActorSnapshot& actor) { text += describe(scheduler, actor, now); });
    const WaitGraph graph = read_wait_graph(scheduler);
    if (!graph.empty()) text += "who waits for whom:\n" + describe_edges(scheduler, graph) + describe_circles(graph);
    return text;
}

std::string place_of(const Actor& actor) { return read_frames(actor.rider_state, 1, as_place); }

bool has_foreign_threads(const Scheduler& scheduler, unsigned known) {
    // Worker 0 is the thread that called run. The monitor asks. On the process's main thread another one waits for
    // signals.
    const bool watches_signals = scheduler.worker(0)->thread().is_process_main();
    std::size_t own = scheduler.started_workers() + 1 + (watches_signals ? 1 : 0) + known;
    for (unsigned i = 0; i < scheduler.workers(); ++i) {
        const BlockingCounters& pool = blocking_counters(i);
        if (pool.running.load(memory_order_relaxed) || pool.queued.load(memory_order_relaxed)) return true;
        own += pool.threads.load(memory_order_relaxed);
    }
    std::size_t threads = 0;
    std::error_code error;
    for (auto entry = std::filesystem::directory_iterator("/proc/self/task", error);
         !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
        ++threads;
    return error || threads > own;
}

std::string describe_stall(Scheduler& scheduler, Worker& worker, Duration lasted) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(lasted).count();
    std::string text =
        "smarm: worker " + std::to_string(worker.index()) + " has been held up for " + std::to_string(ms) + " ms by ";
    std::string who = "its interpreter";
    scheduler.table().for_each([&](const ActorSnapshot& actor) {
        if (actor.home != static_cast<int>(worker.index()) || actor.state != ActorState::running) return;
        who = "actor " + title(actor);
        if (const std::string place = read_frames(actor.rider_state, 1, as_place); !place.empty())
            who += " at " + place;
    });
    return text + who + ", which cannot be preempted there (C code, a callback of it, or no_preempt)\n";
}

}  // namespace smarm
