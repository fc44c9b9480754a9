#include "apps/program/run_main.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <new>
#include <utility>

#include "apps/program/terminal.h"
#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace stair::apps {
namespace {

constexpr size_t kLongestMessage = 4000;

struct Failure {
  std::string message;
  std::string hint;
  const char* kind;
  int exit_code;
};

const char* kind_of(const Error& error) {
  switch (error.exit_code()) {
    case 2:
      return "config";
    case 3:
      return "data";
    case 4:
      return "format";
    case 5:
      return "io";
    case 6:
      return "memory";
    case 7:
      return "device";
    case 8:
      return "numerics";
    default:
      return "internal";
  }
}

Failure current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.what(), error.hint(), kind_of(error), error.exit_code()};
  } catch (const std::bad_alloc&) {
    return {"out of memory", "use a smaller --batch-size or fewer --workers", "memory", 6};
  } catch (const std::exception& error) {
    return {std::string("internal error: ") + error.what(),
            "this is a defect; please report it with the output of qat_env", "internal", 1};
  } catch (...) {
    return {"internal error of unknown kind",
            "this is a defect; please report it with the output of qat_env", "internal", 1};
  }
}

// Whether errors go out as JSON is asked before the flags are understood, since they may be what is
// wrong.
bool wants_json(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    if (argument == "--") return false;
    if (argument == "--json") return true;
  }
  return false;
}

// What names of files bring along is escaped; the lines of a list ("\n  ") stay lines.
std::string shown(const std::string& text) {
  std::string out;
  for (size_t from = 0;;) {
    const size_t end = text.find("\n  ", from);
    out += printable(text.substr(from, end == text.npos ? end : end - from), kLongestMessage);
    if (end == text.npos) return out;
    out += "\n  ";
    from = end + 3;
  }
}

void print(const Failure& failure, bool json, std::ostream& err, bool color) {
  const std::string message = shown(failure.message);
  const std::string hint = shown(failure.hint);
  if (json) {
    Json object;
    object.set("error", message).set("hint", hint);
    object.set("kind", failure.kind).set("exit_code", failure.exit_code);
    err << object.dump() << std::endl;
    return;
  }
  err << (color ? "\x1b[31merror:\x1b[0m " : "error: ") << message << std::endl;
  if (!hint.empty()) err << (color ? "\x1b[36mhint:\x1b[0m " : "hint: ") << hint << std::endl;
}

}  // namespace

int run_program(const std::vector<std::string>& arguments, const Program& program,
                std::ostream& out, std::ostream& err, bool color) {
  try {
    const int code = program(arguments);
    out.flush();
    if (!out) throw IoError("cannot write to standard output", "is the disk full?");
    return code;
  } catch (...) {
    const Failure failure = current_failure();
    out.clear();
    out.flush();
    print(failure, wants_json(arguments), err, color);
    return failure.exit_code;
  }
}

int run_main(int argc, char** argv, const Program& program) {
  const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  return run_program(arguments, program, std::cout, std::cerr, terminal_of(STDERR_FILENO).color);
}

}  // namespace stair::apps
