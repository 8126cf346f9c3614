#include "smarm/extensions/shared_object.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace smarm {
namespace {

constexpr std::uint64_t kMostAddresses = std::uint64_t{1} << 47;

[[noreturn]] void fail(const char* what) { throw NotLoadable(what); }

[[noreturn]] void fail_system() { throw std::system_error(errno, std::generic_category()); }

}  // namespace

SharedObject::SharedObject(const char* path) {
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) fail_system();
    struct stat status;
    void* mapped = MAP_FAILED;
    bool is_file = false;
    if (fstat(descriptor, &status) == 0) {
        is_file = S_ISREG(status.st_mode) && status.st_size > 0;
        size_ = is_file ? static_cast<std::size_t>(status.st_size) : 0;
        if (is_file) mapped = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE, descriptor, 0);
    }
    const int error = errno;
    close(descriptor);
    if (!is_file) fail("file too short");
    if (mapped == MAP_FAILED) throw std::system_error(error, std::generic_category());
    mapping_ = static_cast<std::byte*>(mapped);
    try {
        read_segments();
        read_dynamic();
        read_names();
    } catch (...) {
        munmap(mapping_, size_);
        throw;
    }
}

SharedObject::~SharedObject() { munmap(mapping_, size_); }

// ---- reading, with bounds -------------------------------------------------------------------------------------------

std::span<std::byte> SharedObject::bytes(std::uint64_t offset, std::uint64_t count) const {
    if (offset > size_ || count > size_ - offset) fail("file too short");
    return {mapping_ + offset, static_cast<std::size_t>(count)};
}

template <class Item>
Item SharedObject::read(std::uint64_t offset) const {
    Item item;
    std::memcpy(&item, bytes(offset, sizeof item).data(), sizeof item);
    return item;
}

std::uint64_t SharedObject::offset_of(std::uint64_t address, std::uint64_t count) const {
    for (const Elf64_Phdr& segment : segments_) {
        if (address < segment.p_vaddr || address - segment.p_vaddr > segment.p_filesz) continue;
        if (count > segment.p_filesz - (address - segment.p_vaddr)) continue;
        return segment.p_offset + (address - segment.p_vaddr);
    }
    fail("an address in its dynamic section lies outside of it");
}

std::string_view SharedObject::string(std::uint64_t offset) const {
    if (offset >= strings_size_) fail("a name in its dynamic section lies outside of its string table");
    // The table ends with a zero byte: read_dynamic has looked.
    return reinterpret_cast<const char*>(bytes(strings_ + offset, 1).data());
}

bool SharedObject::has(std::int64_t tag) const noexcept {
    return std::ranges::any_of(dynamic_, [tag](const Elf64_Dyn& entry) { return entry.d_tag == tag; });
}

// As the loader, which takes the last one.
std::uint64_t SharedObject::value(std::int64_t tag) const noexcept {
    std::uint64_t found = 0;
    for (const Elf64_Dyn& entry : dynamic_)
        if (entry.d_tag == tag) found = entry.d_un.d_val;
    return found;
}

bool SharedObject::is_loaded(std::uint64_t address, std::uint64_t count, std::uint32_t flags) const noexcept {
    return std::ranges::any_of(segments_, [&](const Elf64_Phdr& segment) {
        return (segment.p_flags & flags) == flags && address >= segment.p_vaddr &&
               address - segment.p_vaddr <= segment.p_memsz && count <= segment.p_memsz - (address - segment.p_vaddr);
    });
}

// ---- what every caller needs ----------------------------------------------------------------------------------------

void SharedObject::read_segments() {
    if (size_ < sizeof(Elf64_Ehdr)) fail("file too short");
    const auto header = read<Elf64_Ehdr>(0);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) fail("invalid ELF header");
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_machine != EM_X86_64)
        fail("it is for another kind of machine");
    if (header.e_type != ET_DYN) fail("it is no shared object");
    if (header.e_phentsize != sizeof(Elf64_Phdr)) fail("invalid ELF header");
    std::uint64_t end = 0;
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        const auto segment = read<Elf64_Phdr>(header.e_phoff + i * std::uint64_t{sizeof(Elf64_Phdr)});
        if (segment.p_type == PT_LOAD) {
            bytes(segment.p_offset, segment.p_filesz);
            if (segment.p_filesz > segment.p_memsz || segment.p_vaddr < end || segment.p_vaddr > kMostAddresses ||
                segment.p_memsz > kMostAddresses)
                fail("its segments are not in order");
            end = segment.p_vaddr + segment.p_memsz;
            segments_.push_back(segment);
        }
    }
    if (segments_.empty()) fail("it has no segments to load");
}

