#include "framework/planning/workload.hpp"

namespace trireme::framework::planning {

double ModelShape::layer_parameters() const {
    double const h = static_cast<double>(hidden);
    double const attention = static_cast<double>(2 * attention_width() + 2 * kv_width());
    return h * (attention + static_cast<double>(ffn) * (gated ? 3 : 2));
}

double ModelShape::largest_weight() const {
    return static_cast<double>(hidden) * static_cast<double>(ffn) * (gated ? 2 : 1);
}

double ModelShape::embedding_parameters() const {
    return static_cast<double>(vocabulary) * static_cast<double>(hidden);
}

double ModelShape::parameters() const {
    return static_cast<double>(layers) * layer_parameters() +
           (tied ? 1 : 2) * embedding_parameters();
}

double Workload::tokens() const {
    return static_cast<double>(micro_batch * sequence) / static_cast<double>(layout.context);
}

} // namespace trireme::framework::planning
