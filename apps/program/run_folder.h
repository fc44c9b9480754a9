// The output folder of a run: who may write it, what a killed run left there, what describes the
// run.
#pragma once

#include <string>
#include <vector>

#include "core/json.h"

namespace stair::apps {

struct RunFolderOptions {
  std::string path;
  bool resume = false;     // go on with what is there
  bool overwrite = false;  // remove the files of the earlier run
};

class RunFolder {
 public:
  // Makes the folder and takes it for this process.
  //
  // Throws ConfigError when it holds anything and neither `resume` nor `overwrite` is set (nothing
  // is deleted), or is a file; IoError when it cannot be written, or another process uses it
  // (naming host and pid; the lock of a dead process is free). Temporary files of killed saves are
  // removed, with a line in notes().
  explicit RunFolder(RunFolderOptions options);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::string& path() const { return options_.path; }
  std::string file(const std::string& name) const;
  const std::vector<std::string>& notes() const { return notes_; }

  // Writes config.toml and env.json, and adds a line to command.txt.
  void describe(const std::string& config_toml, const Json& environment, const std::string& program,
                const std::vector<std::string>& arguments) const;
  // Makes the folder again if somebody removed it. For use before a save.
  void restore() const;

 private:
  void check_free() const;
  void take_lock();
  void remove_earlier_run() const;

  RunFolderOptions options_;
  std::vector<std::string> notes_;
  int lock_ = -1;
};

// Checkpoints "checkpoint-<number>.<suffix>" of a folder, highest number first, with their paths.
std::vector<std::string> numbered_checkpoints(const std::string& folder);

// Keeps the `keep` newest numbered checkpoints and removes the others, but only when the newest is
// valid (`is_valid` opens and checks it), so that one valid file always stays. Returns the paths
// removed. `keep` is at least 1.
std::vector<std::string> prune_checkpoints(const std::string& folder, int keep,
                                           bool (*is_valid)(const std::string& path));

// A command line that a shell reads back as these words.
std::string shell_line(const std::string& program, const std::vector<std::string>& arguments);

}  // namespace stair::apps
