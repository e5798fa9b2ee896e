// The file of a parity run, as it is read again.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace trireme::framework::parity {

inline constexpr char const* kCertificateFormat = "trireme parity certificate 1";

/// A file that `trireme parity --out` wrote. Throws InputError "FILE: FIELD: VALUE: legal for this
/// run: ..." unless it has the format of this version and these fields with these values.
nlohmann::ordered_json read_certificate(std::string const& file,
                                        std::vector<std::pair<std::string, std::string>> fields);

} // namespace trireme::framework::parity
