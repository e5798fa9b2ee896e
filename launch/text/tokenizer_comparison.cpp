// Compares tokenizer_config.json and special_tokens_map.json with the tokenizer.json beside them.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "cluster/error.hpp"
#include "data/chat_templates.hpp"
#include "data/json.hpp"
#include "data/tokenizer_files.hpp"
#include "launch/text/tokenizer_config.hpp"
#include "launch/text/tokenizer_json.hpp"

namespace trireme::launch::text {

namespace {

/// Parts of a kind, those in sequences included: "normalizer" and "pre_tokenizer" nest alike.
void collect(Json const& part, char const* list, std::vector<Json>& all) {
    if (!part.is_object()) return;
    all.push_back(part);
    if (auto const inner = part.find(list); inner != part.end() && inner->is_array())
        for (auto const& p : *inner) collect(p, list, all);
}

Json const* of_type(std::vector<Json> const& parts, std::string const& type) {
    auto const found = std::ranges::find_if(
        parts, [&](auto const& p) { return p.contains("type") && p.at("type") == type; });
    return found == parts.end() ? nullptr : &*found;
}

/// `absent`: of a part that does not say it as true or false.
bool flag_of(Json const& part, char const* name, bool absent) {
    auto const found = part.find(name);
    return found != part.end() && found->is_boolean() ? found->get<bool>() : absent;
}

class Comparison {
  public:
    Comparison(std::string const& folder, Tokenizer const& tokenizer)
        : folder_(folder), tokenizer_(tokenizer), config_(json_of(folder + kConfig)),
          tokenizer_json_(json_of(folder + "/tokenizer.json")) {
        collect(tokenizer_json_.value("normalizer", Json()), "normalizers", normalizers_);
        collect(tokenizer_json_.value("pre_tokenizer", Json()), "pretokenizers", splitters_);
    }

    void normalizer() const {
        auto const lower_case = flag("do_lower_case");
        if (auto const* bert = of_type(normalizers_, "BertNormalizer")) {
            agree("do_lower_case", lower_case, flag_of(*bert, "lowercase", true),
                  "normalizer.lowercase");
            auto const chinese = flag("tokenize_chinese_chars");
            agree("tokenize_chinese_chars", chinese, flag_of(*bert, "handle_chinese_chars", true),
                  "normalizer.handle_chinese_chars");
            // A null means the same as lowercase, on both sides.
            bool const strips = flag_of(*bert, "strip_accents", flag_of(*bert, "lowercase", true));
            agree("strip_accents", flag("strip_accents"), strips, "normalizer.strip_accents");
        } else if (!normalizers_.empty()) {
            agree("do_lower_case", lower_case, of_type(normalizers_, "Lowercase") != nullptr,
                  "normalizer Lowercase");
        }
    }

    void space_in_front() const {
        auto const asked = flag("add_prefix_space");
        if (auto const* bytes = of_type(splitters_, "ByteLevel"))
            return agree("add_prefix_space", asked, flag_of(*bytes, "add_prefix_space", true),
                         "pre_tokenizer.add_prefix_space");
        if (of_type(normalizers_, "Prepend"))
            return agree("add_prefix_space", asked, true, "normalizer Prepend");
        if (auto const* words = of_type(splitters_, "Metaspace"))
            agree("add_prefix_space", asked,
                  !words->contains("prepend_scheme") || words->at("prepend_scheme") != "never",
                  "pre_tokenizer.prepend_scheme");
    }

    void added_at_the_ends() const {
        auto const probe = tokenizer_.encode({"a"}, {}).front().tokens;
        auto const at = [&](bool front, std::string const& name) {
            auto const id = tokenizer_.id(config_token(name));
            return id && !probe.empty() && (front ? probe.front() : probe.back()) == *id;
        };
        if (!config_token("bos_token").empty())
            agree("add_bos_token", flag("add_bos_token"), at(true, "bos_token"), "post_processor");
        if (!config_token("eos_token").empty())
            agree("add_eos_token", flag("add_eos_token"), at(false, "eos_token"), "post_processor");
    }

