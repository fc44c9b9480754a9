#include "apps/program/environment.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "autograd/grad_precision.h"
#include "autograd/kernel_list.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/parallel.h"
#include "core/text.h"

namespace stair::apps {
namespace {

#ifdef __clang__
constexpr const char* kCompiler = __VERSION__;
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

// The value of a key in /proc/cpuinfo; empty where there is none.
std::string cpu_info(const std::string& key) {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key))
      if (const size_t colon = line.find(": "); colon != std::string::npos)
        return printable(line.substr(colon + 2), 8000);
  return "";
}

// Those of the processor's features that kernels use.
Json features() {
  Json found = Json::array();
  std::istringstream words(cpu_info("flags"));
  for (std::string word; words >> word;)
    if (word == "fma" || word == "f16c" || word.starts_with("avx") || word.starts_with("amx") ||
        word.starts_with("bmi"))
      found.push_back(word);
  return found;
}

Json system_name() {
  utsname names{};
  if (uname(&names) != 0) return "?";
  return printable(str(names.sysname, " ", names.release, " ", names.machine), 300);
}

}  // namespace

Json environment() {
  Json kernels = Json::object();
  for (const autograd::KernelInfo& kernel : autograd::kernel_list())
    if (kernel.first) kernels.set(kernel.op, kernel.name);
  Json isa = Json::object();
  isa.set("active", name(active_isa())).set("detected", name(detected_isa()));
  Json threads = Json::object();
  threads.set("used", num_threads()).set("cores", std::thread::hardware_concurrency());
  Json all = Json::object();
  all.set("stair", STAIR_VERSION);
  all.set("compiler", kCompiler);
  all.set("build", STAIR_BUILD);
  all.set("system", system_name());
  all.set("cpu", cpu_info("model name"));
  all.set("cpu_features", features());
  all.set("isa", isa);
  all.set("threads", threads);
  all.set("grad_precision", autograd::name(autograd::grad_precision()));
  all.set("memory_bytes", static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE));
  all.set("kernels", kernels);
  return all;
}

std::string program_beside_this(const std::string& name) {
  namespace fs = std::filesystem;
  std::error_code failed;
  const fs::path self = fs::read_symlink("/proc/self/exe", failed);
  if (failed) return name;
  const fs::path path = self.parent_path() / name, here = fs::current_path(failed);
  const fs::path shorter = path.lexically_relative(here);
  return shorter.empty() || *shorter.begin() == ".." ? path : shorter;
}

}  // namespace stair::apps
