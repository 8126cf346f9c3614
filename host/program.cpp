#include "program.h"

#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

#include "handle.h"
#include "smarm/interp/imports.h"

namespace smarm::host {
namespace {

constexpr const char* kind_names[] = {"command", "module", "package", "file", "standard_input", "interactive"};

// A file of source text, which Python's own reader compiles: it knows encodings, and its errors are the usual ones.
struct Source {
    FILE* stream = stdin;
    std::string name = "<stdin>";
};

void skip_first_line(FILE* stream) {
    int character = 0;
    while ((character = getc(stream)) != EOF) {
        if (character != '\n') continue;
        ungetc(character, stream);  // the line numbers stay the same
        return;
    }
}

// Opens the program's file. Otherwise says why not, as `python` does, and returns the exit code.
int open_source(const Program& program, PyObject* path, Source& source) {
    Handle encoded(PyUnicode_EncodeFSDefault(path));
    if (!encoded) return report_exception().exit_code;
    source.name = PyBytes_AS_STRING(encoded.get());
    source.stream = std::fopen(source.name.c_str(), "rbe");
    if (!source.stream) {
        PySys_FormatStderr("%s: can't open file %R: [Errno %d] %s\n", program.launcher.c_str(), path, errno,
                           std::strerror(errno));
        return 2;
    }
    struct stat status;
    if (fstat(fileno(source.stream), &status) == 0 && S_ISDIR(status.st_mode)) {
        PySys_FormatStderr("%s: %R is a directory, cannot continue\n", program.launcher.c_str(), path);
        std::fclose(source.stream);
        return 1;
    }
    if (program.skip_first_line) skip_first_line(source.stream);
    return 0;
}

// What the main actor calls when the program is a file or standard input.
PyObject* run_source(PyObject* capsule, PyObject*) {
    auto* source = static_cast<Source*>(PyCapsule_GetPointer(capsule, nullptr));
    PyObject* main = PyImport_AddModule("__main__");  // borrowed
    if (!main) return nullptr;
    PyObject* names = PyModule_GetDict(main);
    PyCompilerFlags flags = {0, PY_MINOR_VERSION};
    const bool close = source->stream != stdin;
    return PyRun_FileExFlags(source->stream, source->name.c_str(), Py_file_input, names, names, close, &flags);
}

PyMethodDef run_source_definition = {"run_source", run_source, METH_NOARGS, nullptr};

// Whether sys.path_hooks can import from the path: a directory or a zip archive.
bool is_importable(PyObject* path, bool& failed) {
    Handle importer(PyImport_GetImporter(path));
    failed = !importer;
    return importer && importer.get() != Py_None;
}

PyObject* import_launcher_module() {
    PyObject* module = import_module("smarm._host");
    if (module || !PyErr_ExceptionMatches(PyExc_ModuleNotFoundError)) return module;
    PyErr_Clear();
    PySys_FormatStderr(
        "smarm-host: %S has no package smarm: install smarm there, or start the smarm-host of another environment\n",
        PySys_GetObject("executable"));
    return nullptr;
}

// The code of -c is compiled by our module, but python shows no frame below an error in it.
void show_as_error_of_command() {
    if (PyErr_ExceptionMatches(PyExc_UnicodeError))
        PySys_WriteStderr("Unable to decode the command from the command line:\n");
    PyObject* exception = PyErr_GetRaisedException();
    PyException_SetTraceback(exception, Py_None);
    PyErr_SetRaisedException(exception);
}

// Returns the configuration that _run takes, or nullptr with an exception set (SystemExit after --help or a wrong
// option).
PyObject* read_options(PyObject* module, const std::vector<std::string>& options) {
    Handle flags(PyTuple_New(static_cast<Py_ssize_t>(options.size())));
    for (std::size_t i = 0; flags && i < options.size(); ++i) {
        PyObject* flag = PyUnicode_DecodeFSDefault(options[i].c_str());
        if (!flag) return nullptr;
        PyTuple_SET_ITEM(flags.get(), static_cast<Py_ssize_t>(i), flag);
    }
    return flags ? PyObject_CallMethod(module, "configure", "(O)", flags.get()) : nullptr;
}

}  // namespace

Program find_program(const PyConfig& config, const char* launcher) {
    Program program;
    program.launcher = launcher;
    program.skip_first_line = config.skip_source_first_line;
    const bool terminal = isatty(STDIN_FILENO) || config.interactive;
    if (config.run_command) program.kind = ProgramKind::command;
    else if (config.run_module) program.kind = ProgramKind::module;
    else if (config.run_filename) program.kind = ProgramKind::file;
    else if (terminal) program.kind = ProgramKind::interactive;
    for (const wchar_t* text : {config.run_command, config.run_module, config.run_filename}) {
        if (text) program.text = text;
    }
    program.inspect = config.inspect && terminal && !program.text.empty();
    return program;
}

Outcome run_program(Program& program, const std::vector<std::string>& options) {
    Handle module(import_launcher_module());
    if (!module) return PyErr_Occurred() ? report_exception() : Outcome{1};
    Handle values(read_options(module.get(), options));
    Handle text(PyUnicode_FromWideChar(program.text.data(), static_cast<Py_ssize_t>(program.text.size())));
    if (!values || !text) return report_exception();

    Source source;
    if (program.kind == ProgramKind::file) {
        bool failed = false;
        if (is_importable(text.get(), failed)) program.kind = ProgramKind::package;
        if (failed) return report_exception();
    }
    if (program.kind == ProgramKind::file) {
        if (const int code = open_source(program, text.get(), source)) return {code};
    }
    Handle capsule(PyCapsule_New(&source, nullptr, nullptr));
    Handle run_source_function(capsule ? PyCFunction_New(&run_source_definition, capsule.get()) : nullptr);
    if (!run_source_function) return report_exception();
    // The arguments of smarm._core._run. It is called from here, so that no frame of ours is below the program's.
    Handle arguments(PyObject_CallMethod(module.get(), "prepare", "sOOOO", kind_names[static_cast<int>(program.kind)],
                                         text.get(), run_source_function.get(), values.get(),
                                         program.inspect ? Py_True : Py_False));
    if (!arguments && program.kind == ProgramKind::command) show_as_error_of_command();
    Handle run(arguments ? import_attribute("smarm._core", "_run") : nullptr);
    Handle result(run ? PyObject_CallObject(run.get(), arguments.get()) : nullptr);
    return result ? Outcome{} : report_exception();
}

}  // namespace smarm::host
