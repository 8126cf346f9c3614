#include "smarm/interp/buffer_loan.h"

#include <cstring>
#include <new>

#include "smarm/base/mpsc_stack.h"
#include "smarm/interp/imports.h"
#include "smarm/msg/post.h"
#include "smarm/sched/scheduler.h"
#include "smarm/sched/worker.h"

namespace smarm {
namespace {

// A view on its way home.
struct ReturnedView : MpscNode {
    Py_buffer view;
};

MpscStack returned;

struct ReturnPost final : PostOf<ReturnPost> {
    void arrived(Worker&) noexcept {
        delete this;
        take_back_loans();
    }
    void lost(Scheduler&) noexcept { delete this; }  // the views wait for the next runtime's loans, or for the end
};

class BufferLoan final : public BufferMemory {
public:
    // Takes the view over.
    explicit BufferLoan(ReturnedView* view) noexcept
        : BufferMemory(static_cast<std::byte*>(view->view.buf), static_cast<std::size_t>(view->view.len)),
          view_(view) {}
    ~BufferLoan() override {
        returned.push(*view_);
        Worker* worker = this_worker();
        // Without memory for the post, the next buffer that the main lane frees takes the view back.
        auto* post = worker ? new (std::nothrow) ReturnPost : nullptr;
        if (post) worker->scheduler().worker(0)->post(*post);
    }
    PyObject* lender() const noexcept { return view_->view.obj; }
    // Nobody else can reach the lender any more, so this stays true: it was found out in the lender's interpreter
    // before the buffer could leave it, and whoever has the buffer later learns it with the buffer.
    bool sole = false;

private:
    ReturnedView* view_;  // owned; has room for the way back, which must not fail
};

const char* type_name(PyObject* object) { return Py_TYPE(object)->tp_name; }

// 1: exactly that type; 0: not, or its module was never imported; -1: an exception is set.
int is_exactly(PyObject* object, const char* module_name, const char* name) {
    PyObject* modules = PyImport_GetModuleDict();
    PyObject* module = PyDict_GetItemString(modules, module_name);
    if (!module) return 0;
    PyObject* type = PyObject_GetAttrString(module, name);
    const int same = type ? Py_IS_TYPE(object, reinterpret_cast<PyTypeObject*>(type)) : -1;
    Py_XDECREF(type);
    return same;
}

bool refuse(PyObject* object, const char* why) {
    PyErr_Format(PyExc_BufferError,
                 "the %.100s that this smarm.Buffer was made from %s: smarm.Buffer(it) is a copy that can go anywhere",
                 type_name(object), why);
    return false;
}

// Whether nothing but the loan refers to the object.
bool has_one_reference(PyObject* object) {
    if (Py_REFCNT(object) > 1) return refuse(object, "is referred to elsewhere, too (del what refers to it)");
    PyObject* count = call_imported("_weakref", "getweakrefcount", Py_BuildValue("(O)", object));
    if (!count) return false;
    const bool none = PyObject_Not(count) == 1;
    Py_DECREF(count);
    return none || refuse(object, "has weak references");
}

// Whether the array's memory is its own, and not that of another object.
bool owns_its_data(PyObject* array) {
    PyObject* flags = PyObject_GetAttrString(array, "flags");
    PyObject* owns = flags ? PyObject_GetAttrString(flags, "owndata") : nullptr;
    Py_XDECREF(flags);
    if (!owns) return false;
    const bool own = owns == Py_True;
    Py_DECREF(owns);
    return own || refuse(array, "is a view of another object's memory");
}

// Whether nobody but the loan can reach the object's memory. False with an exception set.
bool is_alone(PyObject* object) {
    int known = PyByteArray_CheckExact(object);
    if (!known) known = is_exactly(object, "array", "array");
    if (known < 0) return false;
    if (known) return has_one_reference(object);
    known = is_exactly(object, "numpy", "ndarray");
    if (known < 0) return false;
    if (!known) return refuse(object, "may share its memory with others");
    return has_one_reference(object) && owns_its_data(object);
}

}  // namespace

bool can_lend() noexcept { return PyInterpreterState_Get() == PyInterpreterState_Main(); }

Ref<BufferMemory> lend(PyObject* object) {
    take_back_loans();
    auto* node = new (std::nothrow) ReturnedView;
    if (!node) {
        PyErr_NoMemory();
        return nullptr;
    }
    if (PyObject_GetBuffer(object, &node->view, PyBUF_CONTIG | PyBUF_FORMAT) != 0) {
        delete node;
        return nullptr;
    }
    BufferLoan* loan = nullptr;
    const char* format = node->view.format;
    if (format && std::strchr(format, 'O')) {
        PyErr_Format(PyExc_TypeError, "a %.100s of Python objects cannot lend its memory", type_name(object));
    } else if (!(loan = new (std::nothrow) BufferLoan(node))) {
        PyErr_NoMemory();
    }
    if (!loan) {
        PyBuffer_Release(&node->view);
        delete node;
    }
    return Ref<BufferMemory>::adopt(loan);
}

bool is_sole(BufferMemory& memory) {
    auto* loan = dynamic_cast<BufferLoan*>(&memory);
    if (!loan || loan->sole) return true;
    return loan->sole = is_alone(loan->lender());
}

void take_back_loans() noexcept {
    if (returned.empty()) return;
    PyThreadState* state = PyThreadState_GetUnchecked();
    if (!state || PyThreadState_GetInterpreter(state) != PyInterpreterState_Main()) return;
    PyObject* pending = PyErr_GetRaisedException();
    for (MpscNode* node = returned.take_all(); node;) {
        auto* view = static_cast<ReturnedView*>(node);
        node = node->next;
        PyBuffer_Release(&view->view);
        delete view;
    }
    PyErr_SetRaisedException(pending);
}

}  // namespace smarm
