#include "apps/program/progress.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <ostream>

#include "apps/program/report.h"
#include "core/text.h"

namespace stair::apps {
namespace {

constexpr double kRedrawAfter = 0.1;  // seconds
// A step this long, and this many times the mean one, means that the process or the machine slept.
constexpr double kShortestGap = 10;
constexpr double kGapFactor = 20;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string right_aligned(int64_t value, size_t width) {
  const std::string digits = std::to_string(value);
  return std::string(width > digits.size() ? width - digits.size() : 0, ' ') + digits;
}

}  // namespace

Progress::Progress(std::ostream& out, ProgressLook look, std::string label, int64_t total,
                   int64_t first)
    : Progress(out, std::move(look), std::move(label), total, first, seconds_now) {}

Progress::Progress(std::ostream& out, ProgressLook look, std::string label, int64_t total,
                   int64_t first, Clock clock)
    : out_(out),
      look_(std::move(look)),
      label_(std::move(label)),
      total_(total),
      first_(first),
      done_(first),
      clock_(std::move(clock)),
      last_update_(clock_()),
      last_drawn_(-std::numeric_limits<double>::infinity()) {
  look_.every = std::max<int64_t>(1, look_.every);
}

Progress::~Progress() {
  finish();
}

void Progress::update(int64_t done, int64_t items, const std::string& detail) {
  const double now = clock_();
  const double interval = now - last_update_;
  last_update_ = now;
  const int64_t before = done_ - first_;
  const double mean = before > 0 ? active_ / static_cast<double>(before) : interval;
  active_ += interval > kShortestGap && interval > kGapFactor * mean ? mean : interval;
  done_ = done;
  items_ += items;
  if (look_.quiet) return;
  const bool last = done_ >= total_;
  if (!look_.terminal.moving) {
    if (last || done_ % look_.every == 0) out_ << status(detail) << std::endl;
    return;
  }
  if (!last && now - last_drawn_ < kRedrawAfter) return;
  std::string text = status(detail);
  // The last column stays free: a character there would make some terminals scroll.
  text.resize(std::min(text.size(), static_cast<size_t>(look_.terminal.width - 1)));
  clear();
  out_ << text << std::flush;
  drawn_ = true;
  last_drawn_ = now;
}

std::string Progress::status(const std::string& detail) const {
  const std::string total = std::to_string(total_);
  std::string text = label_ + "  [" + right_aligned(done_, total.size()) + "/" + total + "]  ";
  text += fixed(rate(), rate() < 10 ? 1 : 0) + " " + look_.items + "/s  eta " +
          human_duration(seconds_left());
  return printable(detail.empty() ? text : text + "  " + detail, 1000);
}

void Progress::line(const std::string& text) {
  clear();
  if (!look_.quiet) out_ << printable(text, 4000) << std::endl;
}

void Progress::finish() {
  clear();
  out_.flush();
}

void Progress::clear() {
  if (drawn_) out_ << "\r\x1b[K";
  drawn_ = false;
}

double Progress::rate() const {
  return active_ > 0 ? static_cast<double>(items_) / active_ : 0;
}

double Progress::seconds_left() const {
  const int64_t steps = done_ - first_;
  if (steps <= 0) return std::numeric_limits<double>::infinity();
  return active_ / static_cast<double>(steps) *
         static_cast<double>(std::max<int64_t>(0, total_ - done_));
}

}  // namespace stair::apps
