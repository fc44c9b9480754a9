#include "apps/program/metrics_log.h"

#include <utility>

#include "core/file.h"

namespace stair::apps {
namespace {

constexpr uint64_t kLargestLog = uint64_t{1} << 30;

// Whether the line is a record of a step up to `step`.
bool belongs(std::string_view line, int64_t step) {
  try {
    const Json record = parse_json(line);
    const Json* at = record.find("step");
    return at != nullptr && at->as_int() <= step;
  } catch (const FormatError&) {
    return false;
  }
}

}  // namespace

MetricsLog::MetricsLog(std::string path, std::optional<int64_t> resumed_step)
    : path_(std::move(path)) {
  try {
    if (resumed_step && file_exists(path_))
      drop_after(*resumed_step);
    else
      remove_file(path_);
    file_ = std::make_unique<AppendFile>(path_);
  } catch (const Error& error) {
    note_ = str("no metrics are written: ", error.what());
  }
}

void MetricsLog::drop_after(int64_t step) {
  const std::string before = read_file(path_, kLargestLog, FileUse::data);
  std::string kept;
  size_t dropped = 0;
  for (size_t start = 0, end; start < before.size(); start = end + 1) {
    end = std::min(before.find('\n', start), before.size());
    const std::string_view line(before.data() + start, end - start);
    if (end < before.size() && belongs(line, step))
      kept.append(line) += '\n';
    else
      ++dropped;
  }
  if (dropped == 0) return;
  write_file(path_, kept);
  note_ = str("removed ", dropped, " records beyond step ", step, " or damaged from '", path_, "'");
}

void MetricsLog::write(const Json& record) {
  if (file_ == nullptr) return;
  try {
    file_->write_line(record.dump());
  } catch (const IoError& error) {
    note_ = str("no more metrics are written: ", error.what());
    file_ = nullptr;
  }
}

std::string MetricsLog::take_note() {
  return std::exchange(note_, "");
}

}  // namespace stair::apps
