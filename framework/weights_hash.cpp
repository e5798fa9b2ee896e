#include "framework/weights_hash.hpp"

#include <algorithm>

#include "cluster/sha256.hpp"
#include "framework/whole_tensor.hpp"

namespace trireme::framework {

std::string weights_sha256(std::vector<parallel::ParameterSpec> specs, parallel::ParameterStore const& store,
                           parallel::Mesh const& mesh) {
    std::ranges::sort(specs, {}, &parallel::ParameterSpec::name);
    cluster::Sha256 hash;
    for (auto const& spec : specs) {
        at::Tensor const whole = whole_tensor(spec, store, mesh, Kept::weight);
        hash.update(spec.name.c_str(), spec.name.size() + 1);
        hash.update(spec.shape.data(), spec.shape.size() * sizeof(std::int64_t));
        hash.update(whole.const_data_ptr(), static_cast<std::size_t>(whole.nbytes()));
    }
    return hash.hex();
}

} // namespace trireme::framework
