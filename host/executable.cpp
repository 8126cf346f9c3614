#include "executable.h"

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <unistd.h>

namespace smarm::host {
namespace {

namespace fs = std::filesystem;

bool is_executable_file(const fs::path& path) {
    std::error_code ignored;
    return fs::is_regular_file(path, ignored) && access(path.c_str(), X_OK) == 0;
}

// As the shell did when it started us.
fs::path find_on_path(const std::string& name) {
    const char* path = std::getenv("PATH");
    std::istringstream directories(path ? path : "");
    for (std::string directory; std::getline(directories, directory, ':');) {
        fs::path candidate = fs::path(directory) / name;
        if (is_executable_file(candidate)) return candidate;
    }
    return {};
}

// The python of the virtual environment whose bin directory this is, or nothing.
fs::path environment_python(const fs::path& directory) {
    std::error_code ignored;
    if (!fs::exists(directory.parent_path() / "pyvenv.cfg", ignored) && !fs::exists(directory / "pyvenv.cfg", ignored))
        return {};
    fs::path python = directory / "python";
    return is_executable_file(python) ? python : fs::path();
}

}  // namespace

std::string python_executable(const std::string& argv0) {
    constexpr int kMostLinks = 40;  // as in the kernel
    std::error_code error;
    fs::path launcher = argv0.find('/') == std::string::npos ? find_on_path(argv0) : fs::path(argv0);
    for (int links = 0; !launcher.empty() && links < kMostLinks; ++links) {
        launcher = fs::absolute(launcher, error).lexically_normal();
        if (fs::path python = environment_python(launcher.parent_path()); !python.empty()) return python;
        const fs::path target = fs::read_symlink(launcher, error);
        if (error) break;
        launcher = launcher.parent_path() / target;
    }
    return SMARM_BUILT_WITH;
}

}  // namespace smarm::host
