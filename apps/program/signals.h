// Signals as requests that a training loop asks for between two steps.
#pragma once

namespace stair::apps {

// From now on SIGINT, SIGTERM and SIGHUP (unless it is ignored, as under nohup) ask for a stop, and
// SIGUSR1 for a save. A SIGINT after any of them leaves at once with 130. After SIGTERM and SIGHUP
// there are `grace_s` seconds to end, then the process leaves with 143. Nothing is torn by that,
// since files are replaced whole.
void watch_signals(int grace_s = 20);

// Whether to finish the step, save and end with `stop_exit_code()`.
bool stop_requested();
// The first signal that asked for it: SIGINT, SIGTERM or SIGHUP; 0 without one.
int stop_signal();
// 130 after SIGINT, 143 after SIGTERM and SIGHUP, 0 without a request.
int stop_exit_code();

// Whether SIGUSR1 came since the last call.
bool take_save_request();

}  // namespace stair::apps
