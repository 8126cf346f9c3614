#include "cpython/loaded_copy.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string_view>

#include <Python.h>

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace smarm {
namespace {

constexpr std::size_t kLongStretch = 256 * 1024;  // bytes

std::uintptr_t page_size() noexcept { return static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE)); }
std::uintptr_t page_of(std::uintptr_t address) noexcept { return address & ~(page_size() - 1); }

link_map* map_of(void* handle) noexcept {
    link_map* map = nullptr;
    return dlinfo(handle, RTLD_DI_LINKMAP, static_cast<void*>(&map)) == 0 ? map : nullptr;
}

// What of the dynamic section is needed. glibc has made addresses of these values, but for a few kinds of object.
struct Tables {
    using Relocations = std::span<const ElfW(Rela)>;
    Relocations calls;
    Relocations data;
    const ElfW(Sym) * symbols = nullptr;
    const char* strings = nullptr;

    explicit Tables(const link_map& map) noexcept {
        const std::byte* calls_start = nullptr;
        const std::byte* data_start = nullptr;
        std::size_t calls_bytes = 0;
        std::size_t data_bytes = 0;
        for (const ElfW(Dyn)* entry = map.l_ld; entry->d_tag != DT_NULL; ++entry) {
            const std::uintptr_t value = entry->d_un.d_val;
            const auto* address = reinterpret_cast<const std::byte*>(value < map.l_addr ? value + map.l_addr : value);
            switch (entry->d_tag) {
                case DT_JMPREL: calls_start = address; break;
                case DT_PLTRELSZ: calls_bytes = value; break;
                case DT_RELA: data_start = address; break;
                case DT_RELASZ: data_bytes = value; break;
                case DT_SYMTAB: symbols = reinterpret_cast<const ElfW(Sym)*>(address); break;
                case DT_STRTAB: strings = reinterpret_cast<const char*>(address); break;
                default: break;
            }
        }
        if (calls_start) calls = relocations_at(calls_start, calls_bytes);
        if (data_start) data = relocations_at(data_start, data_bytes);
    }

    static Relocations relocations_at(const std::byte* start, std::size_t bytes) noexcept {
        return {reinterpret_cast<const ElfW(Rela)*>(start), bytes / sizeof(ElfW(Rela))};
    }
};

// The program headers of a loaded object: the file's first segment begins with them.
const ElfW(Phdr) * headers_of(const link_map& map, unsigned& count) noexcept {
    struct Search {
        const link_map& map;
        const ElfW(Phdr) * headers;
        unsigned count;
    } search{map, nullptr, 0};
    dl_iterate_phdr(
        [](dl_phdr_info* object, std::size_t, void* argument) {
            auto& wanted = *static_cast<Search*>(argument);
            if (object->dlpi_addr != wanted.map.l_addr) return 0;
            wanted.headers = object->dlpi_phdr;
            wanted.count = object->dlpi_phnum;
            return 1;
        },
        &search);
    count = search.count;
    return search.headers;
}

// The pages that the loader has made read-only after it had relocated the object.
struct Sealed {
    std::uintptr_t start = 0;
    std::uintptr_t end = 0;

    explicit Sealed(const link_map& map) noexcept {
        unsigned count = 0;
        const ElfW(Phdr)* headers = headers_of(map, count);
        for (unsigned i = 0; headers && i < count; ++i) {
            if (headers[i].p_type != PT_GNU_RELRO) continue;
            start = page_of(map.l_addr + headers[i].p_vaddr);
            end = page_of(map.l_addr + headers[i].p_vaddr + headers[i].p_memsz);
        }
    }
    bool covers(std::uintptr_t page) const noexcept { return page >= start && page < end; }
};

// SAFETY: the word is one that the loader wrote the function's address into. It is aligned, so that a thread which
//         calls through it meanwhile reads the old function or the new one.
int write_word(void** place, void* value, const Sealed& sealed) noexcept {
    const std::uintptr_t page = page_of(reinterpret_cast<std::uintptr_t>(place));
    const bool is_sealed = sealed.covers(page);
    void* start = reinterpret_cast<void*>(page);
    if (is_sealed && mprotect(start, page_size(), PROT_READ | PROT_WRITE) != 0) return errno;
    __atomic_store_n(place, value, __ATOMIC_RELEASE);
    if (is_sealed && mprotect(start, page_size(), PROT_READ) != 0) return errno;
    return 0;
}

