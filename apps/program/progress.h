// How far a phase is: one moving line on a terminal, a plain line every N steps elsewhere.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

#include "apps/program/terminal.h"

namespace stair::apps {

struct ProgressLook {
  Terminal terminal;
  int64_t every = 50;  // steps between plain lines
  bool quiet = false;  // nothing is printed
  std::string items = "img";
};

class Progress {
 public:
  using Clock = std::function<double()>;  // seconds, never going back

  // `first`: the steps that were done before, when a phase is resumed.
  Progress(std::ostream& out, ProgressLook look, std::string label, int64_t total,
           int64_t first = 0);
  Progress(std::ostream& out, ProgressLook look, std::string label, int64_t total, int64_t first,
           Clock clock);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` of `total` steps are behind; `items` (pictures) came with this one. `detail` follows the
  // numbers.
  //   train  [ 50/5004]  612 img/s  eta 14:02  loss 1.912
  void update(int64_t done, int64_t items, const std::string& detail = "");
  // Prints a line that stays.
  void line(const std::string& text);
  // Ends the phase; the moving line disappears.
  void finish();

  // Items a second and seconds to go, without the time the process was stopped.
  double rate() const;
  double seconds_left() const;

 private:
  std::string status(const std::string& detail) const;
  void clear();

  std::ostream& out_;
  ProgressLook look_;
  std::string label_;
  int64_t total_, first_, done_;
  int64_t items_ = 0;
  Clock clock_;
  double last_update_, last_drawn_;
  double active_ = 0;  // seconds
  bool drawn_ = false;
};

}  // namespace stair::apps
