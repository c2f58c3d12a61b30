// The groups of cases, one function and one file each. all_cases.cc lists them in running order.
#pragma once

#include "test/posix/suite/suite.h"

namespace pairfs::posix {

void add_open_cases(CaseList& list);
void add_directory_cases(CaseList& list);
void add_unlink_cases(CaseList& list);
void add_rename_cases(CaseList& list);
void add_link_cases(CaseList& list);
void add_special_cases(CaseList& list);
void add_permission_cases(CaseList& list);
void add_special_bit_cases(CaseList& list);
void add_owner_cases(CaseList& list);
void add_time_cases(CaseList& list);
void add_xattr_cases(CaseList& list);
void add_acl_cases(CaseList& list);
void add_name_cases(CaseList& list);
void add_listing_cases(CaseList& list);
void add_io_cases(CaseList& list);
void add_sparse_cases(CaseList& list);
void add_mapping_cases(CaseList& list);
void add_lock_cases(CaseList& list);
void add_lock_wait_cases(CaseList& list);
void add_process_cases(CaseList& list);
void add_two_mount_cases(CaseList& list);
void add_more_io_cases(CaseList& list);
void add_stress_cases(CaseList& list);
void add_integrity_cases(CaseList& list);

}  // namespace pairfs::posix
