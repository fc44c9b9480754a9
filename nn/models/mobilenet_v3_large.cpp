#include "nn/mobilenet_v3.h"

namespace stair::nn {

const ModelDef model_mobilenet_v3_large{
    "mobilenet_v3_large", "MobileNetV3 large: squeeze-and-excitation, hardswish, for ImageNet", 224,
    1000, make_mobilenet_v3_large};

}  // namespace stair::nn
