#include "apps/program/memory_report.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "apps/program/report.h"
#include "core/error.h"

namespace stair::apps {

size_t resident_peak() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

size_t resident_now() {
  size_t whole = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> whole >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

MemoryReport begin_memory_report() {
  reset_peak_memory();
  return {memory_stats(), {}, 0};
}

void end_memory_report(MemoryReport& report) {
  report.after = memory_stats();
  report.resident_peak = resident_peak();
}

std::string to_string(const MemoryReport& report) {
  const auto line = [](std::string name, const std::string& what) {
    name.resize(std::max<size_t>(name.size() + 1, 28), ' ');
    return str("  ", name, what, '\n');
  };
  std::string text = line("peak of tensors", human_bytes(report.after.peak_bytes));
  std::vector<size_t> kinds;
  for (size_t i = 0; i < kMemoryKinds; ++i)
    if (report.after.peak_by_kind[i] > 0) kinds.push_back(i);
  std::stable_sort(kinds.begin(), kinds.end(), [&](size_t a, size_t b) {
    return report.after.peak_by_kind[a] > report.after.peak_by_kind[b];
  });
  for (size_t kind : kinds)
    text += line(str("  ", name(static_cast<MemoryKind>(kind))),
                 human_bytes(report.after.peak_by_kind[kind]));
  text += line("resident, whole process", human_bytes(report.resident_peak));
  return text + line("blocks from the system", str(report.system_calls()));
}

Json to_json(const MemoryReport& report) {
  Json kinds = Json::object();
  for (size_t i = 0; i < kMemoryKinds; ++i)
    kinds.set(name(static_cast<MemoryKind>(i)), report.after.peak_by_kind[i]);
  return Json::object()
      .set("peak_bytes", report.after.peak_bytes)
      .set("by_kind", std::move(kinds))
      .set("resident_peak_bytes", report.resident_peak)
      .set("system_calls", report.system_calls());
}

}  // namespace stair::apps
