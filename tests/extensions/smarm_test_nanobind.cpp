// Stands for an extension module that is written with nanobind: a class, an exception, callbacks.
#include <nanobind/nanobind.h>
#include <nanobind/stl/function.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;

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

}  // namespace

NB_MODULE(smarm_test_nanobind, module) {
    nb::exception<Refused>(module, "Refused");
    nb::class_<Account>(module, "Account")
        .def(nb::init<std::string, long>())
        .def("withdraw", &Account::withdraw)
        .def_rw("balance", &Account::balance);
    module.def("map", [](const std::vector<int>& values, const std::function<int(int)>& function) {
        std::vector<int> results;
        results.reserve(values.size());
        for (const int value : values) results.push_back(function(value));
        return results;
    });
}
