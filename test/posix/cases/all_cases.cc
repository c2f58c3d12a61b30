#include "test/posix/cases/cases.h"

namespace pairfs::posix {

std::vector<Case> all_cases() {
  CaseList list;
  for (const auto add :
       {add_open_cases,      add_directory_cases, add_unlink_cases,     add_rename_cases,
        add_link_cases,      add_special_cases,   add_permission_cases, add_special_bit_cases,
        add_owner_cases,     add_time_cases,      add_xattr_cases,      add_acl_cases,
        add_name_cases,      add_listing_cases,   add_io_cases,         add_sparse_cases,
        add_mapping_cases,   add_lock_cases,      add_lock_wait_cases,  add_process_cases,
        add_two_mount_cases, add_more_io_cases,   add_stress_cases,     add_integrity_cases}) {
    add(list);
  }
  return list.cases();
}

}  // namespace pairfs::posix
