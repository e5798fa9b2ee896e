#include "framework/weights_hash.hpp"

#include <algorithm>

#include "cluster/sha256.hpp"

namespace trireme::framework {

std::string weights_sha256(parallel::ParameterStore const& store) {
    std::vector<parallel::Parameter const*> sorted;
    for (auto const& p : store.parameters()) sorted.push_back(p.get());
    std::sort(sorted.begin(), sorted.end(),
              [](auto const* a, auto const* b) { return a->spec().name < b->spec().name; });
    cluster::Sha256 hash;
    for (auto const* p : sorted) {
        hash.update(p->spec().name.c_str(), p->spec().name.size() + 1);
        hash.update(p->spec().shape.data(), p->spec().shape.size() * sizeof(std::int64_t));
        hash.update(p->master().const_data_ptr(), static_cast<std::size_t>(p->numel()) * p->master().element_size());
    }
    return hash.hex();
}

} // namespace trireme::framework
