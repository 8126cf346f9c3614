// Stands for an extension module that is written with pybind11: a class, an exception, callbacks, also from a thread.
#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <thread>

namespace py = pybind11;

namespace {

struct Refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Account {
    std::string owner;
    long balance = 0;

    void withdraw(long amount) {
        if (amount > balance) throw Refused(owner + " has " + std::to_string(balance));
        balance -= amount;
    }
};

int call_with(const std::vector<std::string>& names, const std::function<int(const std::string&)>& function) {
    int sum = 0;
    for (const std::string& name : names) {
        {
            py::gil_scoped_release without;
        }
        sum += function(name);
    }
    return sum;
}

int call_in_thread(const std::function<int(int)>& function, int times) {
    int sum = 0;
    std::thread thread([&] {
        for (int i = 0; i < times; ++i) {
            py::gil_scoped_acquire with;
            sum += function(i);
        }
    });
    thread.join();
    return sum;
}

}  // namespace

PYBIND11_MODULE(smarm_test_pybind, module) {
    module.doc() = "calls back";
    module.def("call_with", call_with);
    module.def("call_in_thread", call_in_thread, py::call_guard<py::gil_scoped_release>());
    py::register_exception<Refused>(module, "Refused");
    py::class_<Account>(module, "Account")
        .def(py::init<std::string, long>())
        .def("withdraw", &Account::withdraw)
        .def_readwrite("balance", &Account::balance);
}
