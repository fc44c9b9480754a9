// The integer reference form: an Int8Graph in plain loops.
#pragma once

#include "qat/int8/graph.h"

namespace stair::qat {

// What Int8Session::run gives for x f32, computed element by element as numerics.md says it, with
// none of the engine's kernels, plans and packed forms: zero points are subtracted first, then all
// is summed in int32, rescaled, shifted and clamped. Slow. Float
// nodes run as in the engine. Throws ShapeError as the session does.
Tensor run_reference(const Int8Graph& graph, const Tensor& x);

}  // namespace stair::qat