void SharedObject::read_dynamic() {
    const auto header = read<Elf64_Ehdr>(0);
    bool ended = false;
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        const auto segment = read<Elf64_Phdr>(header.e_phoff + i * std::uint64_t{sizeof(Elf64_Phdr)});
        if (segment.p_type != PT_DYNAMIC) continue;
        if (!dynamic_.empty()) fail("it has two dynamic sections");
        const std::uint64_t start = offset_of(segment.p_vaddr, segment.p_filesz);
        for (std::uint64_t at = 0; !ended && segment.p_filesz - at >= sizeof(Elf64_Dyn); at += sizeof(Elf64_Dyn)) {
            dynamic_.push_back(read<Elf64_Dyn>(start + at));
            ended = dynamic_.back().d_tag == DT_NULL;
        }
    }
    if (!ended) fail("its dynamic section has no end");
    strings_size_ = value(DT_STRSZ);
    if (strings_size_ == 0) fail("it has no string table");
    strings_ = offset_of(value(DT_STRTAB), strings_size_);
    if (bytes(strings_ + strings_size_ - 1, 1)[0] != std::byte{0}) fail("its string table has no end");
}

void SharedObject::read_names() {
    std::string_view search;
    for (const Elf64_Dyn& entry : dynamic_) {
        if (entry.d_tag == DT_NEEDED) needed_.emplace_back(string(entry.d_un.d_val));
        else if (entry.d_tag == DT_SONAME) name_ = string(entry.d_un.d_val);
        else if (entry.d_tag == DT_RUNPATH || (entry.d_tag == DT_RPATH && !has(DT_RUNPATH)))
            search = string(entry.d_un.d_val);
    }
    while (!search.empty()) {
        const std::size_t end = std::min(search.find(':'), search.size());
        if (end > 0) search_.emplace_back(search.substr(0, end));
        search.remove_prefix(std::min(end + 1, search.size()));
    }
}

// ---- changing -------------------------------------------------------------------------------------------------------

void SharedObject::rename(std::string_view from, std::string_view to) {
    if (from.size() != to.size()) fail("a name would change its length");
    // With the zero bytes around it: a name that ends like another one may share its bytes, and stays as it is.
    std::string wanted(1, '\0');
    wanted.append(from).push_back('\0');
    char* text = reinterpret_cast<char*>(bytes(strings_, strings_size_).data());
    std::string_view rest(text, strings_size_);
    bool found = false;
    for (std::size_t at = 0; (at = rest.find(wanted, at)) != std::string_view::npos; ++at, found = true)
        std::memcpy(text + at + 1, to.data(), to.size());
    if (!found) fail("the name of a library that it needs is part of another name");
}

std::uint64_t SharedObject::defined_symbols_end() const {
    if (!has(DT_GNU_HASH)) {
        if (!has(DT_HASH)) return 0;
        return read<std::uint32_t>(offset_of(value(DT_HASH), 8) + 4);
    }
    const std::uint64_t start = offset_of(value(DT_GNU_HASH), 16);
    const auto buckets = read<std::uint32_t>(start);
    const auto first = read<std::uint32_t>(start + 4);
    const auto filters = read<std::uint32_t>(start + 8);
    if (buckets == 0 || filters == 0 || (filters & (filters - 1)) != 0) fail("its hash table is damaged");
    const std::uint64_t chains = start + 16 + 8 * std::uint64_t{filters} + 4 * std::uint64_t{buckets};
    std::uint32_t last = 0;
    for (std::uint32_t i = 0; i < buckets; ++i)
        last = std::max(last, read<std::uint32_t>(start + 16 + 8 * std::uint64_t{filters} + 4 * std::uint64_t{i}));
    if (last < first) return first;
    while ((read<std::uint32_t>(chains + 4 * std::uint64_t{last - first}) & 1) == 0) ++last;
    return std::uint64_t{last} + 1;
}

void SharedObject::make_unique_global() {
    const std::uint64_t count = defined_symbols_end();
    if (count == 0) return;
    const std::uint64_t start = offset_of(value(DT_SYMTAB), count * sizeof(Elf64_Sym));
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t info = start + i * sizeof(Elf64_Sym) + offsetof(Elf64_Sym, st_info);
        const auto kind = read<unsigned char>(info);
        if (ELF64_ST_BIND(kind) == STB_GNU_UNIQUE)
            bytes(info, 1)[0] = static_cast<std::byte>(ELF64_ST_INFO(STB_GLOBAL, ELF64_ST_TYPE(kind)));
    }
}

void SharedObject::write(int descriptor) const {
    for (std::size_t written = 0; written < size_;) {
        const ssize_t more = ::write(descriptor, mapping_ + written, size_ - written);
        if (more < 0 && errno != EINTR) fail_system();
        if (more > 0) written += static_cast<std::size_t>(more);
    }
}

// ---- what the loader follows ----------------------------------------------------------------------------------------

