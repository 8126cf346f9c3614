// What a program reads when a value cannot be sent: the path, the type, and what to do instead.
#include <cstdarg>
#include <cstring>

#include "codec/encoder.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::codec {
namespace {

struct Hint {
    const char* type;
    const char* text;
};

constexpr Hint kHints[] = {
    {"_thread.lock", "a lock belongs to one actor; use smarm.Mutex, or make the lock where it is used"},
    {"_thread.RLock", "a lock belongs to one actor; use smarm.Mutex, or make the lock where it is used"},
    {"generator", "it is running code; send the values that it yields"},
    {"async_generator", "it is running code; send the values that it yields"},
    {"coroutine", "it is running code; send the function and its arguments"},
    {"frame", "it is running code; send the values that you need of it"},
    {"traceback", "send traceback.format_exception(...) of it"},
    {"module", "import it in the actor that uses it"},
    {"memoryview", "send bytes(view), or a smarm.Buffer"},
    {"mappingproxy", "send dict(...) of it"},
    {"socket.socket", "send the descriptor (socket.detach()) and make the socket again from it"},
    {"ssl.SSLSocket", "open the connection in the actor that uses it"},
    {"_io.TextIOWrapper", "send the path or the data, and open the file in the actor that uses it"},
    {"_io.BufferedReader", "send the path or the data, and open the file in the actor that uses it"},
    {"_io.BufferedWriter", "send the path or the data, and open the file in the actor that uses it"},
    {"_io.BufferedRandom", "send the path or the data, and open the file in the actor that uses it"},
    {"_io.FileIO", "send the path or the data, and open the file in the actor that uses it"},
    {"sqlite3.Connection", "open the database in the actor that uses it"},
    {"sqlite3.Cursor", "fetch the rows and send those"},
    {"weakref.ReferenceType", "send the object itself"},
    {"_contextvars.Context", "each actor has its own context; send the values"},
    {"code", "send a function that is defined at module level"},
    {"cell", "send a function that is defined at module level"},
};

// Whether pickling code refused the object, as opposed to having failed on its own account.
bool is_refusal(PyObject* exception) {
    if (PyErr_GivenExceptionMatches(exception, PyExc_TypeError)) return true;
    return std::strcmp(Py_TYPE(exception)->tp_name, "PicklingError") == 0;
}

// Sets `exception` again, with a line of the path. Loses nothing if that fails.
void raise_with_note(PyObject* exception, PyObject* path) {
    if (path && PyErr_GivenExceptionMatches(exception, PyExc_Exception)) {
        Handle note(PyUnicode_FromFormat("while encoding %U", path));
        Handle done(note ? PyObject_CallMethod(exception, "add_note", "O", note.get()) : nullptr);
    }
    drop_exception();
    PyErr_SetRaisedException(exception);
}

}  // namespace

const char* hint_for(const char* type_name) {
    for (const Hint& hint : kHints) {
        if (std::strcmp(hint.type, type_name) == 0) return hint.text;
    }
    return nullptr;
}

Encoder::Step Encoder::refuse(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    Handle text(PyUnicode_FromFormatV(format, arguments));
    va_end(arguments);
    if (!text || !cache_.prepare()) return Step::Failed;
    Handle path(path_of(frames_, root_, cache_));
    if (path) raise_error("NotSendable", "%U: %U", path.get(), text.get());
    return Step::Failed;
}

Encoder::Step Encoder::unsendable(PyObject* value, const char* reason) {
    Handle name(PyType_GetFullyQualifiedName(Py_TYPE(value)));
    const char* type_name = name ? PyUnicode_AsUTF8(name.get()) : nullptr;
    if (!type_name) return Step::Failed;
    const char* hint = hint_for(type_name);
    return refuse("%s cannot be sent: %s", type_name, hint ? hint : reason);
}

Encoder::Step Encoder::refuse_depth(PyObject* object) {
    for (std::size_t index = 0; index < frames_.size(); ++index) {
        // An object can refer to itself from its state, which comes after it has been made.
        if (frames_[index].object != object) continue;
        return refuse("%T cannot be sent: it contains itself among the arguments that make it", object);
    }
    return refuse("nested deeper than %u levels", static_cast<unsigned>(codec_.limits.depth));
}

Encoder::Step Encoder::changed(const char* type) { return refuse("this %s changed while it was being encoded", type); }

Encoder::Step Encoder::explain(PyObject* value) {
    Handle owned = Handle::share(value);
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_SystemError, "failed without an exception");
    Handle cause(PyErr_GetRaisedException());
    if (!is_refusal(cause.get())) {
        Handle path(cache_.prepare() ? path_of(frames_, root_, cache_) : nullptr);
        raise_with_note(cause.release(), path.get());
        return Step::Failed;
    }
    Handle reason(PyObject_Str(cause.get()));
    const char* text = reason ? PyUnicode_AsUTF8(reason.get()) : nullptr;
    if (!text) drop_exception();
    unsendable(value, text ? text : "pickling failed");
    Handle error(PyErr_GetRaisedException());
    if (PyExceptionInstance_Check(error.get())) {
        PyException_SetCause(error.get(), cause.release());
    }
    PyErr_SetRaisedException(error.release());
    return Step::Failed;
}

}  // namespace smarm::codec
