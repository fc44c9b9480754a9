// metrics.jsonl: one JSON object a line, appended as the run goes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/append_file.h"
#include "core/json.h"

namespace stair::apps {

class MetricsLog {
 public:
  // Without `resumed_step` the file starts anew. With it, half a last line and the records whose
  // "step" lies beyond that step are removed first, so that none is written twice. A file that
  // cannot be written switches the log off.
  MetricsLog(std::string path, std::optional<int64_t> resumed_step);

  // Adds a record. Its failure switches the log off, since a full disk must not end a run.
  void write(const Json& record);

  // Why the log is off, and what resuming removed; empty when all is well. Taking it clears it.
  std::string take_note();

 private:
  void drop_after(int64_t step);

  std::string path_;
  std::string note_;
  std::unique_ptr<AppendFile> file_;
};

}  // namespace stair::apps
