#include "smarm/interp/failure_report.h"

#include <algorithm>
#include <cstdio>
#include <new>
#include <optional>
#include <vector>

#include "smarm/actor/shield.h"
#include "smarm/interp/calling_actor.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/pid_type.h"
#include "smarm/interp/requested_exception.h"

namespace smarm {
namespace {

constexpr std::size_t kMostFrames = 200;  // of a traceback, the innermost
constexpr char kNothingKnown[] =
    "smarm: an actor failed without a description: no memory was left, or its worker has no interpreter\n";

std::string title(const Actor& actor) {
    std::string text =
        "actor <pid " + std::to_string(actor.pid.index) + "." + std::to_string(actor.pid.generation) + ">";
    if (actor.name) text += " '" + *actor.name + "'";
    if (actor.spawn_site)
        text += ", spawned at " + actor.spawn_site->file + ":" + std::to_string(actor.spawn_site->line) + ",";
    return text;
}

// The text of a str for people, "?" for what is none. Clears the exception that that may be.
std::string utf8(PyObject* text) {
    PyObject* bytes =
        text && PyUnicode_Check(text) ? PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace") : nullptr;
    std::string copy = bytes ? PyBytes_AS_STRING(bytes) : "?";
    Py_XDECREF(bytes);
    drop_exception();
    return copy;
}

std::string describe_frame(PyTracebackObject* entry) {
    PyCodeObject* code = PyFrame_GetCode(entry->tb_frame);
    PyObject* number = PyObject_GetAttrString(reinterpret_cast<PyObject*>(entry), "tb_lineno");
    const long line = number ? PyLong_AsLong(number) : -1;
    Py_XDECREF(number);
    drop_exception();
    std::string text = "  File \"" + utf8(code->co_filename) + "\", line " + std::to_string(line) + ", in " +
                       utf8(code->co_name) + "\n";
    Py_DECREF(code);
    return text;
}

// "Type: message", as the last line of a traceback.
std::string describe_exception(PyObject* exception) {
    PyObject* message = PyObject_Str(exception);
    const std::string said = message ? utf8(message) : "<its str() failed>";
    Py_XDECREF(message);
    drop_exception();
    return std::string(Py_TYPE(exception)->tp_name) + (said.empty() ? "" : ": " + said) + "\n";
}

// A traceback made without the module traceback: without the text of the lines, and without causes.
std::string describe_plainly(PyObject* exception) {
    std::vector<std::string> frames;
    PyObject* trace = PyException_GetTraceback(exception);
    for (auto* entry = reinterpret_cast<PyTracebackObject*>(trace); entry; entry = entry->tb_next) {
        frames.push_back(describe_frame(entry));
        if (frames.size() == 2 * kMostFrames) frames.erase(frames.begin(), frames.begin() + kMostFrames);
    }
    Py_XDECREF(trace);
    std::string text = frames.empty() ? "" : "Traceback (most recent call last):\n";
    for (std::size_t i = frames.size() - std::min(frames.size(), kMostFrames); i < frames.size(); ++i)
        text += frames[i];
    return text + describe_exception(exception);
}

PyObject* text_or_none(const std::string* text) {
    if (!text) return Py_NewRef(Py_None);
    return PyUnicode_FromStringAndSize(text->data(), static_cast<Py_ssize_t>(text->size()));
}

// The fields of smarm._failure.Failure (a new tuple, nullptr: no memory), of which the traceback's text is `text`.
PyObject* make_fields(const Actor& actor, const std::string& summary, const std::string& text, PyObject* enclosed) {
    const SpawnSite* site = actor.spawn_site;
    return Py_BuildValue("(NNNissO)", make_pid(actor.pid), text_or_none(actor.name.get()),
                         text_or_none(site ? &site->file : nullptr), site ? site->line : 0, summary.c_str(),
                         text.c_str(), enclosed);
}

// The same by smarm._failure.describe. nullptr with an exception set.
PyObject* describe_fully(PyObject* exception, const Actor& actor) {
    const SpawnSite* site = actor.spawn_site;
    return call_imported("smarm._failure", "describe",
                         Py_BuildValue("(ONNNi)", exception, make_pid(actor.pid), text_or_none(actor.name.get()),
                                       text_or_none(site ? &site->file : nullptr), site ? site->line : 0));
}

// With the exception itself where it can travel, and with less where all of it is longer than a message may be. Takes
// `fields`.
OwnedParcel encode_fields(PyObject* fields, PyObject* exception, const Actor& actor) {
    ValueCodec& codec = *interpreter_state()->codec;
    OwnedParcel parcel = codec.encode(fields, "exception");
    if (!parcel) {
        drop_exception();
        const Py_ssize_t last = PyTuple_Size(fields) - 1;
        PyObject* parts = PyTuple_GetSlice(fields, 0, last);
        PyObject* none = parts ? PyTuple_Pack(1, Py_None) : nullptr;
        Py_SETREF(fields, none ? PySequence_Concat(parts, none) : nullptr);
        Py_XDECREF(none);
        Py_XDECREF(parts);
        if (fields) parcel = codec.encode(fields, "exception");
    }
    Py_XDECREF(fields);
    if (!parcel) {
        drop_exception();
        fields = make_fields(actor, Py_TYPE(exception)->tp_name, "its description is longer than message_size allows\n",
                             Py_None);
        if (fields) parcel = codec.encode(fields, "exception");
        Py_XDECREF(fields);
    }
    drop_exception();
    return parcel;
}

// False: sys.stderr does not take it, or there is no interpreter (any more) that has one.
bool write_by_python(const std::string& text) {
    if (!PyThreadState_GetUnchecked()) return false;
    PyObject* stream = PySys_GetObject("stderr");  // borrowed
    if (stream == Py_None) return true;            // the program has none
    PyObject* object =
        stream ? PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace") : nullptr;
    Py_XINCREF(stream);
    bool written = object && PyFile_WriteObject(object, stream, Py_PRINT_RAW) == 0;
    Py_XDECREF(object);
    PyObject* flushed = written ? PyObject_CallMethod(stream, "flush", nullptr) : nullptr;
    Py_XDECREF(flushed);
    Py_XDECREF(stream);
    drop_exception();
    return written;
}

}  // namespace

Ref<ExitReason> describe_failure(PyObject* exception, Actor& actor) noexcept {
    const Shield shield(actor);
    try {
        PyObject* fields = describe_fully(exception, actor);
        if (!fields || !PyTuple_Check(fields) || PyTuple_GET_SIZE(fields) != 7) {
            drop_exception();
            std::string summary = describe_exception(exception);
            summary.pop_back();  // the end of the line
            Py_XSETREF(fields, make_fields(actor, summary, describe_plainly(exception), exception));
        }
        if (!fields) {
            drop_exception();
            return undescribed_failure(actor, "no memory was left to describe it");
        }
        std::string report =
            "smarm: " + title(actor) + " failed, and nobody joined it:\n" + utf8(PyTuple_GET_ITEM(fields, 5));
        return ExitReason::with(ExitKind::failed, encode_fields(fields, exception, actor), std::move(report));
    } catch (const std::bad_alloc&) {
        drop_exception();
        return ExitReason::plain(ExitKind::failed);
    }
}

Ref<ExitReason> undescribed_failure(const Actor& actor, const char* why) noexcept {
    try {
        return ExitReason::with(ExitKind::failed, nullptr, "smarm: " + title(actor) + " failed: " + why + "\n");
    } catch (const std::bad_alloc&) {
        return ExitReason::plain(ExitKind::failed);
    }
}

void report_failure(const ExitReason& reason) noexcept {
    const bool attached = PyThreadState_GetUnchecked() != nullptr;
    PyObject* raised = attached ? PyErr_GetRaisedException() : nullptr;
    std::optional<Shield> shield;
    if (Actor* actor = calling_actor()) shield.emplace(*actor);
    const char* text = reason.report().empty() ? kNothingKnown : reason.report().c_str();
    bool written = false;
    try {
        written = write_by_python(text);
    } catch (const std::bad_alloc&) {  // written below
    }
    if (!written) std::fputs(text, stderr);
    if (raised) PyErr_SetRaisedException(raised);
}

}  // namespace smarm
