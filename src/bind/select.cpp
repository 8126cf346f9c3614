#include "bind/select.h"

#include <array>
#include <memory>
#include <new>
#include <variant>

#include "bind/arguments.h"
#include "bind/channel_types.h"
#include "bind/io_functions.h"
#include "bind/message_values.h"
#include "bind/raising.h"
#include "bind/receive.h"
#include "interp/method_table.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/py_rider.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/wait/select_sources.h"

namespace smarm::bind {
namespace {

// ---- Source ---------------------------------------------------------------------------------------------------------

enum class Kind : std::uint8_t { mailbox, after, readable, writable };

struct SourceObject {
    PyObject_HEAD Kind kind;
    Instant due;       // of after
    PyObject* object;  // what a mailbox matches by, the seconds of after, the descriptor; owned
};

SourceObject& as_source(PyObject* self) { return *reinterpret_cast<SourceObject*>(self); }

int source_traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(as_source(self).object);
    Py_VISIT(Py_TYPE(self));
    return 0;
}

int source_clear(PyObject* self) {
    Py_CLEAR(as_source(self).object);
    return 0;
}

void source_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    source_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject* source_repr(PyObject* self) {
    static constexpr const char* names[] = {"mailbox", "after", "readable", "writable"};
    const SourceObject& source = as_source(self);
    return PyUnicode_FromFormat("<smarm.%s(%R)>", names[static_cast<int>(source.kind)],
                                source.object ? source.object : Py_None);
}

PyType_Slot source_slots[] = {
    {Py_tp_doc, const_cast<char*>("What select can wait for: made by mailbox, after, readable and writable.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(source_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(source_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(source_clear)},
    {Py_tp_repr, reinterpret_cast<void*>(source_repr)},
    {0, nullptr},
};

PyType_Spec source_spec = {
    "smarm.Source", sizeof(SourceObject), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    source_slots};

PyObject* make_source(Kind kind, PyObject* object, Instant due = kNever) {
    auto* self = PyObject_GC_New(SourceObject, interpreter_state()->source_type);
    if (!self) return nullptr;
    self->kind = kind;
    self->due = due;
    self->object = Py_NewRef(object);
    PyObject_GC_Track(reinterpret_cast<PyObject*>(self));
    return reinterpret_cast<PyObject*>(self);
}

PyObject* mailbox(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count > 1)
        return PyErr_Format(PyExc_TypeError, "mailbox() takes what its messages match, %zd arguments were given",
                            count);
    PyObject* match = count ? arguments[0] : Py_None;
    return check_match(match) ? make_source(Kind::mailbox, match) : nullptr;
}

PyObject* after(PyObject*, PyObject* seconds) {
    Worker* worker = require_actor("after");
    Duration duration{};
    if (!worker || !read_seconds(seconds, duration)) return nullptr;
    return make_source(Kind::after, seconds, deadline_after(worker->driver().now(), duration));
}

PyObject* fd_source(Kind kind, PyObject* object) {
    return PyObject_AsFileDescriptor(object) < 0 ? nullptr : make_source(kind, object);
}
PyObject* readable(PyObject*, PyObject* object) { return fd_source(Kind::readable, object); }
PyObject* writable(PyObject*, PyObject* object) { return fd_source(Kind::writable, object); }

// ---- select ---------------------------------------------------------------------------------------------------------

// The actor's mailbox, with what its messages must match.
class MatchSource final : public MailboxSource {
public:
    MatchSource(Actor& self, PyObject* match) : MailboxSource(self), match_(match) {
        seen_ = first_position(self, match);
    }
    bool poll() override {
        const int found = find_message(self_, match_, seen_);
        if (found > 0) message = self_.take_message(seen_);
        return found != 0;  // below 0: a predicate raised; there is no message then
    }

private:
    PyObject* match_;
};

using Slot = std::variant<std::monostate, ChannelSource, MatchSource, TimeSource, FdSource>;

SelectSource* fd_slot(PyObject* object, Interest interest, Slot& slot) {
    const int fd = PyObject_AsFileDescriptor(object);
    const int is_ready = fd >= 0 && interest == Interest::read ? has_unread(object) : 0;
    if (is_ready < 0) return nullptr;
    if (is_ready) return &slot.emplace<TimeSource>(Instant{});  // due since long ago
    return fd < 0 ? nullptr : &slot.emplace<FdSource>(fd, interest);
}

// Makes the native source. nullptr with an exception set.
SelectSource* fill(const InterpreterState& state, Actor& self, PyObject* object, Slot& slot) {
    if (Channel* channel = channel_of_receiver(state, object)) return &slot.emplace<ChannelSource>(*channel, self);
    if (!Py_IS_TYPE(object, state.source_type)) {
        PyErr_Format(PyExc_TypeError,
                     "select() waits for Receivers, mailbox(), after(), readable() and writable(), not for %.100s",
                     Py_TYPE(object)->tp_name);
        return nullptr;
    }
    const SourceObject& source = as_source(object);
    switch (source.kind) {
        case Kind::mailbox: return may_take_messages(self) ? &slot.emplace<MatchSource>(self, source.object) : nullptr;
        case Kind::after: return &slot.emplace<TimeSource>(source.due);
        case Kind::readable: return fd_slot(source.object, Interest::read, slot);
        case Kind::writable: return fd_slot(source.object, Interest::write, slot);
    }
    return nullptr;
}

// Returns what the chosen source has: a new reference, or nullptr with an exception set.
PyObject* value_of(Slot& slot, PyObject* object) {
    if (auto* channel = std::get_if<ChannelSource>(&slot)) {
        if (channel->status == Status::closed) return raise_end_of(channel->channel());
        return open_message(std::move(channel->message));
    }
    if (auto* messages = std::get_if<MatchSource>(&slot)) {
        return messages->message ? open_message(std::move(messages->message)) : nullptr;
    }
    if (auto* fd = std::get_if<FdSource>(&slot)) {
        if (fd->end.status != FdStatus::ready)
            return raise_fd_end(fd->end, "", "the file descriptor was closed while select waited for it");
    }
    return Py_NewRef(as_source(object).kind == Kind::after ? Py_None : as_source(object).object);
}

// Says in the error that is set which source it came from.
void note_source(PyObject* source) {
    PyObject* error = PyErr_GetRaisedException();
    if (PyObject_SetAttrString(error, "source", source) != 0) drop_exception();
    PyErr_SetRaisedException(error);
}

PyObject* select_from(Worker& worker, PyObject* const* objects, std::size_t count, Slot* slots, SelectSource** sources,
                      Instant deadline) {
    InterpreterState& state = *interpreter_state();
    for (std::size_t i = 0; i < count; ++i) {
        sources[i] = fill(state, *worker.current(), objects[i], slots[i]);
        if (!sources[i]) return nullptr;
    }
    const Selected selected = select({sources, count}, deadline);
    if (selected.status == Status::timed_out)
        return raise_status(selected.status, "no source had anything before the timeout", "");
    if (selected.status != Status::ok) return raise_status(selected.status, "", "");
    std::size_t chosen = 0;
    // The sources were shuffled, the slots were not.
    const auto is_chosen = [&](auto& it) {
        if constexpr (std::is_same_v<decltype(it), std::monostate&>) return false;
        else return static_cast<SelectSource*>(&it) == selected.source;
    };
    while (!std::visit(is_chosen, slots[chosen])) ++chosen;
    PyObject* value = value_of(slots[chosen], objects[chosen]);
    if (!value) {
        note_source(objects[chosen]);
        return nullptr;
    }
    PyObject* result = PyTuple_Pack(2, objects[chosen], value);
    Py_DECREF(value);
    return result;
}

PyObject* select_first(PyObject*, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Worker* worker = enter_wait("select");
    if (!worker) return nullptr;
    Instant deadline = kNever;
    for (Py_ssize_t i = 0; i < (names ? PyTuple_GET_SIZE(names) : 0); ++i) {
        if (!PyUnicode_EqualToUTF8(PyTuple_GET_ITEM(names, i), "timeout"))
            return PyErr_Format(PyExc_TypeError, "select() got an unexpected keyword argument %R",
                                PyTuple_GET_ITEM(names, i));
        if (!read_timeout(arguments[count + i], *worker, deadline)) return nullptr;
    }
    if (count == 0)
        return PyErr_Format(PyExc_TypeError, "select() needs at least one source: a Receiver, mailbox(), after() ...");
    const auto size = static_cast<std::size_t>(count);
    constexpr std::size_t kFew = 6;
    if (size <= kFew) {
        std::array<Slot, kFew> slots;
        std::array<SelectSource*, kFew> sources;
        return select_from(*worker, arguments, size, slots.data(), sources.data(), deadline);
    }
    const auto slots = std::unique_ptr<Slot[]>(new (std::nothrow) Slot[size]);
    const auto sources = std::unique_ptr<SelectSource*[]>(new (std::nothrow) SelectSource*[size]);
    if (!slots || !sources) return PyErr_NoMemory();
    return select_from(*worker, arguments, size, slots.get(), sources.get(), deadline);
}

}  // namespace

bool add_select(PyObject* module, InterpreterState& state) {
    state.source_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&source_spec));
    return state.source_type && PyModule_AddType(module, state.source_type) == 0;
}

PyMethodDef select_functions[] = {
    {"select", SMARM_FAST_METHOD(select_first),
     "select(*sources, timeout=None)\n--\n\nWait until one of the sources has something, take it, and return (source, "
     "value).\n\nA source "
     "is a Receiver, mailbox(), after(), readable() or writable(); of several that have something any may be "
     "taken,\neach as often as "
     "the others.  The value is what recv and receive return, the descriptor, or None for after.\nRaises Closed for a "
     "closed and empty "
     "Receiver (error.source says which), Timeout, OSError, TypeError."},
    {"mailbox", SMARM_POSITIONAL_METHOD(mailbox),
     "mailbox(match=None, /)\n--\n\nReturn a source for select: the running actor's mailbox, or the messages in it "
     "that match as in receive."},
    {"after", after, METH_O,
     "after(seconds, /)\n--\n\nReturn a source for select that has None from that moment on, counted from this call."},
    {"readable", readable, METH_O,
     "readable(fd, /)\n--\n\nReturn a source for select that has fd when it can be read, hangs up or fails."},
    {"writable", writable, METH_O,
     "writable(fd, /)\n--\n\nReturn a source for select that has fd when it can be written, hangs up or fails."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm::bind
