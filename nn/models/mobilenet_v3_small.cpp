#include "nn/mobilenet_v3.h"

namespace stair::nn {

const ModelDef model_mobilenet_v3_small{
    "mobilenet_v3_small", "MobileNetV3 small: squeeze-and-excitation, hardswish, for ImageNet", 224,
    1000, make_mobilenet_v3_small};

}  // namespace stair::nn
