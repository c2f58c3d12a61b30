// Opens a volume at a consistency point: looks at every element, decides who takes part, and
// builds this opening's own metadata directory from the one that the token names. Nothing of an
// earlier opening is changed, so a deposed executor and a failed open do no harm.
#pragma once

#include <optional>

#include "node/store/durable_base.h"

namespace pairfs {

// `elements[i]`: the open element of config.elements[i], null when it is missing (`missing_why`
// says why). On an error nullopt and a sentence.
struct FoundElement {
  std::unique_ptr<Element> element;
  std::string missing_why;
};
// The configuration with the elements that the newest record of the group names, and that record.
std::optional<GroupRecord> newest_group_record(const StoreConfig& config, BytesView token);
StoreConfig with_recorded_elements(StoreConfig config, BytesView token);

std::optional<VolumeParts> open_volume(const StoreConfig& config,
                                       std::vector<FoundElement> elements, Epoch epoch,
                                       BytesView token, std::string* why);

// The same as a VolumeStore.
std::unique_ptr<VolumeStore> open_store(const StoreConfig& config,
                                        std::vector<FoundElement> elements, Epoch epoch,
                                        BytesView token, std::string* why);

}  // namespace pairfs
