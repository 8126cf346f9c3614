// How buffers are made: of nothing, of bytes, of arrays and of files.
#include <bit>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bind/buffer_object.h"
#include "smarm/base/own_descriptor.h"
#include "smarm/interp/buffer_loan.h"
#include "smarm/interp/errors.h"

namespace smarm::bind {
namespace {

using Contents = BufferMemory::Contents;

bool read_alignment(PyObject* wish, std::size_t& alignment) {
    alignment = kDefaultAlignment;
    if (!wish) return true;
    const Py_ssize_t number = PyNumber_AsSsize_t(wish, nullptr);
    if (number == -1 && PyErr_Occurred()) return false;
    alignment = static_cast<std::size_t>(number);
    if (number > 0 && std::has_single_bit(alignment) && alignment <= BufferMemory::kMostAlignment) {
        if (alignment < alignof(std::max_align_t)) alignment = alignof(std::max_align_t);
        return true;
    }
    PyErr_Format(PyExc_ValueError, "align must be a power of two up to %zu, not %R", BufferMemory::kMostAlignment,
                 wish);
    return false;
}

PyObject* copy_of(PyObject* source, std::size_t alignment) {
    View view;
    if (!view.get(source, PyBUF_FULL_RO)) return nullptr;
    auto memory = allocate_buffer(view.size(), alignment, Contents::unset);
    if (!memory) return nullptr;
    if (PyBuffer_ToContiguous(memory->data(), &view.raw(), view.raw().len, 'C') != 0) return nullptr;
    count_payload_copy(view.size());
    return wrap_buffer(Buffer(std::move(memory)));
}

// ---- files ----------------------------------------------------------------------------------------------------------

// A descriptor, and the part of the file that is asked for.
class File {
public:
    File() = default;
    ~File() {
        if (opened_) ::close(fd);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    // False with an exception set. `wish` is None for "to the end".
    bool open(PyObject* file, int flags, PyObject* offset_wish, PyObject* size_wish) {
        if (PyLong_Check(file)) {
            fd = PyObject_AsFileDescriptor(file);
            if (fd < 0) return false;
        } else if (!open_path(file, flags)) {
            return false;
        }
        struct stat status{};
        if (::fstat(fd, &status) != 0) return fail();
        regular = S_ISREG(status.st_mode);
        if (!read_number(offset_wish, "offset", offset)) return false;
        const std::size_t length = regular ? static_cast<std::size_t>(status.st_size) : 0;
        available = offset < length ? length - offset : 0;
        size = available;
        if (size_wish && size_wish != Py_None) return read_number(size_wish, "size", size);
        if (regular) return true;
        PyErr_SetString(PyExc_ValueError, "only a regular file has an end: say how many bytes, with size=");
        return false;
    }
    bool fail() const {
        PyErr_SetFromErrno(PyExc_OSError);
        return false;
    }

    int fd = -1;
    bool regular = false;
    std::size_t offset = 0;
    std::size_t size = 0;       // wished
    std::size_t available = 0;  // of a regular file, from offset on

private:
    bool open_path(PyObject* file, int flags) {
        PyObject* path = nullptr;
        if (!PyUnicode_FSConverter(file, &path)) return false;
        const char* name = PyBytes_AS_STRING(path);
        Py_BEGIN_ALLOW_THREADS do fd = as_own_descriptor(::open(name, flags | O_CLOEXEC));
        while (fd < 0 && errno == EINTR);
        Py_END_ALLOW_THREADS Py_DECREF(path);
        opened_ = fd >= 0;
        if (!opened_) PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, file);
        return opened_;
    }
    static bool read_number(PyObject* wish, const char* name, std::size_t& number) {
        if (!wish) return true;
        const Py_ssize_t value = PyNumber_AsSsize_t(wish, PyExc_OverflowError);
        if (value == -1 && PyErr_Occurred()) return false;
        if (value < 0) {
            PyErr_Format(PyExc_ValueError, "%s must be 0 or more, not %R", name, wish);
            return false;
        }
        number = static_cast<std::size_t>(value);
        return true;
    }
    bool opened_ = false;
};

// Reads up to file.size bytes; *count says how many there were. False with an exception set.
bool read_all(const File& file, std::byte* to, std::size_t* count) {
    constexpr std::size_t kMostPerCall = std::size_t{1} << 30;
    std::size_t done = 0;
    while (done < file.size) {
        const std::size_t wanted = file.size - done < kMostPerCall ? file.size - done : kMostPerCall;
        ssize_t got = 0;
        int error = 0;
        Py_BEGIN_ALLOW_THREADS got = file.regular
                                         ? ::pread(file.fd, to + done, wanted, static_cast<off_t>(file.offset + done))
                                         : ::read(file.fd, to + done, wanted);
        error = errno;
        Py_END_ALLOW_THREADS if (got < 0 && error == EINTR) {
            if (PyErr_CheckSignals() != 0) return false;
            continue;
        }
        errno = error;
        if (got < 0) return file.fail();
        if (got == 0) break;
        done += static_cast<std::size_t>(got);
    }
    *count = done;
    return true;
}

bool read_access(const char* name, BufferMemory::Access& access) {
    const std::string_view wish = name;
    if (wish == "read") access = BufferMemory::Access::read;
    else if (wish == "write") access = BufferMemory::Access::write;
    else if (wish == "copy") access = BufferMemory::Access::copy;
    else PyErr_Format(PyExc_ValueError, "access is 'read', 'write' or 'copy', not '%s'", name);
    return !PyErr_Occurred();
}

}  // namespace

PyObject* new_buffer(PyTypeObject*, PyObject* arguments, PyObject* keywords) {
    static const char* const names[] = {"", "align", nullptr};
    PyObject* source = nullptr;
    PyObject* wish = nullptr;
    std::size_t alignment = 0;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O|$O:Buffer", const_cast<char**>(names), &source, &wish) ||
        !read_alignment(wish, alignment)) {
        return nullptr;
    }
    if (PyObject_CheckBuffer(source)) return copy_of(source, alignment);
    if (!PyIndex_Check(source)) {
        return PyErr_Format(PyExc_TypeError, "Buffer() takes a size or a bytes-like object, not %.100s",
                            Py_TYPE(source)->tp_name);
    }
    const Py_ssize_t size = PyNumber_AsSsize_t(source, PyExc_OverflowError);
    if (size == -1 && PyErr_Occurred()) return nullptr;
    if (size < 0) return PyErr_Format(PyExc_ValueError, "a smarm.Buffer has 0 or more bytes, not %zd", size);
    auto memory = allocate_buffer(static_cast<std::size_t>(size), alignment, Contents::zero);
    return memory ? wrap_buffer(Buffer(std::move(memory))) : nullptr;
}

