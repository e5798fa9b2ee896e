#include "framework/pretrained/hf_tensors.hpp"

#include <algorithm>

#include "framework/model/layer_names.hpp"
#include "framework/model/transformer_stage.hpp"

namespace trireme::framework {

Rectangle rectangle_of(HfTensor const& tensor, HfPart const& part) {
    Rectangle r{Shape(tensor.shape.size()), tensor.shape};
    r.start.at(part.dim) = part.first;
    r.count.at(part.dim) = part.count;
    return r;
}

std::vector<HfTensor> hf_tensors(ModelConfig const& config) {
    std::vector<HfTensor> tensors;
    for (auto const& spec : parameter_specs(config)) {
        std::string const name = stored_name(config, spec.name);
        // Outputs of a fused layer lie side by side, in whichever dimension they are.
        std::size_t const dim = spec.input_major ? 1 : 0;
        auto found = std::ranges::find(tensors, name, &HfTensor::name);
        if (found == tensors.end()) {
            tensors.push_back({name, spec.shape, {{spec.name, dim, 0, spec.shape[dim]}}});
            continue;
        }
        found->parts.push_back({spec.name, dim, found->shape[dim], spec.shape[dim]});
        found->shape[dim] += spec.shape[dim];
    }
    return tensors;
}

} // namespace trireme::framework
