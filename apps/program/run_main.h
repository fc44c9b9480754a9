// The outermost frame of every program: turns what it throws into one message and an exit code.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace stair::apps {

// Takes the arguments without the program's name, returns the exit code.
using Program = std::function<int(const std::vector<std::string>&)>;

// Runs the program. An error goes to standard error as "error: ..." and "hint: ...", or with --json
// as one object with the members error, hint, kind and exit_code. Exit codes: exit_codes.h;
// std::bad_alloc is 6, any other foreign exception 1, standard output that could not be written 5.
int run_main(int argc, char** argv, const Program& program);

// The same for given streams.
int run_program(const std::vector<std::string>& arguments, const Program& program,
                std::ostream& out, std::ostream& err, bool color = false);

}  // namespace stair::apps