PyObject* buffer_from_array(PyObject*, PyObject* array) {
    if (!can_lend()) {
        View view;  // refuses what lend() refuses
        if (!view.get(array, PyBUF_CONTIG)) return nullptr;
        return copy_of(array, kDefaultAlignment);
    }
    auto memory = lend(array);
    return memory ? wrap_buffer(Buffer(std::move(memory))) : nullptr;
}

PyObject* buffer_from_file(PyObject*, PyObject* arguments, PyObject* keywords) {
    static const char* const names[] = {"", "offset", "size", "align", nullptr};
    PyObject* path = nullptr;
    PyObject* offset = nullptr;
    PyObject* size = nullptr;
    PyObject* wish = nullptr;
    std::size_t alignment = 0;
    File file;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O|$OOO:from_file", const_cast<char**>(names), &path, &offset,
                                     &size, &wish) ||
        !read_alignment(wish, alignment) || !file.open(path, O_RDONLY, offset, size)) {
        return nullptr;
    }
    if (file.regular && file.size > file.available) file.size = file.available;
    auto memory = allocate_buffer(file.size, alignment, Contents::unset);
    std::size_t count = 0;
    if (!memory || !read_all(file, memory->data(), &count)) return nullptr;
    Buffer buffer(std::move(memory));
    buffer.narrow(0, count);
    return wrap_buffer(std::move(buffer));
}

PyObject* buffer_mmap(PyObject*, PyObject* arguments, PyObject* keywords) {
    static const char* const names[] = {"", "offset", "size", "access", nullptr};
    PyObject* path = nullptr;
    PyObject* offset = nullptr;
    PyObject* size = nullptr;
    const char* access_name = "read";
    auto access = BufferMemory::Access::read;
    File file;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O|$OOs:mmap", const_cast<char**>(names), &path, &offset,
                                     &size, &access_name) ||
        !read_access(access_name, access) ||
        !file.open(path, access == BufferMemory::Access::write ? O_RDWR : O_RDONLY, offset, size)) {
        return nullptr;
    }
    if (file.size > file.available) {
        return PyErr_Format(PyExc_ValueError, "the file has %zu bytes from offset %zu on, not %zu", file.available,
                            file.offset, file.size);
    }
    const bool frozen = access == BufferMemory::Access::read;
    if (file.size == 0) {
        auto empty = allocate_buffer(0, kDefaultAlignment, Contents::unset);
        return empty ? wrap_buffer(Buffer(std::move(empty), frozen)) : nullptr;
    }
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const std::size_t skipped = file.offset % page;
    auto memory =
        BufferMemory::map_file(file.fd, static_cast<off_t>(file.offset - skipped), file.size + skipped, access);
    if (!memory) {
        file.fail();
        return nullptr;
    }
    Buffer buffer(std::move(memory), frozen);
    buffer.narrow(skipped, file.size);
    return wrap_buffer(std::move(buffer));
}

}  // namespace smarm::bind
