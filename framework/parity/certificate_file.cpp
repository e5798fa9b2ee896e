#include "framework/parity/certificate_file.hpp"

#include <fmt/format.h>

#include "cluster/error.hpp"
#include "cluster/file.hpp"
#include "data/json.hpp"

namespace trireme::framework::parity {

using Json = nlohmann::ordered_json;

Json read_certificate(std::string const& file,
                      std::vector<std::pair<std::string, std::string>> fields) {
    fields.insert(fields.begin(), {"format", kCertificateFormat});
    Json json;
    try {
        json = data::parse_json<Json>(file, cluster::read_file(file));
    } catch (data::JsonSyntaxError const& error) {
        throw cluster::InputError(std::string(error.what()) +
                                  "; legal: a file that `trireme parity --out` wrote");
    }
    for (auto const& [field, legal] : fields) {
        Json const found = json.is_object() && json.contains(field) ? json[field] : Json("missing");
        if (found != Json(legal))
            throw cluster::InputError(fmt::format("{}: {}: {}: legal for this run: {}", file, field,
                                                  data::shown(found), legal));
    }
    return json;
}

} // namespace trireme::framework::parity
