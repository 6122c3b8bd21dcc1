/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/ops.h - the request handlers: each decodes, calls one function of ns/, and answers
 *
 * What is not here the kernel does itself, or answers as not supported: locks, flush,
 * access, ioctl, poll, bmap, copy_file_range (it copies through read and write).
 */
#pragma once

#include "fuse/mount.h"

const struct fuse_lowlevel_ops *mne_ops(void);

/* fuse/ops_name.c */
void mne_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void mne_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups);
void mne_op_forget_multi(fuse_req_t req, size_t count,
			 struct fuse_forget_data *forgets);
void mne_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		  dev_t rdev);
void mne_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void mne_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		    const char *name);
void mne_op_readlink(fuse_req_t req, fuse_ino_t ino);
void mne_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void mne_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void mne_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		   fuse_ino_t new_parent, const char *new_name, unsigned flags);
void mne_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);

/* fuse/ops_file.c */
void mne_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		   struct fuse_file_info *info);
void mne_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);
void mne_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		 struct fuse_file_info *info);
void mne_op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
		  off_t offset, struct fuse_file_info *info);
void mne_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);
void mne_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		  struct fuse_file_info *info);
void mne_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t len,
		      struct fuse_file_info *info);
void mne_op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info,
		 struct fuse_pollhandle *poll);
void mne_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		  struct fuse_file_info *info);

/* fuse/ops_dir.c */
void mne_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);
void mne_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t position,
		    struct fuse_file_info *info);
void mne_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t position,
			struct fuse_file_info *info);
void mne_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);
void mne_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		     struct fuse_file_info *info);
void mne_op_statfs(fuse_req_t req, fuse_ino_t ino);

/* fuse/ops_attr.c */
void mne_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info);
void mne_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		    struct fuse_file_info *info);
void mne_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		     const char *value, size_t size, int flags);
void mne_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void mne_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void mne_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
