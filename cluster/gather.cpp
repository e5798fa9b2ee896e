#include "cluster/gather.hpp"

#include <algorithm>

namespace trireme::cluster {

std::vector<std::string> all_gather_bytes(Communicator& group, std::string_view mine,
                                          std::string_view name) {
    std::vector<std::int64_t> lengths(static_cast<std::size_t>(group.size()));
    auto own = static_cast<std::int64_t>(mine.size());
    group.all_gather({&own, 1, DType::i64}, {lengths.data(), lengths.size(), DType::i64}, name)
        .wait();
    auto const most = static_cast<std::size_t>(*std::ranges::max_element(lengths));
    std::string padded(mine), all(most * lengths.size(), '\0');
    padded.resize(most);
    if (most)
        group
            .all_gather({padded.data(), most, DType::u8}, {all.data(), all.size(), DType::u8}, name)
            .wait();
    std::vector<std::string> parts;
    for (std::size_t r = 0; r < lengths.size(); ++r)
        parts.push_back(all.substr(r * most, static_cast<std::size_t>(lengths[r])));
    return parts;
}

std::string broadcast_bytes(Communicator& group, std::string text, int root,
                            std::string_view name) {
    auto length = static_cast<std::int64_t>(text.size());
    group.broadcast({&length, 1, DType::i64}, root, name).wait();
    text.resize(static_cast<std::size_t>(length));
    if (length) group.broadcast({text.data(), text.size(), DType::u8}, root, name).wait();
    return text;
}

} // namespace trireme::cluster
