// Logs that grow by whole lines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace stair {

// A text file to which lines are added; made when it is missing. Every line is handed to the system
// at once, so a reader, or a run that is killed, sees whole lines; a line that could not be written
// whole is taken back. Errors: IoError naming path, call and reason. The file stays usable: the
// next line is tried afresh.
class AppendFile {
 public:
  // Half a last line, left by a power cut, is cut off.
  explicit AppendFile(std::string path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // Adds `line` and a line end; `line` must not contain one (ConfigError).
  void write_line(std::string_view line);
  // Bytes of half a line that the constructor cut off.
  uint64_t bytes_cut() const { return bytes_cut_; }

 private:
  [[noreturn]] void fail(const char* call, int error) const;
  void cut_half_line();
  void truncate();

  std::string path_;
  int fd_ = -1;
  bool regular_ = true;  // no terminal or pipe, which cannot be cut
  bool torn_ = false;    // half a line may follow the first size_ bytes
  uint64_t size_ = 0, bytes_cut_ = 0;
};

}  // namespace stair
