// Shares the library's tokenizer and its calls between tokenizer.cpp and tokenizer_windows.cpp.
#pragma once
#include <fmt/format.h>
#include <pybind11/embed.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "cluster/error.hpp"
#include "launch/text/quiet_library.hpp"
#include "launch/text/template_tokens.hpp"
#include "launch/text/tokenizer.hpp"

namespace trireme::launch::text {

namespace py = pybind11;

inline constexpr char const* kTooLarge = "a token beyond 2147483647; legal: numbers of 31 bits";

inline constexpr std::int64_t kExamples = 1000; ///< unknown words that are looked up in their text

struct Tokenizer::State {
    std::string folder;
    py::object tokenizer;
    TemplateTokens around; ///< a text
    std::set<std::int32_t> specials;
    std::int64_t vocabulary = 0;
    std::int32_t unknown_id = -1; ///< -1: it has no such token
    UnknownTokens unknown;
};

inline std::string words_of(py::error_already_set const& error) {
    std::string const text = py::str(error.value());
    return text.substr(0, text.find('\n'));
}

/// Calls `encode`; what Python throws becomes an error of ours, since it must not outlive the
/// interpreter.
template <typename Encode>
auto guarded(std::string const& folder, Encode const& encode) {
    QuietLibrary const quiet;
    try {
        return encode();
    } catch (py::error_already_set const& error) {
        throw cluster::InputError(
            fmt::format("cannot be tokenized with {}/tokenizer.json: {}", folder, words_of(error)));
    } catch (py::cast_error const&) {
        throw cluster::InputError(fmt::format("{}/tokenizer.json: {}", folder, kTooLarge));
    }
}

/// The texts, or each with its pair, as the library takes them. `pairs` is empty or as long as
/// `texts`.
inline py::list batch_of(std::vector<std::string> const& texts,
                         std::vector<std::string> const& pairs) {
    py::list batch;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        if (pairs.empty())
            batch.append(texts[i]);
        else
            batch.append(py::make_tuple(texts[i], pairs[i]));
    }
    return batch;
}

/// A template may name tokens by numbers that the vocabulary does not have.
inline void check_ids(std::string const& folder, Ids const& ids, std::int64_t vocabulary) {
    auto const beyond =
        std::ranges::find_if(ids, [&](auto id) { return id < 0 || id >= vocabulary; });
    if (beyond != ids.end())
        throw cluster::InputError(
            fmt::format("{}/tokenizer.json: post_processor: token {}: legal: 0 to {}, its "
                        "vocabulary",
                        folder, *beyond, vocabulary - 1));
}

/// Special tokens that are not of the template.
inline int written_in(py::handle e, Ids const& ids, std::set<std::int32_t> const& specials) {
    if (std::ranges::none_of(ids, [&](auto id) { return specials.contains(id); })) return 0;
    auto const added = e.attr("special_tokens_mask").cast<std::vector<int>>();
    int written = 0;
    for (std::size_t t = 0; t < ids.size(); ++t) written += !added[t] && specials.contains(ids[t]);
    return written;
}

} // namespace trireme::launch::text
