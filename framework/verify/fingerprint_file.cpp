#include "framework/verify/fingerprint_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"

namespace trireme::framework::verify {

namespace {

Fingerprint from_json(nlohmann::json const& json) {
    Fingerprint fingerprint{json.at("loss"), {}};
    for (auto const& s : json.at("logits"))
        fingerprint.sequences.push_back(
            {s.at("last_token").get<std::vector<float>>(), s.at("mean"), s.at("rms")});
    return fingerprint;
}

bool is_finite(Fingerprint const& fingerprint) {
    auto const finite = [](auto x) { return std::isfinite(x); };
    return finite(fingerprint.loss) &&
           std::ranges::all_of(fingerprint.sequences, [&](auto const& s) {
               return finite(s.mean) && finite(s.rms) && std::ranges::all_of(s.last, finite);
           });
}

void check_numbers(std::string const& path, FingerprintFile const& read) {
    if (!is_finite(read.expected))
        throw cluster::InputError(
            path + ": a number that is not finite in float32; legal: what `trireme export` wrote");
    for (auto const& [compute, bound] : kFingerprintBounds)
        if (!(read.json.at("bounds").at(compute).get<double>() <= bound))
            throw cluster::InputError(
                fmt::format("{}: bounds: {}: {}: legal: at most {}", path, compute,
                            data::shown(read.json.at("bounds").at(compute)), bound));
    if (read.expected.sequences.size() != read.tokens.ids.size())
        throw cluster::InputError(fmt::format("{}: logits of {} sequences for {} input_ids", path,
                                              read.expected.sequences.size(),
                                              read.tokens.ids.size()));
}

} // namespace

namespace {

/// Reads all that is used later: what is missing throws here. `path`: for messages.
FingerprintFile fingerprint_file_of(std::string const& path, nlohmann::json json) {
    FingerprintFile read;
    read.tokens =
        to_token_file(path, {{"input_ids", json.at("input_ids")}, {"labels", json.at("labels")}});
    read.expected = from_json(json);
    for (auto const& [compute, bound] : kFingerprintBounds)
        json.at("bounds").at(compute).get<double>();
    for (auto const& [file, hash] : json.at("files").items()) {
        hash.at("sha256").get<std::string>();
        hash.at("tensors").get<std::map<std::string, std::string>>();
    }
    read.json = std::move(json);
    return read;
}

} // namespace

FingerprintFile read_fingerprint(std::string const& folder) {
    std::string const path = folder + "/" + kFingerprintFile;
    if (!cluster::is_there(path))
        throw cluster::InputError(
            path + ": missing: `trireme export` writes it; without it there is nothing to compare "
                   "with; legal: --tokens FILE.json --out FILE.h5");
    try {
        auto read = fingerprint_file_of(path, data::parse_json(path, cluster::read_file(path)));
        check_numbers(path, read);
        return read;
    } catch (nlohmann::json::exception const& error) {
        throw cluster::InputError(
            fmt::format("{}: not a fingerprint of `trireme export`: {}", path, error.what()));
    }
}

} // namespace trireme::framework::verify
