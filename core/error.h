// Errors of the public interface. Every message names what failed, the values received and, where
// there is one, a hint.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace stair {

// Concatenates its arguments as an output stream would print them.
template <class... Parts>
std::string str(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// Base of all errors. `exit_code` is what a program that meets the error ends with (see
// docs/errors.md).
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what, std::string hint = "", int exit_code = 1)
      : std::runtime_error(what), hint_(std::move(hint)), exit_code_(exit_code) {}
  // What to do about it; empty when there is nothing to add.
  const std::string& hint() const { return hint_; }
  int exit_code() const { return exit_code_; }

 private:
  std::string hint_;
  int exit_code_;
};

// Tensors whose shapes do not fit an operation.
struct ShapeError : Error {
  explicit ShapeError(const std::string& what, std::string hint = "")
      : Error(what, std::move(hint), 1) {}
};
// Tensors whose element types do not fit an operation.
struct DTypeError : Error {
  explicit DTypeError(const std::string& what, std::string hint = "")
      : Error(what, std::move(hint), 1) {}
};
// Flags, configuration and settings that cannot be used.
struct ConfigError : Error {
  explicit ConfigError(const std::string& what, std::string hint = "")
      : Error(what, std::move(hint), 2) {}
};
// Data sets and pictures that cannot be used.
struct DataError : Error {
  explicit DataError(const std::string& what, std::string hint = "")
      : Error(what, std::move(hint), 3) {}
};
// Weights, checkpoints and graph files that cannot be used.
struct FormatError : Error {
  explicit FormatError(const std::string& what, std::string hint = "")
      : Error(what, std::move(hint), 4) {}
};
// Output that cannot be written.
struct IoError : Error {
  explicit IoError(const std::string& what, std::string hint = "")
      : Error(what, std::move(hint), 5) {}
};
// Memory that cannot be had.
struct MemoryError : Error {
  explicit MemoryError(const std::string& what, std::string hint = "")
      : Error(what, std::move(hint), 6) {}
};
// A device or instruction set that is missing or unusable.
struct DeviceError : Error {
  explicit DeviceError(const std::string& what, std::string hint = "")
      : Error(what, std::move(hint), 7) {}
};
// NaN or infinity where numbers are needed.
struct NumericsError : Error {
  explicit NumericsError(const std::string& what, std::string hint = "")
      : Error(what, std::move(hint), 8) {}
};

}  // namespace stair
