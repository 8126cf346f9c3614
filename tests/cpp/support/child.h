// child.h: runs a function in a forked child, for what ends a process: guard hits, assertions, exhausted limits.
//
// What:    run_in_child(f) returns how the child ended and what it wrote to stderr. A child whose f returns exits
//          with 0 without running exit handlers. SIGSEGV and SIGABRT have their default action there, sanitizers or
//          not, and no core is written.
// Threads: call it from a process (or a test) that has one thread.
#pragma once

#include <csignal>
#include <cstdio>
#include <string>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace smarm::testing {

struct ChildEnd {
    int signal = 0;      // that killed it, or 0
    int exit_code = -1;  // when no signal did
    std::string errors;  // its stderr
    bool said(const char* text) const { return errors.find(text) != std::string::npos; }
};

template <class Function>
ChildEnd run_in_child(Function function) {
    int ends[2];
    if (pipe(ends) != 0) return {};
    std::fflush(nullptr);  // or the child might write it once more
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        const rlimit none{0, 0};
        setrlimit(RLIMIT_CORE, &none);
        std::signal(SIGSEGV, SIG_DFL);
        std::signal(SIGABRT, SIG_DFL);
        function();
        _exit(0);
    }
    close(ends[1]);
    ChildEnd end;
    char text[512];
    ssize_t size = 0;
    while ((size = read(ends[0], text, sizeof text)) > 0) end.errors.append(text, static_cast<std::size_t>(size));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
    if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
    return end;
}

}  // namespace smarm::testing
