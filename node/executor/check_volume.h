// Checks a volume's rows against each other: entries and cookies, link counts, parents, sizes of
// directories, orphans, allocated bytes. For tests and the simulator. Loop thread; reads every row.
#pragma once

#include <vector>

#include "common/namespace_graph.h"
#include "node/store/volume_store.h"

namespace pairfs {

// One sentence per problem; empty when the volume is sound. What other volumes hold of it (entries
// and parents elsewhere) is not looked at.
std::vector<std::string> check_volume(const VolumeStore& store);

// Adds what the volume has of the tree.
void add_to_graph(const VolumeStore& store, NamespaceGraph& graph);

// The graph of entries and inodes over all volumes of a cluster together, when no transaction is
// open: every entry's inode is there, link counts are exact, parents fit, and all ways lead to the
// root.
std::vector<std::string> check_cluster(const std::vector<const VolumeStore*>& stores);

}  // namespace pairfs
