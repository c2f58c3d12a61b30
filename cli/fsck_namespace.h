// pairfs fsck --namespace: the tree over all pairs, checked while clients use it. One thread.
#pragma once

#include "cli/find_cluster.h"

namespace pairfs::cli {

struct NamespaceCheck {
  ClusterOptions cluster;
  bool json = false;
  int passes = 3;  // what is wrong in so many passes in a row counts
};
// The exit code: 0 when the tree is sound, 1 when it is not or could not be read.
int check_namespace(const NamespaceCheck& check);

}  // namespace pairfs::cli
