// Seconds that the parts of a model take on a calibrated machine, once for all layouts that have
// the part: a search adds these up.
#pragma once

namespace trireme::framework::planning {

/// Passes of one micro-batch through a part of the model. Collectives of tensor ranks are in them,
/// and those of data ranks that every micro-batch has (ZeRO 2 and 3).
struct PassTimes {
    double forward = 0, input_gradient = 0, weight_gradient = 0;
    double tensor = 0; ///< of the above, collectives of tensor ranks
    double data = 0;   ///< of the above, collectives of data ranks

    double all() const { return forward + input_gradient + weight_gradient; }
};

/// What a step does once, beside passes.
struct TailTimes {
    double data = 0;   ///< collectives of data ranks, and of all for the norm
    double update = 0; ///< norm, update, renewed copies
    TailTimes& operator+=(TailTimes const& o) {
        data += o.data, update += o.update;
        return *this;
    }
};

struct BlockTimes {
    PassTimes embeddings, layer, head;
    PassTimes last_layer;            ///< a classifier's may compute less than the others
    TailTimes layer_tail;            ///< of one layer
    TailTimes first_tail, last_tail; ///< of the embeddings and the head, with what no layer has
};

} // namespace trireme::framework::planning
