// Stands for an extension module that is written with pybind11 and calls back into Python.
#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace py = pybind11;

PYBIND11_MODULE(smarm_test_pybind, module) {
    module.doc() = "calls back";
    module.def("call_with",
               [](const std::vector<std::string>& names, const std::function<int(const std::string&)>& function) {
                   int sum = 0;
                   for (const std::string& name : names) {
                       {
                           py::gil_scoped_release without;
                       }
                       sum += function(name);
                   }
                   return sum;
               });
}
