#include "command_line.h"

#include <cstring>
#include <string_view>

namespace smarm::host {
namespace {

// Python's own long option, the only one that it takes while running a program.
constexpr std::string_view kPythonLongOption = "--check-hash-based-pycs";

class Splitter {
public:
    Splitter(int argc, char** argv) : rest_(argv + 1), end_(argv + argc) { line_.python.push_back(argv[0]); }

    CommandLine run() {
        while (rest_ != end_ && line_.error.empty() && take_option(*rest_)) {}
        line_.python.insert(line_.python.end(), rest_, end_);
        return std::move(line_);
    }

private:
    // Returns false where the options end.
    bool take_option(std::string_view argument) {
        if (argument.size() < 2 || argument[0] != '-' || argument == "--") return false;
        if (argument == kPythonLongOption) {
            leave_to_python(2);
            return true;
        }
        return argument[1] == '-' ? take_long(argument) : take_short(argument);
    }

    bool take_long(std::string_view argument) {
        ++rest_;
        if (argument == "--help") line_.options.emplace_back(argument);
        else if (argument == "--version") line_.version = true;
        else if (argument.substr(0, 5) == "--no-")
            line_.options.push_back("--" + std::string(argument.substr(5)) + "=0");
        else if (argument.find('=') != std::string_view::npos) line_.options.emplace_back(argument);
        else if (rest_ == end_) line_.error = std::string(argument) + " needs a value";
        else line_.options.push_back(std::string(argument) + "=" + *rest_++);
        return true;
    }

    // A cluster such as -uB, or one that ends in an option with a value: -Werror, -W error.
    bool take_short(std::string_view cluster) {
        for (std::size_t i = 1; i < cluster.size(); ++i) {
            const bool last = i + 1 == cluster.size();
            switch (cluster[i]) {
                case 'c':
                case 'm': return false;  // the program: what follows is its own
                case 'W':
                case 'X': leave_to_python(last ? 2 : 1); return true;
                case 'h':
                case '?':
                    line_.options.emplace_back("--help");
                    ++rest_;
                    return true;
                case 'V': line_.version = true; break;
                default: break;
            }
        }
        leave_to_python(1);
        return true;
    }

    void leave_to_python(int count) {
        for (; count > 0 && rest_ != end_; --count) line_.python.push_back(*rest_++);
    }

    char** rest_;
    char** end_;
    CommandLine line_;
};

}  // namespace

CommandLine split(int argc, char** argv) {
    if (argc == 0) return {};
    return Splitter(argc, argv).run();
}

}  // namespace smarm::host
