#include "node/store/deferring_element.h"
#include "node/store/layered_store.h"
#include "node/store/open_volume.h"

namespace pairfs {

std::unique_ptr<VolumeStore> open_store(const StoreConfig& config,
                                        std::vector<FoundElement> elements, Epoch epoch,
                                        BytesView token, std::string* why) {
  for (FoundElement& found : elements)
    if (found.element) found.element = make_deferring_element(std::move(found.element));
  auto parts = open_volume(config, std::move(elements), epoch, token, why);
  if (!parts) return nullptr;
  for (size_t i = 0; i < parts->group->size(); ++i)
    if (Element* element = parts->group->member(i).element.get()) element->stop_deferring();
  try {
    return make_layered_store(std::make_shared<DurableBase>(std::move(*parts)));
  } catch (const RowsUnreadable& unreadable) {
    *why = fmt::format("Volume {}: {}.", to_string(config.volume), unreadable.what());
    return nullptr;
  }
}

std::unique_ptr<VolumeStore> open_durable_store(const StoreConfig& config, Epoch epoch,
                                                BytesView token, std::string* why) {
  StoreConfig complete = with_recorded_elements(config, token);
  if (!complete.open_element) {
    complete.open_element = [](const StoreConfig::Element& element, bool create,
                               std::string* reason) {
      return open_directory_element(element.path, create, reason);
    };
  }
  std::vector<FoundElement> elements;
  for (const StoreConfig::Element& element : complete.elements) {
    FoundElement found;
    // A directory is made for a new volume only: later, a missing one is a missing disk.
    const bool is_new = token.empty() && config.group_record.empty();
    found.element = complete.open_element(element, is_new, &found.missing_why);
    elements.push_back(std::move(found));
  }
  return open_store(complete, std::move(elements), epoch, token, why);
}

}  // namespace pairfs