void SharedObject::check() const {
    const std::uint64_t count = defined_symbols_end();
    const std::uint64_t symbols = offset_of(value(DT_SYMTAB), count * sizeof(Elf64_Sym));
    for (std::uint64_t i = 0; i < count; ++i) string(read<Elf64_Sym>(symbols + i * sizeof(Elf64_Sym)).st_name);
    if (has(DT_HASH)) {
        const std::uint64_t start = offset_of(value(DT_HASH), 8);
        const auto buckets = read<std::uint32_t>(start);
        if (buckets == 0) fail("its hash table is damaged");
        bytes(start + 8, 4 * (std::uint64_t{buckets} + read<std::uint32_t>(start + 4)));
    }
    if (has(DT_PLTREL) && value(DT_PLTREL) != DT_RELA) fail("its relocations are of an unknown kind");
    check_relocations(value(DT_RELA), value(DT_RELASZ));
    check_relocations(value(DT_JMPREL), value(DT_PLTRELSZ));
    if (has(DT_RELR)) offset_of(value(DT_RELR), value(DT_RELRSZ));
    if (has(DT_INIT) && !is_loaded(value(DT_INIT), 1, PF_X)) fail("its first function lies outside of its code");
    if (has(DT_FINI) && !is_loaded(value(DT_FINI), 1, PF_X)) fail("its last function lies outside of its code");
    check_functions(DT_INIT_ARRAY, DT_INIT_ARRAYSZ);
    check_functions(DT_FINI_ARRAY, DT_FINI_ARRAYSZ);
    if (has(DT_VERSYM)) offset_of(value(DT_VERSYM), 2 * count);
    check_versions(DT_VERNEED, DT_VERNEEDNUM, true);
    check_versions(DT_VERDEF, DT_VERDEFNUM, false);
    const auto header = read<Elf64_Ehdr>(0);
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        const auto segment = read<Elf64_Phdr>(header.e_phoff + i * std::uint64_t{sizeof(Elf64_Phdr)});
        if (segment.p_type == PT_TLS && (segment.p_filesz > segment.p_memsz || segment.p_memsz > kMostAddresses ||
                                         (segment.p_filesz && !is_loaded(segment.p_vaddr, segment.p_filesz, PF_R))))
            fail("its thread-local variables lie outside of it");
        // Padding may follow to the end of the page.
        if (segment.p_type == PT_GNU_RELRO && !is_loaded(segment.p_vaddr, 1, PF_R))
            fail("a part that becomes read-only lies outside of it");
    }
}

void SharedObject::check_relocations(std::uint64_t address, std::uint64_t size) const {
    if (size == 0) return;
    const std::uint64_t start = offset_of(address, size);
    const bool text = has(DT_TEXTREL) || (value(DT_FLAGS) & DF_TEXTREL);
    const std::uint64_t symbols = value(DT_SYMTAB);
    for (std::uint64_t at = 0; at + sizeof(Elf64_Rela) <= size; at += sizeof(Elf64_Rela)) {
        const auto relocation = read<Elf64_Rela>(start + at);
        const std::uint64_t type = ELF64_R_TYPE(relocation.r_info);
        if (type == R_X86_64_NONE) continue;
        if (!is_loaded(relocation.r_offset, 8, text ? PF_R : PF_W)) fail("a relocation lies outside of its data");
        if (type == R_X86_64_IRELATIVE && !is_loaded(static_cast<std::uint64_t>(relocation.r_addend), 1, PF_X))
            fail("a function that chooses others lies outside of its code");
        const std::uint64_t symbol = symbols + ELF64_R_SYM(relocation.r_info) * sizeof(Elf64_Sym);
        string(read<Elf64_Sym>(offset_of(symbol, sizeof(Elf64_Sym))).st_name);
    }
}

void SharedObject::check_functions(std::int64_t table, std::int64_t size) const {
    if (has(table) && value(size)) offset_of(value(table), value(size));
}

// Lists whose elements say how far away the next one is.
void SharedObject::check_versions(std::int64_t table, std::int64_t count, bool needed) const {
    if (!has(table)) return;
    std::uint64_t left = value(count);
    for (std::uint64_t at = value(table); left > 0; --left) {
        const std::uint64_t item = offset_of(at, sizeof(Elf64_Verneed));
        const auto parts = needed ? read<Elf64_Verneed>(item).vn_cnt : read<Elf64_Verdef>(item).vd_cnt;
        std::uint64_t part = at + (needed ? read<Elf64_Verneed>(item).vn_aux : read<Elf64_Verdef>(item).vd_aux);
        if (needed) string(read<Elf64_Verneed>(item).vn_file);
        for (unsigned i = 0; i < parts; ++i) {
            const std::uint64_t place = offset_of(part, needed ? sizeof(Elf64_Vernaux) : sizeof(Elf64_Verdaux));
            string(needed ? read<Elf64_Vernaux>(place).vna_name : read<Elf64_Verdaux>(place).vda_name);
            const std::uint32_t next =
                needed ? read<Elf64_Vernaux>(place).vna_next : read<Elf64_Verdaux>(place).vda_next;
            if (next == 0) break;
            part += next;
        }
        const std::uint32_t next = needed ? read<Elf64_Verneed>(item).vn_next : read<Elf64_Verdef>(item).vd_next;
        if (next == 0) break;
        at += next;
    }
}

}  // namespace smarm
