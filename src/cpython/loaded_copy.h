// loaded_copy.h: a copy of a shared object in this process: other functions behind its calls, and the original's pages.
//
// What:    open_copy loads it so that its symbols are its own; redirect() puts other functions behind those that it
//          takes from elsewhere, by writing into its table of addresses (GOT), where the loader has written before;
//          share_pages() maps its read-only segments from the original file, where they are the same, so that all
//          copies have one place in the page cache.
// Not:     constructors of the object have run before redirect(); calls that it makes through dlsym are not redirected.
// Threads: any; two for one object at a time not. Blocks: as dlopen does. An object is never closed again.
#pragma once

#include <span>
#include <string>

namespace smarm {

struct Redirection {
    const char* name;
    void* to;
};

// flags: RTLD_NOW or RTLD_LAZY. Returns its handle, or nullptr with the loader's sentence in `error`.
//
// Its own definitions and those of the libraries that it needs go before everybody else's (RTLD_DEEPBIND), or what a
// program has loaded with RTLD_GLOBAL would be taken for them. Not where malloc is replaced (LD_PRELOAD, a sanitizer):
// the copy would take the C library's, and give its memory to the other one.
void* open_copy(const char* path, int flags, std::string& error);

// Returns 0, or errno: the system does not let its table be written.
int redirect(void* handle, std::span<const Redirection> redirections);

// `original`: an open descriptor. Where it fails, pages stay the copy's.
void share_pages(void* handle, int original) noexcept;

// Whether redirect() works with this loader: tried on smarm's own library. Once; cheap afterwards.
bool can_redirect() noexcept;

}  // namespace smarm
