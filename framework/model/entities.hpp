// Entities of the classes of words, as seqeval 1.2.2 finds them. Plain data; no torch.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace trireme::framework::model {

struct Entity {
    std::string type;
    std::int64_t first = 0, last = 0; ///< words
    auto operator<=>(Entity const&) const = default;
};

/// Entities of one text, in order, whose words have the classes `labels`: names of BIO, BIOES or
/// IOE ("B-PER", "O"). Lenient as conlleval: an entity may begin with I, or after another type.
std::vector<Entity> entities_of(std::span<std::string const> labels);

/// Finds entities by the letter of a scheme: BIOES where one of its names is of S or E, else IOB2,
/// in which an entity begins with B and goes on with I of its type. What is not well-formed is
/// none.
std::vector<Entity> strict_entities_of(std::span<std::string const> labels, bool bioes);
/// Has one of the names the prefix S or E?
bool are_bioes(std::span<std::string const> names);

} // namespace trireme::framework::model
