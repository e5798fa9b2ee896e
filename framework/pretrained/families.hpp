// The families of models: what config.json calls them, how it is read, which transformers class
// they belong to. A new family is a line here with its reader, a table of names in
// framework/model/layer_names.cpp, and golden values.
#pragma once
#include <span>
#include <string>

#include "framework/model/config.hpp"
#include "framework/pretrained/config_fields.hpp"

namespace trireme::framework::pretrained {

struct FamilyEntry {
    char const* model_type;
    model::Family family;
    /// everything but the family, the head and the labels
    void (*read)(Fields& fields, model::Config& config);
    char const *language_model, *classifier; ///< class names; "" is a head the family lacks here
    /// names of the classes with other heads of tokens begin with it
    char const* tokens = "";
    bool answers = true; ///< one of these heads finds answers
};

std::span<FamilyEntry const> families();
FamilyEntry const& entry_of(model::Family family);
/// The transformers class of the model with its head.
std::string architecture_of(model::Config const& config);

} // namespace trireme::framework::pretrained
