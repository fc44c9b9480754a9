#include "apps/program/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "core/file.h"
#include "core/text.h"

namespace stair::apps {
namespace {

constexpr char kLockName[] = ".lock";
constexpr char kCheckpointPrefix[] = "checkpoint-";
constexpr const char* kOwnFiles[] = {"config.toml",   "env.json",    "command.txt",
                                     "metrics.jsonl", "summary.csv", "report.html"};

bool is_temporary(const std::string& name) {
  return name.starts_with(".") && name.ends_with(".tmp");
}

// The number of "checkpoint-<number>.<suffix>", -1 for other names.
int64_t checkpoint_number(const std::string& name) {
  if (!name.starts_with(kCheckpointPrefix)) return -1;
  int64_t number = -1;
  const char* first = name.data() + sizeof kCheckpointPrefix - 1;
  const auto [end, error] = std::from_chars(first, name.data() + name.size(), number);
  return error == std::errc() && number >= 0 && *end == '.' ? number : -1;
}

bool belongs_to_a_run(const std::string& name) {
  return checkpoint_number(name) >= 0 || name.starts_with("last.") || name.starts_with("best.") ||
         std::find(std::begin(kOwnFiles), std::end(kOwnFiles), name) != std::end(kOwnFiles);
}

std::string host_name() {
  char name[256] = "";
  return gethostname(name, sizeof name - 1) == 0 ? name : "?";
}

std::string shell_word(const std::string& word) {
  constexpr char kPlain[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "$'";
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\'' || c == '\\')
      out += {'\\', c};
    else if (byte < 0x20 || byte >= 0x7F)
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    else
      out += c;
  }
  return out + "'";
}

}  // namespace

RunFolder::RunFolder(RunFolderOptions options) : options_(std::move(options)) {
  check_free();
  make_folders(options_.path);
  take_lock();
  try {
    probe_writable(options_.path);
    const std::vector<std::string> stale = remove_stale_temporaries(options_.path);
    if (!stale.empty())
      notes_.push_back(str("removed ", stale.size(),
                           " temporary files of a save that was killed: ", join(stale, ", ", 3)));
    if (options_.overwrite && !options_.resume) remove_earlier_run();
  } catch (...) {
    close(lock_);
    throw;
  }
}

RunFolder::~RunFolder() {
  close(lock_);
}

std::string RunFolder::file(const std::string& name) const {
  return path_in(options_.path, name);
}

void RunFolder::check_free() const {
  if (file_exists(options_.path))
    throw ConfigError(str("output '", printable(options_.path, 500), "' is a file"),
                      "a folder is needed");
  if (!folder_exists(options_.path) || options_.resume || options_.overwrite) return;
  for (const std::string& name : list_folder(options_.path, FileUse::config))
    if (name != kLockName && !is_temporary(name))
      throw ConfigError(str("output folder '", printable(options_.path, 500),
                            "' is not empty, it holds '", printable(name), "'"),
                        "--resume auto goes on with it, --overwrite replaces it");
}

void RunFolder::take_lock() {
  const std::string path = file(kLockName);
  lock_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_ < 0) throw_write_error(path, "open", errno);
  char owner[400] = "";
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    if (read(lock_, owner, sizeof owner - 1) <= 0) owner[0] = 0;
    close(lock_);
    // Some network file systems have no locks; a run there goes on without one.
    if (error != EWOULDBLOCK) {
      lock_ = -1;
      notes_.push_back("the output folder cannot be locked; let only one run write it");
      return;
    }
    throw IoError(str("output folder '", printable(options_.path, 500), "' is in use by ",
                      *owner == 0 ? "another process" : printable(owner)),
                  "wait for it, stop it, or choose another folder");
  }
  const std::string text = str("process ", getpid(), " on ", host_name());
  if (ftruncate(lock_, 0) != 0 || write(lock_, text.data(), text.size()) < 0) {
    const int error = errno;
    close(lock_);
    throw_write_error(path, "write", error);
  }
}

void RunFolder::remove_earlier_run() const {
  for (const std::string& name : list_folder(options_.path, FileUse::config))
    if (belongs_to_a_run(name)) remove_file(file(name));
}

void RunFolder::describe(const std::string& config_toml, const Json& environment,
                         const std::string& program,
                         const std::vector<std::string>& arguments) const {
  write_file(file("config.toml"), config_toml);
  write_file(file("env.json"), environment.dump(2) + "\n");
  AppendFile(file("command.txt")).write_line(shell_line(program, arguments));
}

void RunFolder::restore() const {
  if (!folder_exists(options_.path)) make_folders(options_.path);
}

std::vector<std::string> numbered_checkpoints(const std::string& folder) {
  std::vector<std::pair<int64_t, std::string>> found;
  for (const std::string& name : list_folder(folder, FileUse::model))
    if (const int64_t number = checkpoint_number(name); number >= 0)
      found.emplace_back(number, path_in(folder, name));
  std::sort(found.rbegin(), found.rend());
  std::vector<std::string> paths;
  for (auto& [number, path] : found) paths.push_back(std::move(path));
  return paths;
}

std::vector<std::string> prune_checkpoints(const std::string& folder, int keep,
                                           bool (*is_valid)(const std::string& path)) {
  std::vector<std::string> paths = numbered_checkpoints(folder);
  const auto kept = static_cast<size_t>(std::max(1, keep));
  if (paths.size() <= kept || !is_valid(paths[0])) return {};
  paths.erase(paths.begin(), paths.begin() + static_cast<std::ptrdiff_t>(kept));
  for (const std::string& path : paths) remove_file(path);
  return paths;
}

std::string shell_line(const std::string& program, const std::vector<std::string>& arguments) {
  std::string line = shell_word(program);
  for (const std::string& argument : arguments) line.append(" ").append(shell_word(argument));
  return line;
}

}  // namespace stair::apps
