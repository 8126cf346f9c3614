// shared_object.h: a shared object as a file: what it needs, whether it is well-formed, and a changed copy of it.
//
// What:    SharedObject maps a file privately and reads its ELF structures (64-bit x86-64). check() looks at everything
//          that the loader will follow, so that a file that is cut short or damaged is an error here and no crash
//          there. rename() and make_unique_global() change the mapping, never the file; write() writes it to a
//          descriptor.
// Errors:  NotLoadable with a sentence: what is wrong, without the path. Failing calls of the system:
//          std::system_error.
// Not:     the machine code itself cannot be checked.
// Threads: an object belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <elf.h>

namespace smarm {

struct NotLoadable : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class SharedObject {
public:
    explicit SharedObject(const char* path);
    ~SharedObject();
    SharedObject(const SharedObject&) = delete;
    SharedObject& operator=(const SharedObject&) = delete;

    // Of the dynamic section. `search` are the directories of RUNPATH or RPATH as they are written, $ORIGIN included.
    const std::vector<std::string>& needed() const noexcept { return needed_; }
    const std::string& name() const noexcept { return name_; }
    const std::vector<std::string>& search() const noexcept { return search_; }

    void check() const;

    // Wherever the file says the library's name `from` (needed, its own name, versions), it says `to`, which must be as
    // long.
    void rename(std::string_view from, std::string_view to);
    // Symbols that exist once per process whatever the scope (STB_GNU_UNIQUE) become ordinary global ones.
    void make_unique_global();

    void write(int descriptor) const;

private:
    std::span<std::byte> bytes(std::uint64_t offset, std::uint64_t count) const;
    template <class Item>
    Item read(std::uint64_t offset) const;
    // The place in the file of `count` bytes at an address of the loaded object.
    std::uint64_t offset_of(std::uint64_t address, std::uint64_t count) const;
    std::string_view string(std::uint64_t offset) const;
    std::uint64_t value(std::int64_t tag) const noexcept;
    bool has(std::int64_t tag) const noexcept;

    void read_segments();
    void read_dynamic();
    void read_names();
    std::uint64_t defined_symbols_end() const;
    void check_relocations(std::uint64_t address, std::uint64_t size) const;
    void check_functions(std::int64_t table, std::int64_t size) const;
    void check_versions(std::int64_t table, std::int64_t count, bool needed) const;
    bool is_loaded(std::uint64_t address, std::uint64_t count, std::uint32_t flags) const noexcept;

    std::byte* mapping_ = nullptr;
    std::size_t size_ = 0;
    std::vector<Elf64_Phdr> segments_;  // those that are loaded, by address
    std::vector<Elf64_Dyn> dynamic_;
    std::uint64_t strings_ = 0;  // their offset and size
    std::uint64_t strings_size_ = 0;
    std::vector<std::string> needed_;
    std::string name_;
    std::vector<std::string> search_;
};

}  // namespace smarm
