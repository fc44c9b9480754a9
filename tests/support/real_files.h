// Files that are too large for the repository. A test that needs one and finds none says so and
// skips.
#pragma once

#include <string>

namespace stair::support {

// "models/resnet20.safetensors" or "golden" in the folder that the environment variable
// STAIR_SHARED names, else in `shared` beside the source tree. Empty when it is not there.
std::string shared_file(const std::string& name);

// A set of pictures, "cifar10", in the folder that STAIR_IMAGES names, else in /tmp/stair-data.
// Empty when it is not there.
std::string real_pictures(const std::string& set);

}  // namespace stair::support