    /// A token that the vocabulary lacks would be added when transformers loads the folder, beyond
    /// the model's words.
    void special_tokens() const {
        Json const map = json_of(folder_ + kSpecialTokens);
        for (auto const* name : {"bos_token", "eos_token", "unk_token", "cls_token", "sep_token",
                                 "pad_token", "mask_token"}) {
            std::string const token = config_token(name),
                              other = token_of(map, name, folder_ + kSpecialTokens);
            if (!token.empty()) check_known(name, token);
            if (!token.empty() && !other.empty() && token != other)
                throw cluster::InputError(
                    fmt::format("{}{}: {}: \"{}\": {}{} says \"{}\"; legal: the same token in both",
                                folder_, kConfig, name, token, folder_, kSpecialTokens, other));
        }
        auto const more = config_.find("additional_special_tokens");
        if (more != config_.end() && more->is_array())
            for (auto const& token : *more)
                check_known(
                    "additional_special_tokens",
                    data::token_text(token, folder_ + kConfig + ": additional_special_tokens"));
        std::string const here = config_token("unk_token"), there = tokenizer_.unknown().name;
        if (!here.empty() && !there.empty()) differ("unk_token", here, there, "model.unk_token");
    }

    /// Every token of added_tokens_decoder is the one that the vocabulary has under that number.
    void numbers_of_added_tokens() const {
        auto const table = config_.find("added_tokens_decoder");
        if (table == config_.end() || !table->is_object()) return;
        for (auto const& [number, token] : table->items()) {
            std::string const text =
                data::token_text(token, folder_ + kConfig + ": added_tokens_decoder." + number);
            if (text.empty()) continue;
            auto const known = tokenizer_.id(text);
            if (!known) check_known("added_tokens_decoder." + number, text);
            differ("added_tokens_decoder." + number, number + " for \"" + text + "\"",
                   fmt::format("{} for \"{}\"", *known, text), "vocabulary");
        }
    }

    void texts_with_special_tokens() const {
        if (flag("split_special_tokens").value_or(false))
            agree("split_special_tokens", true, false, "special tokens of a text are read as such");
    }

    /// added_tokens_decoder has the same tokens by id, with the flags that decide what of a text
    /// they match.
    void added_tokens() const {
        auto const table = config_.find("added_tokens_decoder");
        auto const added = tokenizer_json_.find("added_tokens");
        if (table == config_.end() || !table->is_object() || added == tokenizer_json_.end() ||
            !added->is_array())
            return;
        for (auto const& token : *added) {
            if (!token.is_object() || !token.contains("id") || !token.at("id").is_number_integer())
                continue;
            std::string const id = token.at("id").dump();
            auto const other = table->find(id);
            if (other == table->end() || !other->is_object()) continue;
            for (auto const* name : {"content", "lstrip", "rstrip", "single_word", "normalized"})
                if (other->contains(name) && token.contains(name) &&
                    other->at(name) != token.at(name))
                    differ("added_tokens_decoder." + id + "." + name, data::shown(other->at(name)),
                           data::shown(token.at(name)), "added_tokens");
        }
    }

  private:
    void check_known(std::string const& name, std::string const& token) const {
        if (tokenizer_.id(token)) return;
        throw cluster::InputError(fmt::format(
            "{}{}: {}: \"{}\": no token of the tokenizer.json beside it; legal: one of its tokens",
            folder_, kConfig, name, token));
    }
    std::string config_token(std::string const& name) const {
        return token_of(config_, name, folder_ + kConfig);
    }
    std::optional<bool> flag(char const* name) const {
        auto const found = config_.find(name);
        if (found == config_.end() || found->is_null()) return std::nullopt;
        if (!found->is_boolean()) refuse(folder_ + kConfig, name, *found, "true or false");
        return found->get<bool>();
    }
    void agree(std::string const& name, std::optional<bool> here, bool there,
               std::string const& field) const {
        if (here) differ(name, *here ? "true" : "false", there ? "true" : "false", field);
    }
    void differ(std::string const& name, std::string const& here, std::string const& there,
                std::string const& field) const {
        if (here == there) return;
        throw cluster::InputError(
            fmt::format("{}{}: {}: {}: {}/tokenizer.json says {} ({}), and transformers would cut "
                        "other tokens than training; "
                        "legal: both the same, as transformers' save_pretrained writes them",
                        folder_, kConfig, name, here, folder_, there, field));
    }

    std::string const& folder_;
    Tokenizer const& tokenizer_;
    Json const config_, tokenizer_json_;
    std::vector<Json> normalizers_, splitters_;
};

} // namespace

void check_tokenizer_config(std::string const& folder, Tokenizer const& tokenizer) {
    Comparison const files(folder, tokenizer);
    files.special_tokens();
    files.normalizer();
    files.space_in_front();
    files.added_at_the_ends();
    files.added_tokens();
    files.numbers_of_added_tokens();
    files.texts_with_special_tokens();
    data::check_chat_templates({folder});
}

} // namespace trireme::launch::text
