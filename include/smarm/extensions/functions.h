// functions.h: private copies as functions of smarm._core, for pylib/smarm/extensions.
//
// What:    _extension_owner() -> int, this interpreter's number; _end_extensions(), when it begins to end;
//          _extensions_are_private() -> whether workers of this run load copies; _extension_lists() -> the user's
//          (shared libraries, private libraries, main-only modules); _read_shared_object(path) -> (needed, name, search
//          directories), of a file; _write_private_copy(path, fd, renames), the file with these names for others;
//          _open_private_copy(copy, original, flags) -> what stands for it, loaded and redirected;
//          _open_shared_library(path), the original, which is found by its name from now on.
// Errors:  ImportError for a file that is none or is damaged, OSError for what the system refuses.
#pragma once

#include <Python.h>

namespace smarm {

// Ends with an empty entry.
extern PyMethodDef extension_functions[];

}  // namespace smarm