link_map* map_around(void* function) noexcept {
    Dl_info info;
    link_map* map = nullptr;
    return dladdr1(function, &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) ? map : nullptr;
}

// Calls visit(name, place) for each word that the loader has filled with the address of something in another object,
// until it returns other than 0, which is returned.
template <class Visit>
int visit_imports(const link_map& map, Visit visit) noexcept {
    const Tables tables(map);
    if (!tables.symbols || !tables.strings) return 0;
    for (const Tables::Relocations& relocations : {tables.calls, tables.data}) {
        for (const ElfW(Rela) & relocation : relocations) {
            const auto type = ELF64_R_TYPE(relocation.r_info);
            if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT &&
                (type != R_X86_64_64 || relocation.r_addend != 0))
                continue;
            const ElfW(Sym) & symbol = tables.symbols[ELF64_R_SYM(relocation.r_info)];
            if (symbol.st_shndx != SHN_UNDEF) continue;
            auto** place = reinterpret_cast<void**>(map.l_addr + relocation.r_offset);
            if (const int result = visit(std::string_view(tables.strings + symbol.st_name), place)) return result;
        }
    }
    return 0;
}

// Where a program that is not position-independent keeps variables of libraries, for itself and for everybody: environ,
// for example. What looks into the C library first finds one there that nobody uses.
class ProgramVariables {
public:
    ProgramVariables() noexcept {
        void* handle = dlopen(nullptr, RTLD_LAZY);
        const link_map* program = handle ? map_of(handle) : nullptr;
        if (!program) return;
        for (const ElfW(Rela) & relocation : Tables(*program).data)
            if (ELF64_R_TYPE(relocation.r_info) == R_X86_64_COPY && count_ < kMost)
                places_[count_++] = reinterpret_cast<void*>(program->l_addr + relocation.r_offset);
    }
    bool any() const noexcept { return count_ > 0; }
    bool has(const void* place) const noexcept {
        return std::find(places_, places_ + count_, place) != places_ + count_;
    }

private:
    static constexpr std::size_t kMost = 256;
    void* places_[kMost];
    std::size_t count_ = 0;
};

// Gives a copy the program's variables.
void use_program_variables(const link_map& map) noexcept {
    static const ProgramVariables variables;
    if (!variables.any()) return;
    const Sealed sealed(map);
    visit_imports(map, [&](std::string_view name, void** place) {
        void* found = variables.has(*place) ? nullptr : dlsym(RTLD_DEFAULT, name.data());
        return found && variables.has(found) ? write_word(place, found, sealed) : 0;
    });
}

int redirect_in(const link_map& map, std::span<const Redirection> redirections, int& changed) noexcept {
    const Sealed sealed(map);
    return visit_imports(map, [&](std::string_view name, void** place) {
        const auto found = std::ranges::find(redirections, name, &Redirection::name);
        if (found == redirections.end()) return 0;
        ++changed;
        return write_word(place, found->to, sealed);
    });
}

// Whether the C++ library gets its memory from elsewhere than the C library: LD_PRELOAD, a sanitizer. What dlsym says
// is not to be believed: a program that is not position-independent has a malloc of its own that leads to the real one.
bool malloc_is_replaced() noexcept {
    ::operator delete(::operator new(1, std::nothrow));  // now the loader has filled in where malloc is
    const link_map* map = map_around(reinterpret_cast<void*>(static_cast<void* (*)(std::size_t)>(&::operator new)));
    void* library = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    if (!map || !library) return true;
    const void* malloc_of_library = dlsym(library, "malloc");
    dlclose(library);
    return visit_imports(*map, [=](std::string_view name, void** place) {
               return name == "malloc" && *place == malloc_of_library ? 1 : 0;
           }) == 0;
}

// Both at the beginning of a page.
// SAFETY: both are mapped. Not memcmp: the zones between the variables of a library that the address sanitizer has
//         built are bytes of its file, too.
[[gnu::no_sanitize_address]] bool same_bytes(const char* left, const char* right, std::size_t size) noexcept {
    std::size_t at = 0;
    for (; at + sizeof(std::uint64_t) <= size; at += sizeof(std::uint64_t)) {
        std::uint64_t ours, theirs;
        __builtin_memcpy(&ours, left + at, sizeof ours);
        __builtin_memcpy(&theirs, right + at, sizeof theirs);
        if (ours != theirs) return false;
    }
    for (; at < size; ++at)
        if (left[at] != right[at]) return false;
    return true;
}

