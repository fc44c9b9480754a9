// The programs of the build, started as a user starts them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "tests/support/temporary_folder.h"

namespace stair::apps {

struct Ended {
  int code = -1;   // exit code, -1 after a signal
  int signal = 0;  // that ended it
  std::string out, err;
};

struct ChildOptions {
  std::map<std::string, std::string> environment = {};  // besides our own
  // Files beyond this many bytes fail with EFBIG, as on a full disk; 0: no limit.
  uint64_t largest_file = 0;
};

class ChildProgram {
 public:
  // `name` of the build folder: "qat_train".
  ChildProgram(const std::string& name, const std::vector<std::string>& arguments,
               const ChildOptions& options = {});
  // Kills it when it still runs.
  ~ChildProgram();
  ChildProgram(const ChildProgram&) = delete;
  ChildProgram& operator=(const ChildProgram&) = delete;

  // Waits until standard error holds the text; false when the program ended first.
  bool wait_for(const std::string& text);
  void send(int signal) const;
  // Takes the limit of ChildOptions away.
  void lift_limit() const;
  Ended wait();

 private:
  support::TemporaryFolder folder_;
  pid_t pid_ = -1;
  bool ended_ = false;
  int status_ = 0;
};

// Expects the exit code, and each text on standard error.
void expect_ended(const Ended& ended, int code, const std::vector<std::string>& says);

// Runs it to its end.
Ended run_child(const std::string& name, const std::vector<std::string>& arguments,
                const ChildOptions& options = {});

// Flags with their values; an empty value is a flag without one.
using Flags = std::map<std::string, std::string>;

// Flags of a training run of a second: two epochs of three batches of drawn pictures, the first in
// float. Those of `changes` replace or add.
std::vector<std::string> tiny_job(const std::string& run_folder, const Flags& changes = {});
Ended train(const std::string& run_folder, const Flags& changes = {},
            const ChildOptions& options = {});
// qat_eval on the pictures that tiny_job evaluates.
Ended eval(const std::string& file, const Flags& changes = {});

// MobileNetV2's weights and the 500 photographs of the folder "imagenet-500", with the flags that
// prepare them; empty where they are not there (support/real_files.h).
struct Photographs {
  std::string weights;
  std::vector<std::string> flags;
};
Photographs photographs();
inline constexpr const char* kNeedsPhotographs =
    "needs models/ in STAIR_SHARED and imagenet-500 in STAIR_IMAGES";
// qat_ptq on them, calibrated on 4 of their batches.
Ended ptq_photographs(const Photographs& set, const std::string& output,
                      const std::vector<std::string>& more);

std::string file_text(const std::string& path);
// Of metrics.jsonl in a run folder.
std::vector<Json> metrics_of(const std::string& run_folder);
// The same without what a clock or the memory says.
std::vector<Json> exact_metrics_of(const std::string& run_folder);
// Names in the folder, sorted.
std::vector<std::string> names_in(const std::string& folder);
// The checkpoint of most steps.
std::string newest_checkpoint(const std::string& run_folder);

}  // namespace stair::apps
