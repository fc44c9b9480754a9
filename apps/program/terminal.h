// What the output can show.
#pragma once

namespace stair::apps {

struct Terminal {
  bool moving = false;  // a line may be overwritten
  bool color = false;   // escape codes for colours may be used
  int width = 80;       // columns
};

// Of a file descriptor. Not a terminal, or TERM=dumb or unset: neither moving nor coloured.
// NO_COLOR: no colours. A terminal of fewer than 20 columns does not move.
Terminal terminal_of(int descriptor);

}  // namespace stair::apps
