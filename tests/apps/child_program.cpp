#include "tests/apps/child_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tests/support/real_files.h"

extern char** environ;

namespace stair::apps {
namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& added) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry)
    if (const std::string text = *entry; !text.starts_with("STAIR_")) all.push_back(text);
  for (const auto& [name, value] : added) all.push_back(name + "=" + value);
  return all;
}

// Between fork and exec only calls that are safe in a copy of one thread.
[[noreturn]] void become(const char* program, char** arguments, char** environment, const char* out,
                         const char* err, uint64_t largest_file) {
  const int out_fd = ::open(out, O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int err_fd = ::open(err, O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(out_fd, STDOUT_FILENO);
  ::dup2(err_fd, STDERR_FILENO);
  if (largest_file > 0) {
    struct rlimit limit = {};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = largest_file;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::signal(SIGXFSZ, SIG_IGN);
  }
  ::execve(program, arguments, environment);
  ::_exit(127);
}

}  // namespace

ChildProgram::ChildProgram(const std::string& name, const std::vector<std::string>& arguments,
                           const ChildOptions& options) {
  std::vector<std::string> words = {std::string(STAIR_BINARY_DIR) + "/" + name};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables = environment_with(options.environment);
  const std::vector<char*> argv = pointers(words), envp = pointers(variables);
  const std::string out = folder_ / "out", err = folder_ / "err";
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ == 0)
    become(argv[0], const_cast<char**>(argv.data()), const_cast<char**>(envp.data()), out.c_str(),
           err.c_str(), options.largest_file);
}

ChildProgram::~ChildProgram() {
  if (!ended_) ::kill(pid_, SIGKILL);
  wait();
}

bool ChildProgram::wait_for(const std::string& text) {
  for (;;) {
    const bool over = ended_ || ::waitpid(pid_, &status_, WNOHANG) == pid_;
    ended_ = over;
    if (file_text(folder_ / "err").find(text) != std::string::npos) return true;
    if (over) return false;
    ::usleep(1000);
  }
}

void ChildProgram::send(int signal) const {
  if (!ended_) ::kill(pid_, signal);
}

void ChildProgram::lift_limit() const {
  struct rlimit limit = {};
  ::prlimit(pid_, RLIMIT_FSIZE, nullptr, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::prlimit(pid_, RLIMIT_FSIZE, &limit, nullptr);
}

Ended ChildProgram::wait() {
  while (!ended_) ended_ = ::waitpid(pid_, &status_, 0) == pid_;
  Ended result;
  result.code = WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
  result.signal = WIFSIGNALED(status_) ? WTERMSIG(status_) : 0;
  result.out = file_text(folder_ / "out");
  result.err = file_text(folder_ / "err");
  return result;
}

void expect_ended(const Ended& ended, int code, const std::vector<std::string>& says) {
  EXPECT_EQ(ended.code, code) << ended.err;
  for (const std::string& text : says)
    EXPECT_NE(ended.err.find(text), std::string::npos) << "no '" << text << "' in\n" << ended.err;
}

Ended run_child(const std::string& name, const std::vector<std::string>& arguments,
                const ChildOptions& options) {
  return ChildProgram(name, arguments, options).wait();
}

namespace {

std::vector<std::string> words_of(const Flags& flags) {
  std::vector<std::string> words;
  for (const auto& [flag, value] : flags) {
    words.push_back(flag);
    if (!value.empty()) words.push_back(value);
  }
  return words;
}

}  // namespace

std::vector<std::string> tiny_job(const std::string& run_folder, const Flags& changes) {
  Flags flags = changes;  // insert() leaves what is there
  flags.insert({{"--model", "resnet20"},
                {"--synthetic-images", "60"},
                {"--epochs", "2"},
                {"--float-epochs", "1"},
                {"--train-batches", "3"},
                {"--eval-batches", "1"},
                {"--batch-size", "8"},
                {"--eval-batch-size", "8"},
                {"--train-crop-size", "16"},
                {"--val-crop-size", "16"},
                {"--threads", "1"},
                {"--workers", "0"},
                {"--print-freq", "1"},
                {"--output-dir", run_folder}});
  return words_of(flags);
}

Ended train(const std::string& run_folder, const Flags& changes, const ChildOptions& options) {
  return run_child("qat_train", tiny_job(run_folder, changes), options);
}

Ended eval(const std::string& file, const Flags& changes) {
  Flags flags = changes;
  flags.insert({{"--synthetic-images", "60"},
                {"--eval-batches", "1"},
                {"--eval-batch-size", "8"},
                {"--threads", "1"},
                {"--workers", "0"}});
  std::vector<std::string> words = words_of(flags);
  words.push_back(file);
  return run_child("qat_eval", words);
}

Photographs photographs() {
  const std::string weights = support::shared_file("models/mobilenet_v2_tf_imagenet.safetensors");
  const std::string pictures = support::real_pictures("imagenet-500");
  if (weights.empty() || pictures.empty()) return {};
  return {weights,
          {"--model", "mobilenet_v2", "--same-upper-padding", "--num-classes", "1000",
           "--data-path", pictures, "--class-list", pictures + "/classes.tsv", "--mean",
           "0.5,0.5,0.5", "--std", "0.5,0.5,0.5", "--json"}};
}

Ended ptq_photographs(const Photographs& set, const std::string& output,
                      const std::vector<std::string>& more) {
  std::vector<std::string> flags = {"--weights",       set.weights, "--calib-dir", "val",
                                    "--calib-batches", "4",         "--output",    output};
  flags.insert(flags.end(), set.flags.begin(), set.flags.end());
  flags.insert(flags.end(), more.begin(), more.end());
  return run_child("qat_ptq", flags);
}

std::string file_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<Json> metrics_of(const std::string& run_folder) {
  std::istringstream lines(file_text(run_folder + "/metrics.jsonl"));
  std::vector<Json> records;
  for (std::string line; std::getline(lines, line);) records.push_back(parse_json(line));
  return records;
}

std::vector<Json> exact_metrics_of(const std::string& run_folder) {
  std::vector<Json> records;
  for (const Json& record : metrics_of(run_folder)) {
    Json exact = Json::object();
    for (const auto& [key, value] : record.as_object())
      if (key != "images_per_second" && key != "seconds" && key != "peak_bytes")
        exact.set(key, value);
    records.push_back(std::move(exact));
  }
  return records;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  if (!std::filesystem::is_directory(folder)) return names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string newest_checkpoint(const std::string& run_folder) {
  std::string newest;
  for (const std::string& name : names_in(run_folder))
    if (name.starts_with("checkpoint-")) newest = run_folder + "/" + name;
  return newest;
}

}  // namespace stair::apps
