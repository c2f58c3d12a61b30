// Keeper::check: everything that the store keeps, looked at once. Bad copies of what is good
// elsewhere are mended with `repair`; so are rows that count what can be counted anew.
#include "common/map_store.h"
#include "node/store/keeper.h"
#include "node/store/stripe_count.h"

namespace pairfs {

std::vector<StoreFinding> Keeper::check(bool repair) {
  std::vector<StoreFinding> findings;
  check_elements(repair, &findings);
  parts_.table->quietly([&] { check_metadata(repair, &findings); });
  check_stripe_rows(repair, &findings);
  StripeWalk walk(*parts_.table, uses_, group_, ~uint64_t{0}, 0, 0, !repair);
  while (!walk.step(Instant::max())) {
  }
  if (walk.sum().mended_blocks > 0) {
    findings.push_back({"data",
                        fmt::format("{} blocks of data or parity are bad on one element",
                                    walk.sum().mended_blocks),
                        repair});
  }
  if (walk.sum().lost_blocks > 0) {
    findings.push_back(
        {"lost", fmt::format("{} blocks of data are good on no element", walk.sum().lost_blocks),
         false});
  }
  return findings;
}

void Keeper::check_elements(bool repair, std::vector<StoreFinding>* findings) {
  for (size_t i = 0; i < group_.size(); ++i) {
    auto& member = group_.member(i);
    const ElementName name = group_.name_of(i);
    if (!member.ok()) {
      findings->push_back({"element",
                           fmt::format("{} is {}{}", name.id, to_string(member.state.load()),
                                       member.missing_why.empty() ? "" : ": " + member.missing_why),
                           false});
      continue;
    }
    if (has_superblock(i)) continue;
    findings->push_back({"superblock",
                         fmt::format("{} of {}", superblock_name(parts_.opening), name.id),
                         repair && write_superblock(i)});
  }
}

void Keeper::check_metadata(bool repair, std::vector<StoreFinding>* findings) {
  const std::string directory = metadata_directory(parts_.opening);
  const auto files = parts_.files->list(directory);
  if (!files.ok()) {
    findings->push_back({"lost", fmt::format("{} can be listed on no element", directory), false});
    return;
  }
  std::set<std::string> names;
  for (const size_t i : parts_.files->members()) {
    if (!group_.member(i).ok()) continue;
    const auto there = group_.member(i).element->list(directory);
    if (!there.ok()) continue;
    for (const auto& entry : *there) names.insert(entry.name);
  }
  for (const std::string& name : names) {
    const auto checked = parts_.files->check(directory + "/" + name, !repair);
    if (checked.mended_frames > 0) {
      findings->push_back({"metadata",
                           fmt::format("{} frames of {}/{} are bad on one element",
                                       checked.mended_frames, directory, name),
                           repair});
    }
    if (checked.lost_frames > 0) {
      findings->push_back({"lost",
                           fmt::format("{} frames of {}/{} are good on no element",
                                       checked.lost_frames, directory, name),
                           false});
    }
  }
}

// Each extent's stripe has a row, which counts the blocks in use.
void Keeper::check_stripe_rows(bool repair, std::vector<StoreFinding>* findings) {
  CountedStripes counted = count_stripes(*parts_.table, [&](std::string problem) {
    findings->push_back({"extent", std::move(problem), false});
  });
  auto batch = parts_.table->make_batch();
  bool changed = false;
  Bytes stripes_end = stripe_prefix();
  ++stripes_end.back();
  for (auto row = parts_.table->rows(stripe_prefix(), stripes_end); row->valid(); row->next()) {
    const auto use = decode_stripe_use(row->key(), row->value());
    if (!use) {
      findings->push_back({"stripe", "a stripe row cannot be understood", repair});
      batch->erase(row->key());  // counted anew below, if it is one of a stripe in use
      changed = true;
      continue;
    }
    const auto found = counted.find({use->stripe.segment, use->stripe.row});
    const uint64_t blocks = found == counted.end() ? 0 : found->second.blocks;
    if (blocks != use->live_blocks) {
      findings->push_back(
          {"stripe",
           fmt::format("the stripe at row {} of {} counts {} blocks in use, {} are",
                       use->stripe.row, RaidGroup::segment_name(use->stripe.segment),
                       use->live_blocks, blocks),
           repair});
      if (blocks > 0)
        batch->put(row->key(), encode_stripe_use({use->stripe, static_cast<uint32_t>(blocks)}));
      else
        batch->erase(row->key());
      changed = true;
    }
    if (found != counted.end()) counted.erase(found);
  }
  for (const auto& [name, entry] : counted) {
    findings->push_back({"stripe",
                         fmt::format("the stripe at row {} of {} has no row", name.second,
                                     RaidGroup::segment_name(name.first)),
                         repair});
    batch->put(stripe_key(name.first, name.second),
               encode_stripe_use({entry.stripe, static_cast<uint32_t>(entry.blocks)}));
    changed = true;
  }
  // Durable with the next consistency point; counted in memory from the next opening on.
  if (repair && changed) (void)parts_.table->write(*batch);
}

}  // namespace pairfs