// SAFETY: the same bytes with the same protection, put there in one step: a thread that runs this code does not notice.
//         What may fail (the number of mappings, the file) the kernel looks at before it takes away what was there.
void map_over(std::uintptr_t place, std::size_t size, int protection, int original, std::size_t offset) noexcept {
    static_cast<void>(mmap(reinterpret_cast<void*>(place), size, protection, MAP_PRIVATE | MAP_FIXED, original,
                           static_cast<off_t>(offset)));
}

// A segment as a whole if it is the same; else its long stretches that are, since each takes two mappings more.
void share_segment(const link_map& map, const ElfW(Phdr) & segment, const char* file, std::size_t file_size,
                   int original) noexcept {
    const std::size_t before = segment.p_offset - page_of(segment.p_offset);
    const std::size_t size = segment.p_filesz + before;
    const std::size_t offset = segment.p_offset - before;
    if (offset > file_size || size > file_size - offset) return;
    const std::uintptr_t place = page_of(map.l_addr + segment.p_vaddr);
    const auto* bytes = reinterpret_cast<const char*>(place);
    const int protection = PROT_READ | (segment.p_flags & PF_X ? PROT_EXEC : 0);
    const std::size_t page = page_size();
    for (std::size_t start = 0, end = 0; start < size; start = end + page) {
        for (end = start; end < size; end += page)
            if (!same_bytes(bytes + end, file + offset + end, std::min(page, size - end))) break;
        const bool all = start == 0 && end >= size;
        if (all || end - start >= kLongStretch)
            map_over(place + start, std::min(end, size) - start, protection, original, offset + start);
    }
}

// Stands in for PyOS_mystricmp, which nothing else here calls, while can_redirect() tries.
int answer_seven(const char*, const char*) { return 7; }

bool try_redirecting() noexcept {
    const link_map* own = map_around(reinterpret_cast<void*>(&answer_seven));
    if (!own) return false;
    const auto before = reinterpret_cast<void*>(&PyOS_mystricmp);
    const Redirection there[] = {{"PyOS_mystricmp", reinterpret_cast<void*>(&answer_seven)}};
    const Redirection back[] = {{"PyOS_mystricmp", before}};
    int changed = 0;
    if (redirect_in(*own, there, changed) != 0) return false;
    if (changed == 0) return true;  // CPython is a part of this program, which is no copy and has no such table
    const bool answered = PyOS_mystricmp("a", "a") == 7;
    return redirect_in(*own, back, changed) == 0 && answered && PyOS_mystricmp("a", "a") == 0;
}

}  // namespace

void* open_copy(const char* path, int flags, std::string& error) {
    static const bool replaced = malloc_is_replaced();
    void* handle = dlopen(path, flags | RTLD_LOCAL | (replaced ? 0 : RTLD_DEEPBIND));
    if (!handle) error = dlerror();
    else if (const link_map* map = replaced ? nullptr : map_of(handle)) use_program_variables(*map);
    return handle;
}

int redirect(void* handle, std::span<const Redirection> redirections) {
    const link_map* map = map_of(handle);
    int changed = 0;
    return map ? redirect_in(*map, redirections, changed) : EINVAL;
}

bool can_redirect() noexcept {
    static const bool can = try_redirecting();
    return can;
}

void share_pages(void* handle, int original) noexcept {
    const link_map* map = map_of(handle);
    struct stat status;
    if (!map || fstat(original, &status) != 0 || status.st_size <= 0) return;
    const auto size = static_cast<std::size_t>(status.st_size);
    void* file = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, original, 0);
    if (file == MAP_FAILED) return;
    unsigned count = 0;
    const ElfW(Phdr)* headers = headers_of(*map, count);
    for (unsigned i = 0; headers && i < count; ++i) {
        const ElfW(Phdr) & segment = headers[i];
        if (segment.p_type == PT_LOAD && !(segment.p_flags & PF_W) && segment.p_filesz == segment.p_memsz)
            share_segment(*map, segment, static_cast<const char*>(file), size, original);
    }
    munmap(file, size);
}

}  // namespace smarm
