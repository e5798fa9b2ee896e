// `trireme audit`: what is wrong with text files before a model learns from them.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "launch/text/prepare.hpp"

namespace trireme::launch::text {

struct AuditOptions {
    PrepareOptions rows;                 ///< output is not used; tokenizer may be empty
    std::string output, json;            ///< files to write; json may be empty
    std::string fix;                     ///< folder of the cleaned copy, or empty
    std::string groups, region;          ///< file of groups; country of phone numbers; or empty
    std::vector<std::string> severity{}; ///< NAME=LEVEL
    double near = 0.6;                   ///< least Jaccard similarity of nearly equal texts
    std::int64_t parameters = 0; ///< of the model; 0: those of the weights, if they are there
    bool force = false;          ///< replaces files that exist
};

/// Returns the exit code: 0, or 1 if a finding is an error. Prints a summary. What is found and how
/// is the business of launch/audit, in Python. Throws InputError before anything is written.
int audit(AuditOptions const& options);

/// Returns what the audit says of classes that are rare or missing, a line each: `prepare` says it
/// too. `rows`: by split and class.
std::vector<std::string>
notes_on_classes(std::map<std::string, std::map<std::string, std::int64_t>> const& rows);

} // namespace trireme::launch::text
