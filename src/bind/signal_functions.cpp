#include "bind/signal_functions.h"
#include "bind/arguments.h"
#include "bind/receive.h"
#include "interp/method_table.h"

#include <new>

#include "smarm/interp/errors.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/pid_type.h"
#include "smarm/interp/point.h"
#include "smarm/interp/py_actor.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::bind {
namespace {

// Runs `action(self, pid)` for a function that takes one address.
template <class Action>
PyObject* with_pid(const char* function, PyObject* address, Action action) {
    Worker* worker = require_actor(function);
    Pid pid;
    if (!worker || !read_address(*interpreter_state(), worker->scheduler(), address, pid)) return nullptr;
    try {
        return action(*worker->current(), pid);
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

PyObject* link_to(PyObject*, PyObject* address) {
    return with_pid("link", address, [](Actor& self, Pid pid) {
        link(self, pid);
        return Py_NewRef(Py_None);
    });
}

PyObject* unlink_from(PyObject*, PyObject* address) {
    return with_pid("unlink", address, [](Actor& self, Pid pid) {
        unlink(self, pid);
        return Py_NewRef(Py_None);
    });
}

PyObject* monitor_actor(PyObject*, PyObject* address) {
    // A name that nobody has is an actor that is not there: the Down says so, as for a stale pid.
    Worker* worker = require_actor("monitor");
    if (!worker) return nullptr;
    Pid pid;
    if (!read_address(*interpreter_state(), worker->scheduler(), address, pid)) {
        if (!current_error_is("NotRegistered")) return nullptr;
        drop_exception();
    }
    try {
        Actor& self = *worker->current();
        const MonitorRef ref = make_monitor_ref();
        self.mailbox.set_mark();
        self.marked_ref = ref;
        monitor(self, pid, ref);
        return make_ref(ref);
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

PyObject* demonitor_ref(PyObject*, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {"ref", "flush", nullptr};
    unsigned long long ref = 0;
    int flush = 0;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "K|$p:demonitor", const_cast<char**>(names), &ref, &flush))
        return nullptr;
    Worker* worker = require_actor("demonitor");
    if (!worker) return nullptr;
    Actor& self = *worker->current();
    if (flush && !may_take_messages(self)) return nullptr;
    const bool was_there = demonitor(self, ref);
    if (flush && !was_there) {
        for (std::size_t i = 0; i < self.mailbox.size(); ++i) {
            const Notice* notice = find_notice(self.mailbox.at(i));
            if (!notice || notice->kind != Notice::Kind::down || notice->ref != ref) continue;
            self.take_message(i);
            break;
        }
    }
    return PyBool_FromLong(was_there);
}

PyObject* send_exit_signal(Actor& self, Pid pid, Ref<ExitReason> reason, Duration patience) {
    const bool alive = send_exit(self.pid, pid, std::move(reason), patience);
    if (pid == self.pid && !pass_point(self)) return nullptr;  // to oneself: at once, as raise ActorExit
    return PyBool_FromLong(alive);
}

PyObject* exit_actor(PyObject*, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    if (count != 2) {
        PyErr_Format(PyExc_TypeError, "exit() takes a pid and a reason, %zd argument%s given", count,
                     count == 1 ? " was" : "s were");
        return nullptr;
    }
    return with_pid("exit", arguments[0], [=](Actor& self, Pid pid) -> PyObject* {
        Duration patience{};
        if (!read_interrupt_keyword("exit", arguments, count, names, *self.worker, patience)) return nullptr;
        Ref<ExitReason> reason = PyUnicode_CheckExact(arguments[1]) && PyUnicode_EqualToUTF8(arguments[1], "kill")
                                     ? ExitReason::plain(ExitKind::killed)
                                     : reason_from_python(arguments[1]);
        if (!reason) return nullptr;
        return send_exit_signal(self, pid, std::move(reason), patience);
    });
}

PyObject* kill_actor(PyObject*, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    if (count != 1) {
        PyErr_Format(PyExc_TypeError, "kill() takes a pid, %zd arguments were given", count);
        return nullptr;
    }
    return with_pid("kill", arguments[0], [=](Actor& self, Pid pid) -> PyObject* {
        Duration patience{};
        if (!read_interrupt_keyword("kill", arguments, count, names, *self.worker, patience)) return nullptr;
        return send_exit_signal(self, pid, ExitReason::plain(ExitKind::killed), patience);
    });
}

// send() for orders: the receiver's mailbox_limit does not hold.
PyObject* send_past_limit(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    if (count != 2) return PyErr_BadArgument(), nullptr;
    return with_pid("send", arguments[0], [arguments](Actor& self, Pid pid) -> PyObject* {
        OwnedParcel payload = interpreter_state()->codec->encode(arguments[1], "message");
        if (!payload) return nullptr;
        return PyBool_FromLong(send_order(self.pid, pid, std::move(payload)));
    });
}

PyObject* trap_exit(PyObject*, PyObject* flag) {
    Worker* worker = require_actor("trap_exit");
    const int on = worker ? PyObject_IsTrue(flag) : -1;
    if (on < 0) return nullptr;
    try {
        Relations& relations = relations_of(*worker->current());
        const bool before = std::exchange(relations.trap_exit, on != 0);
        return PyBool_FromLong(before);
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

// ---- names ----------------------------------------------------------------------------------------------------------

bool read_name(PyObject* name, std::string& text) {
    if (!read_text(name, "a registered name", text)) return false;
    if (text.empty()) PyErr_SetString(PyExc_ValueError, "a registered name must not be empty");
    return !text.empty();
}

PyObject* register_name(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    Worker* worker = require_actor("register");
    if (!worker) return nullptr;
    if (count < 1 || count > 2) {
        PyErr_Format(PyExc_TypeError, "register() takes a name and optionally a pid, %zd argument%s given", count,
                     count == 1 ? " was" : "s were");
        return nullptr;
    }
    std::string name;
    if (!read_name(arguments[0], name)) return nullptr;
    Pid pid = worker->current()->pid;
    Scheduler& scheduler = worker->scheduler();
    if (count == 2 && !read_address(*interpreter_state(), scheduler, arguments[1], pid)) return nullptr;
    try {
        // Its worker ends the pid first, sees the mark then, and drops the names: one that comes later finds the pid
        // ended.
        bool alive = scheduler.table().mark_registered(pid);
        const bool added = alive && scheduler.registry().add(name, pid);
        if (added && scheduler.table().find_home(pid) == ActorTable::kNobody) {
            scheduler.registry().drop_all(pid);
            alive = false;
        }
        if (!alive)
            return raise_error("NotRegistered", "<pid %u.%u> cannot be registered: it has ended", pid.index,
                               pid.generation);
        if (!added) {
            if (scheduler.registry().find(name) == pid)
                PyErr_Format(PyExc_ValueError, "<pid %u.%u> has the name %R already", pid.index, pid.generation,
                             arguments[0]);
            else PyErr_Format(PyExc_ValueError, "the name %R is taken by another actor", arguments[0]);
            return nullptr;
        }
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

PyObject* unregister_name(PyObject*, PyObject* name) {
    Worker* worker = require_actor("unregister");
    std::string text;
    if (!worker || !read_name(name, text)) return nullptr;
    if (!worker->scheduler().registry().remove(text))
        return raise_error("NotRegistered", "no actor has the name %R", name);
    Py_RETURN_NONE;
}

PyObject* whereis(PyObject*, PyObject* name) {
    Worker* worker = require_actor("whereis");
    std::string text;
    if (!worker || !read_name(name, text)) return nullptr;
    const Pid pid = worker->scheduler().registry().find(text);
    if (!pid) Py_RETURN_NONE;
    return make_pid(pid);
}

}  // namespace

PyObject* make_ref(MonitorRef ref) {
    return call_imported("smarm._signals", "Ref", Py_BuildValue("(K)", static_cast<unsigned long long>(ref)));
}

namespace {

// Signal.Exit, Signal.Panic or Signal.Timeout. Steals `arguments`.
PyObject* make_child_signal(const char* name, PyObject* arguments) {
    PyObject* all = arguments ? import_attribute("smarm._signals", "Signal") : nullptr;
    PyObject* type = all ? PyObject_GetAttrString(all, name) : nullptr;
    PyObject* result = type ? PyObject_CallObject(type, arguments) : nullptr;
    Py_XDECREF(type);
    Py_XDECREF(all);
    Py_XDECREF(arguments);
    return result;
}

}  // namespace

PyObject* make_notice(const Notice& notice) {
    if (notice.kind == Notice::Kind::child_late)
        return make_child_signal("Timeout", Py_BuildValue("(N)", make_pid(notice.pid)));
    if (notice.kind == Notice::Kind::order) return interpreter_state()->codec->decode(*notice.payload);
    PyObject* reason = reason_to_python(*notice.reason);
    if (!reason) return nullptr;
    PyObject* pid = notice.pid ? make_pid(notice.pid) : Py_NewRef(Py_None);
    if (notice.kind == Notice::Kind::exit)
        return call_imported("smarm._signals", "Exit", Py_BuildValue("(NN)", pid, reason));
    if (notice.kind == Notice::Kind::child_ended)
        return make_child_signal(notice.reason->kind() == ExitKind::failed ? "Panic" : "Exit",
                                 Py_BuildValue("(NN)", pid, reason));
    return call_imported("smarm._signals", "Down", Py_BuildValue("(NNN)", make_ref(notice.ref), pid, reason));
}

// What stands for an actor: a JoinHandle, ServerRef, Down, Call ...
static bool read_pid_attribute(const InterpreterState& state, PyObject* address, Pid& pid) {
    PyObject* named = nullptr;
    if (PyObject_GetOptionalAttrString(address, "pid", &named) < 0) return false;
    const bool found = named && is_pid(state, named);
    if (found) pid = pid_value(named);
    else if (named == Py_None) raise_error("NotRegistered", "nobody is there for %R now", address);
    else
        PyErr_Format(PyExc_TypeError,
                     "an actor is named by its Pid, its registered name or what has a .pid, not by %.100s",
                     Py_TYPE(address)->tp_name);
    Py_XDECREF(named);
    return found;
}

bool read_address(const InterpreterState& state, Scheduler& scheduler, PyObject* address, Pid& pid) {
    if (__builtin_expect(is_pid(state, address), 1)) {
        pid = pid_value(address);
        return true;
    }
    if (!PyUnicode_Check(address)) return read_pid_attribute(state, address, pid);
    std::string name;
    if (!read_name(address, name)) return false;
    pid = scheduler.registry().find(name);
    if (!pid) raise_error("NotRegistered", "no actor has the name %R", address);
    return static_cast<bool>(pid);
}

PyMethodDef signal_functions[] = {
    {"link", link_to, METH_O,
     "link(pid, /)\n--\n\nLink the running actor with another: when one ends with another reason than \"normal\", the "
     "other is asked to exit "
     "with the same\nreason, or gets an Exit message if it traps exits.  A link to an ended actor acts at once, with "
     "\"noproc\"."},
    {"unlink", unlink_from, METH_O, "unlink(pid, /)\n--\n\nRemove a link; its exit signal can no longer arrive."},
    {"monitor", monitor_actor, METH_O,
     "monitor(pid, /)\n--\n\nReturn a Ref; when the actor ends, Down(ref, pid, reason) arrives, at once with "
     "\"noproc\" if it has ended."},
    {"demonitor", SMARM_KEYWORD_METHOD(demonitor_ref),
     "demonitor(ref, *, flush=False)\n--\n\nEnd a monitor; True when it was still there.  flush also takes its Down "
     "out of the mailbox."},
    {"exit", SMARM_FAST_METHOD(exit_actor),
     "exit(pid, reason, /, *, interrupt_after=...)\n--\n\nSend an exit signal: ActorExit(reason) is raised in the "
     "actor "
     "at its next cancellation point, or it gets an "
     "Exit\nmessage if it traps exits.  \"normal\" is ignored by others that do not; \"kill\" is as kill().  False: "
     "nobody has the pid.\n\ninterrupt_after: seconds after which an actor that computes is interrupted where it is; "
     "0: at once; None: never,\nonly at a point.  Default: the run's option.  No cancellation point, except to "
     "oneself: "
     "then it raises at once."},
    {"kill", SMARM_FAST_METHOD(kill_actor),
     "kill(pid, /, *, interrupt_after=...)\n--\n\nEnd an actor; it cannot trap this.  ActorExit is raised in it at "
     "every "
     "cancellation point, so that finally "
     "blocks run and "
     "end;\nits links and monitors see \"killed\".  False: nobody has the pid.  interrupt_after as in exit()."},
    {"_send_past_limit", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(send_past_limit)), METH_FASTCALL,
     nullptr},
    {"trap_exit", trap_exit, METH_O,
     "trap_exit(flag, /)\n--\n\nTurn exit signals to the running actor into Exit messages, or back.  Returns what it "
     "was."},
    {"register", SMARM_POSITIONAL_METHOD(register_name),
     "register(name, pid=self(), /)\n--\n\nGive an actor a name, usable wherever a Pid is; dropped when it "
     "ends.\n\nRaises ValueError when the "
     "name is taken, NotRegistered when the actor has ended."},
    {"unregister", unregister_name, METH_O,
     "unregister(name, /)\n--\n\nTake the name away.  Raises NotRegistered when nobody has it."},
    {"whereis", whereis, METH_O, "whereis(name, /)\n--\n\nReturn the Pid of the actor with that name, or None."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm::bind
