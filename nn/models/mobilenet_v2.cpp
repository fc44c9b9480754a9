#include "nn/mobilenet.h"

namespace stair::nn {

const ModelDef model_mobilenet_v2{"mobilenet_v2",
                                  "MobileNetV2 of inverted residual blocks, for ImageNet", 224,
                                  1000, make_mobilenet_v2};

}  // namespace stair::nn
